"""Releases: what the installed mlx-lm or hub client does not support."""

from collections.abc import Iterator

from runner.catalog.tools import numbers
from runner.lint.facts import Finding
from runner.lint.rule import View, rule


@rule("error", "T07", general=True)
def newer_than_installed(view: View) -> Iterator[Finding]:
    """A parameter that the installed release of its package does not read yet.

    It would be left out of the command and have no effect. Install a release that reads it, or
    remove the parameter.
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
    """An upload by mlx-lm with a hub client that no longer has the function mlx-lm calls.

    huggingface_hub 2.0 removed upload_large_folder: the stage would do its work and then fail at
    the end. Upload with an ``hf.upload`` stage instead, or install huggingface_hub<2.
    """
    installed = view.facts.packages.get("huggingface-hub")
    if installed and numbers(installed) >= (2,) and view.params["upload_repo"]:
        message = f"mlx-lm cannot upload with huggingface_hub {installed}: it would fail at the end"
        yield Finding(
            parameter="upload_repo",
            message=message,
            hint="use an hf.upload stage, or pip install 'huggingface_hub<2'",
        )
