"""The verb runs."""

import json
from pathlib import Path

import click

from runner.errors import Exit
from runner.verbs import options


@click.command("runs")
@click.argument("recipe", required=False)
@options.together(options.runs, options.style)
def command(recipe: str | None, runs: str, style: str) -> int:
    """List the runs, the newest last."""
    from runner.edges import history
    from runner.edges.terminal import line

    known = history.find_all(Path(runs), recipe)
    if style == "json":
        rows = [
            {"id": m.id, "folder": m.folder, "state": m.state, "started": m.started} for m in known
        ]
        click.echo(json.dumps(rows, indent=2))
    else:
        click.echo("\n".join(line(manifest) for manifest in known) or f"no runs in {runs}")
    return Exit.OK
