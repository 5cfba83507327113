"""The verb show."""

import json
from typing import Any

import click

from runner.errors import Exit, RecipeError
from runner.verbs import options


@click.command("show")
@click.argument("recipe")
@click.argument("path", required=False)
@options.together(options.overrides, options.profiles, options.style)
def command(
    recipe: str, path: str | None, sets: tuple[str, ...], profiles: tuple[str, ...], style: str
) -> int:
    """Show the resolved values, each with where it comes from and what it overrode."""
    from dataclasses import asdict

    from runner import workflow
    from runner.core.provenance import origins
    from runner.edges import disk

    loaded = workflow.load(recipe, profiles, sets)
    compiled = workflow.compiled(loaded)
    plan = workflow.plan(compiled, loaded)
    rows = [
        origin
        for stage in plan.stages
        if (tool := disk.catalog().get(stage.tool))
        for origin in origins(stage, compiled.resolver.drafts[stage.name], tool)
        if _below(f"stages.{stage.name}.params.{origin.parameter}", path)
    ]
    if path and not rows:
        raise RecipeError(f"the recipe has no '{path}'", "paths look like stages.NAME.params.NAME")
    if style == "json":
        click.echo(json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False))
        return Exit.OK
    stage = ""
    for row in rows:
        if row.stage != stage:
            stage = row.stage
            click.echo(f"{stage}: {plan.stage(stage).tool}")
        over = "".join(f" over {loser}" for loser in row.losers)
        click.echo(f"  {row.parameter} = {_yaml(row.value)}  <- {row.winner}{over}")
    return Exit.OK


def _below(name: str, path: str | None) -> bool:
    known = (
        name,
        name.removeprefix("stages."),
        name.removeprefix("stages.").replace(".params", "", 1),
    )
    return path is None or any(n == path or n.startswith((f"{path}.", f"{path}[")) for n in known)


def _yaml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
