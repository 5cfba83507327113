"""Releases: what the installed mlx-lm, or the hub's client, does not do."""

from collections.abc import Iterator

from runner.catalog.tools import numbers
from runner.lint.facts import Finding
from runner.lint.rule import View, rule


@rule("error", "T07", general=True)
def newer_than_installed(view: View) -> Iterator[Finding]:
    """A parameter that the installed release of its package does not read yet.

    It would be left out of the command, and what the recipe says would not happen. Install the
    release that reads it, or take the parameter out of the recipe.
    """
    package = view.tool.distribution or ""
    installed = view.facts.packages.get(package)
    for parameter in view.tool.recent:
        name, since = parameter.name, parameter.since or ""
        new = installed and numbers(installed) < numbers(since)
        if new and name in view.explicit and view.params[name] != parameter.default:
            message = f"the installed {package} {installed} does not read {name}: {since} does"
            yield Finding(
                parameter=name,
                message=message,
                hint=f"pip install --upgrade {package}, or remove the line",
            )


@rule("error")
def upload_needs_older_hub(view: View) -> Iterator[Finding]:
    """An upload by mlx-lm with a hub client that no longer has what mlx-lm calls.

    huggingface_hub 2.0 dropped upload_large_folder: the stage would do its work and fail at the
    end. Upload with a stage of ``hf.upload`` instead, or install huggingface_hub below 2.
    """
    installed = view.facts.packages.get("huggingface-hub")
    if installed and numbers(installed) >= (2,) and view.params["upload_repo"]:
        message = f"mlx-lm cannot upload with huggingface_hub {installed}: it would fail at the end"
        yield Finding(
            parameter="upload_repo",
            message=message,
            hint="use a stage of hf.upload, or install one below 2",
        )
