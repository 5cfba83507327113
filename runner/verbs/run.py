"""The verb run."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.errors import Exit, RecipeError
from runner.verbs import options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runner.core.manifest import Manifest
    from runner.core.plan import Compiled, Plan
    from runner.core.problem import Problem


@click.command("run")
@click.argument("recipe")
@options.together(
    options.overrides,
    options.profiles,
    options.smoke,
    options.stages,
    options.style,
    options.color,
    options.runs,
)
@click.option("-n", "--dry-run", is_flag=True, help="Print the shell script instead of running.")
@click.option("-q", "--quiet", is_flag=True, help="Print only what goes wrong.")
@click.option(
    "--resume",
    is_flag=False,
    flag_value="",
    metavar="[RUN]",
    help="Go on from a run: the newest, or RUN.",
)
def command(
    recipe: str,
    sets: tuple[str, ...],
    profiles: tuple[str, ...],
    smoke: bool,
    only: tuple[str, ...],
    first: str | None,
    last: str | None,
    style: str,
    color: str,
    dry_run: bool,
    runs: str,
    quiet: bool,
    resume: str | None,
) -> int:
    """Run a recipe."""
    from runner import workflow
    from runner.edges import disk, history

    loaded = workflow.load(recipe, profiles, sets)
    compiled = workflow.compiled(loaded)
    plan = workflow.plan(compiled, loaded, smoke=smoke)
    names = workflow.select(plan, only, first, last)
    found = workflow.judged(compiled) if dry_run else _examined(compiled, smoke=smoke)
    _warn(workflow.refuse(found, loaded.sources), loaded.sources, style, quiet=quiet)
    before = None if resume is None else history.to_resume(Path(runs), resume, plan)
    if dry_run:
        return _shown(plan, names, before, style)
    from runner.edges.execute import execute
    from runner.edges.reporting import Page
    from runner.edges.terminal import Several, reporter
    from runner.edges.trackers import trackers

    listeners = trackers(plan)
    forecasts = [str(one) for one in workflow.forecasts(compiled) if one.stage in names]
    with reporter(style, color, quiet=quiet, notes=forecasts) as report:
        manifest = execute(
            plan,
            disk.installed_catalog(),
            Path(runs),
            names,
            Several(report, Page(), *listeners),
            before,
        )
    return manifest.exit_code


def _examined(compiled: "Compiled", *, smoke: bool) -> "list[Problem]":
    from runner import workflow
    from runner.edges.meter import WORKERS, meter

    with meter() as progress:
        return workflow.examined(compiled, smoke=smoke, workers=WORKERS, progress=progress)


def _warn(
    warnings: "Sequence[Problem]", sources: "Mapping[str, str]", style: str, *, quiet: bool
) -> None:
    from runner.core.problem import picture

    for warning in warnings:
        if style == "json":
            click.echo(json.dumps({"event": "problem", **warning.as_dict()}))
        elif not quiet:
            click.echo(picture(warning, sources), err=True)


def _shown(plan: "Plan", names: "Sequence[str]", before: "Manifest | None", style: str) -> int:
    """Print what would be done: the script, or the decisions of a resume."""
    from dataclasses import replace

    from runner.core.script import script
    from runner.edges import disk

    if style == "json":
        raise RecipeError("a dry run prints a script, not JSON", "leave one of them out")
    if before is not None:
        from runner.edges.decide import decide

        actions = decide(plan, disk.installed_catalog(), names, before).actions
        click.echo("\n".join(map(str, actions)))
        return Exit.OK
    chosen = tuple(stage for stage in plan.stages if stage.name in names)
    click.echo(script(replace(plan, stages=chosen), disk.catalog()), nl=False)
    return Exit.OK
