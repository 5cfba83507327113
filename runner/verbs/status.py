"""The verb status."""

import json
from pathlib import Path

import click

from runner.errors import Exit
from runner.verbs import options


@click.command("status")
@click.argument("run", required=False)
@options.together(options.runs, options.style)
def command(run: str | None, runs: str, style: str) -> int:
    """Say where a run stands: the newest, or RUN (its id or folder)."""
    from runner.core.telling import standing
    from runner.edges import history

    manifest = history.find(Path(runs), run)
    alive = history.alive(manifest)
    if style == "json":
        click.echo(json.dumps({**manifest.as_dict(), "alive": alive}, indent=2))
    else:
        click.echo(standing(manifest, alive=alive))
    return Exit.OK
