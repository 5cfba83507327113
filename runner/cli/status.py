"""The verb status."""

import sys
from pathlib import Path

import click

from runner.base.errors import Exit
from runner.cli import options
from runner.system import printer


@click.command("status")
@click.argument("run", required=False, shell_complete=options.completes("runs"))
@options.together(options.runs, options.style("markdown"))
def command(run: str | None, runs: str, style: str) -> int:
    """Show the state of a run: RUN, or the latest one.

    RUN is the id, the folder or the recipe of a run.
    """
    from runner.report import gather
    from runner.report.curves import sketch
    from runner.report.report import markdown
    from runner.report.wording import standing
    from runner.runs import history

    manifest = history.find(Path(runs), run)
    alive = history.alive(manifest)
    if style == "json":
        printer.show_json({**manifest.as_dict(), "alive": alive})
    elif style == "markdown":
        printer.show(markdown(gather.gather(manifest)), end="")
    else:
        printer.show(standing(manifest, alive=alive))
        if sys.stdout.isatty():
            printer.show("\n".join(sketch(gather.gather(manifest).curves)))
    return Exit.OK
