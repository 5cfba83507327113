"""The verb run."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.errors import Exit, RecipeError
from runner.verbs import options
from runner.verbs.words import is_recipe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runner.core.manifest import Manifest
    from runner.core.plan import Compiled, Plan
    from runner.core.problem import Problem
    from runner.core.schedule import Action


@click.command("run")
@click.argument("recipe", required=False)
@options.together(
    options.overrides,
    options.profiles,
    options.smoke,
    options.stages,
    options.style,
    options.color,
    options.runs,
)
@click.option(
    "-n",
    "--dry-run",
    is_flag=True,
    help="Print the shell script instead of running; with --format json the plan.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print only what goes wrong.")
@click.option(
    "--resume",
    is_flag=False,
    flag_value="",
    metavar="[RUN]",
    help="Go on from a run: the newest, or RUN.",
)
def command(
    recipe: str | None,
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

    if recipe is None and resume and is_recipe(resume):
        recipe, resume = resume, ""  # --resume took the recipe for its run
    loaded = workflow.load(recipe or _needed(resume, Path(runs)), profiles, sets)
    compiled = workflow.compiled(loaded)
    plan = workflow.plan(compiled, loaded, smoke=smoke)
    names = workflow.select(plan, only, first, last)
    before = None if resume is None else history.to_resume(Path(runs), resume, plan)
    kept = () if dry_run else _kept(plan, names, before)
    found = workflow.judged(compiled) if dry_run else _examined(compiled, kept, smoke=smoke)
    warnings = workflow.refuse(found, loaded.sources)
    if dry_run and style == "json":
        return _written(plan, names, before, warnings)
    _warn(warnings, loaded.sources, style, quiet=quiet)
    if dry_run:
        return _shown(plan, names, before)
    from runner.edges.execute import execute
    from runner.edges.reporting import Page
    from runner.edges.terminal import Several, reporter
    from runner.edges.trackers import trackers

    listeners = trackers(plan)
    forecasts = [str(one) for one in workflow.forecasts(compiled, plan) if one.stage in names]
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


def _kept(plan: "Plan", names: "Sequence[str]", before: "Manifest | None") -> tuple[str, ...]:
    """Return the outputs that this run will not write: of stages that are left out, or skipped."""
    from runner.edges import disk
    from runner.edges.decide import decide

    writes = set(names)
    if before is not None:
        actions = decide(plan, disk.installed_catalog(), names, before).actions
        writes -= {action.stage for action in actions if action.do != "run"}
    left = (stage for stage in plan.stages if stage.name not in writes)
    return tuple(path for stage in left for path in stage.outputs.values())


def _examined(compiled: "Compiled", kept: "Sequence[str]", *, smoke: bool) -> "list[Problem]":
    from runner import workflow
    from runner.edges.meter import WORKERS, meter

    with meter() as progress:
        return workflow.examined(
            compiled, smoke=smoke, kept=kept, workers=WORKERS, progress=progress
        )


def _warn(
    warnings: "Sequence[Problem]", sources: "Mapping[str, str]", style: str, *, quiet: bool
) -> None:
    from runner.core.problem import picture

    for warning in warnings:
        if style == "json":
            click.echo(json.dumps({"event": "problem", **warning.as_dict()}))
        elif not quiet:
            click.echo(picture(warning, sources), err=True)


def _needed(resume: str | None, runs: Path) -> str:
    """Raise RecipeError: no recipe is named, and which may be meant."""
    from runner.core.problem import listing
    from runner.edges import collection, history

    hint = "write: run-recipe RECIPE"
    if resume is not None:
        manifest = history.find(runs, resume or None)
        which = f"'{manifest.id}'" if resume else "the newest run"
        hint = f"{which} is of {manifest.plan.file}: run-recipe {manifest.plan.file} --resume"
        hint += f" {resume}" if resume else ""
    elif known := [*collection.recipes(["recipes"] if Path("recipes").is_dir() else ["."])]:
        hint = f"{hint}; there are: {listing(known, 4)}"
    raise RecipeError("no recipe is named", hint)


def _shown(plan: "Plan", names: "Sequence[str]", before: "Manifest | None") -> int:
    """Print what would be done: the script, or the decisions of a resume."""
    from runner.core.script import script
    from runner.edges import disk

    if before is not None:
        click.echo("\n".join(map(str, _decided(plan, names, before))))
        return Exit.OK
    click.echo(script(_part(plan, names), disk.catalog()), nl=False)
    return Exit.OK


def _written(
    plan: "Plan",
    names: "Sequence[str]",
    before: "Manifest | None",
    warnings: "Sequence[Problem]",
) -> int:
    """Print the same as JSON: the commands, the decisions of a resume, and what was warned of."""
    from dataclasses import asdict

    from runner.core.commands import commands
    from runner.edges import disk

    said = commands(_part(plan, names), disk.catalog())
    if before is not None:
        said["resume"] = [asdict(action) for action in _decided(plan, names, before)]
    said["problems"] = [warning.as_dict() for warning in warnings]
    click.echo(json.dumps(said, indent=2, ensure_ascii=False))
    return Exit.OK


def _decided(plan: "Plan", names: "Sequence[str]", before: "Manifest") -> "Sequence[Action]":
    from runner.edges import disk
    from runner.edges.decide import decide

    return decide(plan, disk.installed_catalog(), names, before).actions


def _part(plan: "Plan", names: "Sequence[str]") -> "Plan":
    """Return a plan with the named stages only."""
    from dataclasses import replace

    return replace(plan, stages=tuple(stage for stage in plan.stages if stage.name in names))
