"""The verb runs."""

from pathlib import Path

import click

from runner.base.errors import Exit
from runner.cli import options
from runner.system import printer


@click.command("runs")
@click.argument("recipe", required=False, shell_complete=options.completes("ran"))
@options.together(options.runs, options.style("markdown"))
def command(recipe: str | None, runs: str, style: str) -> int:
    """List runs, newest last."""
    from runner.report.wording import line, table
    from runner.runs import history

    manifests = history.find_all(Path(runs), recipe)
    if style == "json":
        rows = [
            {
                "id": one.id,
                "folder": one.folder,
                "state": one.state,
                "alive": history.alive(one),
                "started": one.started,
            }
            for one in manifests
        ]
        printer.show_json(rows)
    elif style == "markdown":
        printer.show("\n".join(table((one, history.alive(one)) for one in manifests)))
    else:
        printer.show(
            "\n".join(line(one, alive=history.alive(one)) for one in manifests)
            or f"no runs in {runs}"
        )
    return Exit.OK
