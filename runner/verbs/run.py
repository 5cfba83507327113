"""The verb run."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.errors import Exit, RecipeError
from runner.verbs import options
from runner.verbs.words import is_recipe

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from runner.core.manifest import Manifest
    from runner.core.plan import Compiled, Plan
    from runner.core.problem import Problem
    from runner.edges.decide import Decision


@click.command("run")
@click.argument("recipe", required=False, shell_complete=options.completes("recipes"))
@options.together(
    options.overrides,
    options.profiles,
    options.smoke,
    options.stages,
    options.style(),
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
    help="Go on from a run: the one last worked on, or RUN.",
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
    if recipe is None and resume and is_recipe(resume):
        recipe, resume = resume, ""  # --resume took the recipe for its run
    question = ("script", recipe, profiles, sets, smoke, only, first, last)
    if dry_run and resume is None and style == "text":
        from runner.edges import answers

        said = answers.recall(question)
        if said is not None:
            sys.stdout.write(said)
            return Exit.OK
    from runner import workflow
    from runner.edges.world import World

    world = World()
    file = recipe or _needed(resume, Path(runs))
    loaded = workflow.load(file, profiles, sets, world.environ, world)
    compiled = workflow.compiled(loaded, world.environ)
    plan = workflow.plan(compiled, loaded, smoke=smoke)
    names = workflow.select(plan, only, first, last)
    before = None if resume is None else _resumed(Path(runs), resume, plan)
    if dry_run:
        warnings = workflow.refuse(workflow.judged(compiled), loaded.sources)
        if style == "json":
            return _written(plan, names, before, warnings, Path(runs))
        _warn(warnings, loaded.sources, style, quiet=quiet)
        if before is not None:
            click.echo("\n".join(map(str, _decided(plan, names, before, Path(runs)).actions)))
            return Exit.OK
        text = _script(plan, names)
        sys.stdout.write(text)
        if not warnings:
            answers.keep(question, workflow.counted(compiled, world), text)
        return Exit.OK
    from runner.core.problem import picture
    from runner.edges import history, room, schemas, signals
    from runner.edges.ahead import early
    from runner.edges.execute import execute
    from runner.edges.reporting import Page
    from runner.edges.terminal import Several, reporter
    from runner.edges.trackers import trackers

    catalog = schemas.installed_catalog()
    folder = Path(before.folder) if before else history.fresh(Path(runs), plan.name)
    with signals.heeded(), early(folder, plan, catalog, () if before else names) as ahead:
        stages, kept = _to_run(plan, names, before, Path(runs))
        found = _examined(compiled, stages, kept, smoke=smoke)
        warnings = workflow.refuse(found, loaded.sources)
        _warn(warnings, loaded.sources, style, quiet=quiet)
        notes = [str(one) for one in workflow.forecasts(compiled, plan) if one.stage in names]
        notes += room.look(plan, stages, folder)
        with reporter(style, color, quiet=quiet, notes=notes) as report:
            told = [*(picture(one, loaded.sources) for one in warnings), *notes]
            heard = Several(report, Page(told), *trackers(plan))
            manifest = execute(plan, catalog, Path(runs), names, heard, before, ahead)
    return manifest.exit_code


def _to_run(
    plan: "Plan", names: "Sequence[str]", before: "Manifest | None", runs: Path
) -> "tuple[Collection[str], tuple[str, ...]]":
    """Return the stages that will run, and the outputs that may stand there already.

    These are of the stages left out, and those that this very run made, and makes room for.
    """
    from runner.edges.decide import own

    stages: Collection[str] = names
    ours: set[str] = set()
    if before is not None:
        decision = _decided(plan, names, before, runs)
        stages = [action.stage for action in decision.actions if action.do == "run"]
        ours = own(plan, before, decision.damaged)
    left = (stage for stage in plan.stages if stage.name not in stages)
    return stages, (*ours, *(path for stage in left for path in stage.outputs.values()))


def _resumed(runs: Path, name: str, plan: "Plan") -> "Manifest":
    from runner.edges import history

    return history.to_resume(runs, name, plan)


def _examined(
    compiled: "Compiled", stages: "Collection[str]", kept: "Sequence[str]", *, smoke: bool
) -> "list[Problem]":
    """Return what rules and data checks find; what is `kept` may stand there already."""
    from runner import workflow
    from runner.edges.meter import WORKERS, meter

    with meter() as progress:
        return workflow.examined(
            compiled, stages, smoke=smoke, kept=kept, workers=WORKERS, progress=progress
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
        which = f"'{manifest.id}'" if resume else "the run last worked on"
        smoke = " --smoke" if manifest.plan.smoke else ""
        file = manifest.plan.file
        hint = f"{which} is of {file}: run-recipe {file}{smoke} --resume"
        hint += f" {resume}" if resume else ""
    elif known := [*collection.recipes(["recipes"] if Path("recipes").is_dir() else ["."])]:
        hint = f"{hint}; there are: {listing(known, 4)}"
    raise RecipeError("no recipe is named", hint)


def _script(plan: "Plan", names: "Sequence[str]") -> str:
    from runner.core.script import lines
    from runner.edges import schemas

    return "".join(lines(_part(plan, names), schemas.catalog()))


def _written(
    plan: "Plan",
    names: "Sequence[str]",
    before: "Manifest | None",
    warnings: "Sequence[Problem]",
    runs: Path,
) -> int:
    """Print the same as JSON: the commands, the decisions of a resume, and what was warned of."""
    from dataclasses import asdict

    from runner.core.commands import commands
    from runner.edges import schemas

    said = commands(_part(plan, names), schemas.catalog())
    if before is not None:
        said["resume"] = [asdict(action) for action in _decided(plan, names, before, runs).actions]
    said["problems"] = [warning.as_dict() for warning in warnings]
    click.echo(json.dumps(said, indent=2, ensure_ascii=False))
    return Exit.OK


def _decided(plan: "Plan", names: "Sequence[str]", before: "Manifest", runs: Path) -> "Decision":
    from runner.edges import schemas
    from runner.edges.decide import decide

    return decide(plan, schemas.installed_catalog(), names, before, runs)


def _part(plan: "Plan", names: "Sequence[str]") -> "Plan":
    """Return a plan with the named stages only."""
    from dataclasses import replace

    return replace(plan, stages=tuple(stage for stage in plan.stages if stage.name in names))
