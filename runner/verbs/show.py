"""The verb show."""

import json
from typing import TYPE_CHECKING

import click

from runner.errors import Exit, RecipeError
from runner.verbs import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.core.provenance import Origin
    from runner.core.recipe import Recipe


@click.command("show")
@click.argument("recipe", shell_complete=options.completes("recipes"))
@click.argument("path", required=False, shell_complete=options.completes("values"))
@options.together(options.overrides, options.profiles, options.smoke, options.style())
@click.option("--changed", is_flag=True, help="Only what differs from the tools' own defaults.")
@click.option("--file", metavar="FILE", help="Only what this file of the recipe contributes.")
@click.option("--used", is_flag=True, help="The other way round: what each line became.")
def command(
    recipe: str,
    path: str | None,
    sets: tuple[str, ...],
    profiles: tuple[str, ...],
    smoke: bool,
    style: str,
    changed: bool,
    file: str | None,
    used: bool,
) -> int:
    """Show the resolved values, each with where it comes from and what it overrode.

    PATH is a stage, STAGE.PARAMETER, vars, vars.NAME, or a parameter of every stage that has it.
    """
    from runner import workflow
    from runner.core import explain
    from runner.core.provenance import origins

    loaded = workflow.load(recipe, profiles, sets)
    compiled = workflow.compiled(loaded)
    plan = workflow.plan(compiled, loaded, smoke=smoke)
    rows = list(origins(plan, compiled.resolver, compiled.plan if smoke else None))
    telling = explain.Telling({row.path: row for row in rows}, loaded.sources)
    rows = _chosen(rows, loaded, path, file, changed=changed)
    if used:
        lines = [
            one for one in explain.used(rows) if not file or one.mark.file == _file(loaded, file)
        ]
        if style == "json":
            click.echo(_json([explain.used_dict(one) for one in lines]))
        else:
            click.echo(explain.used_text(lines, telling))
    elif style == "json":
        click.echo(_json([explain.as_dict(row) for row in rows]))
    elif rows:
        click.echo(explain.text(rows, plan, telling))
    return Exit.OK


def _chosen(
    rows: "Sequence[Origin]", recipe: "Recipe", path: str | None, file: str | None, *, changed: bool
) -> "list[Origin]":
    """Return the values that were asked for. Raises RecipeError where there is none such."""
    from runner.core import explain

    found = explain.find(rows, path) if path else list(rows)
    if not found and path:
        raise RecipeError(f"the recipe has no '{path}'", explain.near(rows, path))
    if file:
        found = explain.contributed(found, _file(recipe, file))
    return [row for row in found if row.stage and row.changed] if changed else found


def _file(recipe: "Recipe", said: str) -> str:
    """Return the recipe's file that is meant: as it is named, or the only one that ends so."""
    from runner.core.problem import offer

    known = list(recipe.sources)
    fits = [name for name in known if name == said] or [
        name for name in known if f"/{name}".endswith(f"/{said}")
    ]
    if len(fits) != 1:
        raise RecipeError(f"the recipe is not made of a file '{said}'", offer(said, known))
    return fits[0]


def _json(rows: object) -> str:
    return json.dumps(rows, indent=2, ensure_ascii=False)
