"""The verb check."""

import json
from typing import Any

import click

from runner.errors import Exit
from runner.verbs import options


@click.command("check")
@click.argument("recipes", nargs=-1, required=True)
@options.together(options.overrides, options.profiles, options.style)
@click.option("--mlx", is_flag=True, help="Also ask the installed tools' own parsers.")
def command(
    recipes: tuple[str, ...],
    sets: tuple[str, ...],
    profiles: tuple[str, ...],
    style: str,
    mlx: bool,
) -> int:
    """Report every problem of every recipe."""
    from runner import workflow
    from runner.core.problem import ordered, picture
    from runner.edges.meter import WORKERS, meter

    failed = False
    found: list[dict[str, Any]] = []
    for recipe in recipes:
        loaded = workflow.read(recipe, profiles, sets)
        problems = ordered(workflow.problems(loaded))
        forecasts: list[Any] = []
        if loaded.recipe is not None and not problems:
            compiled = workflow.compiled(loaded.recipe)
            with meter() as progress:
                problems = workflow.examined(compiled, workers=WORKERS, progress=progress)
            forecasts = workflow.forecasts(compiled)
            if mlx and not any(problem.severity == "error" for problem in problems):
                problems += workflow.rehearsed(loaded.recipe)
        failed = failed or any(problem.severity == "error" for problem in problems)
        if style == "json":
            found += [{"recipe": recipe, **problem.as_dict()} for problem in problems]
            continue
        for problem in problems:
            click.echo(picture(problem, loaded.sources))
        for forecast in forecasts:
            click.echo(str(forecast))
        count = len(problems)
        click.echo(f"{recipe}: {count or 'no'} problem{'s' * (count != 1)}", err=True)
    if style == "json":
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    return Exit.INVALID if failed else Exit.OK
