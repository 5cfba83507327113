"""The verb status."""

import sys
from pathlib import Path

import click

from runner.edges import printer
from runner.errors import Exit
from runner.verbs import options


@click.command("status")
@click.argument("run", required=False, shell_complete=options.completes("runs"))
@options.together(options.runs, options.style("markdown"))
def command(run: str | None, runs: str, style: str) -> int:
    """Say where a run stands: the last worked on, or RUN.

    A RUN is named by its id, its folder, or its recipe.
    """
    from runner.core.report import markdown
    from runner.core.series import sketch
    from runner.core.telling import standing
    from runner.edges import history, reporting

    manifest = history.find(Path(runs), run)
    alive = history.alive(manifest)
    if style == "json":
        printer.show_json({**manifest.as_dict(), "alive": alive})
    elif style == "markdown":
        printer.show(markdown(reporting.gather(manifest)), end="")
    else:
        printer.show(standing(manifest, alive=alive))
        if sys.stdout.isatty():
            printer.show("\n".join(sketch(reporting.gather(manifest).curves)))
    return Exit.OK
