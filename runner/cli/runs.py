"""The verb runs."""

from pathlib import Path

import click

from runner.base.errors import Exit
from runner.cli import options
from runner.cli.runs_care import EPILOG, WithVerbs
from runner.system import printer


@click.command("runs", cls=WithVerbs, epilog=EPILOG)
@click.argument("recipe", required=False, shell_complete=options.completes("ran"))
@options.together(options.runs, options.style("markdown"))
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="stages.STAGE.metrics.METRIC",
    help="Show this metric of each run (repeatable).",
)
def command(recipe: str | None, runs: str, style: str, metrics: tuple[str, ...]) -> int:
    """List runs, newest last."""
    from runner.report import run_rows
    from runner.report.wording import listing, table
    from runner.runs import history

    manifests = history.find_all(Path(runs), recipe)
    run_rows.require(metrics, manifests)
    rows = [(one, history.alive(one)) for one in manifests]
    if style == "json":
        printer.show_json([run_rows.row(one, metrics, alive=alive) for one, alive in rows])
    elif style == "markdown":
        printer.show("\n".join(table(rows, metrics)))
    else:
        printer.show("\n".join(listing(rows, metrics)) or f"no runs in {runs}")
    return Exit.OK
