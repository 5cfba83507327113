"""The verb report: a run as a page, as Markdown, or as JSON."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.base.errors import Exit, RecipeError
from runner.cli import options
from runner.system import printer

if TYPE_CHECKING:
    from runner.runs.manifest import Manifest

MANY = 4


@click.command("report")
@click.argument("names", nargs=-1, metavar="[RUN]...", shell_complete=options.completes("runs"))
@options.runs
@click.option(
    "--format",
    "style",
    type=click.Choice(["html", "markdown", "json"]),
    default="html",
    show_default=True,
    help="Write a page in the run folder, or text to stdout.",
)
@click.option("--open", "show", is_flag=True, help="Open the page in a browser.")
@click.option("-o", "--output", metavar="FILE", help="Write the page to this file instead.")
def command(names: tuple[str, ...], runs: str, style: str, show: bool, output: str | None) -> int:
    """Report on a run, or compare several runs.

    Without RUN, the latest run is used.
    """
    from runner.report import gather
    from runner.report import report as reports
    from runner.runs import history

    manifests = [history.find(Path(runs), name) for name in names or (None,)]
    if style != "html" and (show or output):
        raise RecipeError(f"--format {style} prints to stdout; --open and --output are for a page")
    if len({one.folder for one in manifests}) > 1:
        return _compare(manifests, style, output, show=show)
    if style == "html":
        path = gather.write(manifests[0], Path(output) if output else None)
        return _announce(path, show=show)
    one = gather.gather(manifests[0])
    if style == "json":
        printer.show_json(one.as_dict())
    else:
        printer.show(reports.markdown(one))
    return Exit.OK


def _compare(manifests: "list[Manifest]", style: str, output: str | None, *, show: bool) -> int:
    from runner.report import comparison, gather

    reports = [gather.gather(one) for one in manifests]
    result = comparison.comparison(reports)
    if style == "json":
        printer.show_json(result.as_dict())
    elif style == "markdown":
        printer.show(comparison.markdown(result), end="")
    else:
        name = (
            "-".join(one.id for one in manifests)
            if len(manifests) < MANY
            else f"{len(manifests)}-runs"
        )
        path = Path(output) if output else Path(manifests[0].folder).parent / f"compare-{name}.html"
        return _announce(gather.write_comparison(result, reports, path), show=show)
    return Exit.OK


def _announce(path: Path, *, show: bool) -> int:
    printer.show(str(path))
    if show:
        click.launch(path.resolve().as_uri())
    return Exit.OK
