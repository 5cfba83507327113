"""The verb run."""

from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.base.errors import Exit, RecipeError
from runner.cli import options
from runner.cli.guess import is_recipe, of_folder
from runner.system import printer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from runner.base.problems import Problem
    from runner.cache.inputs import World
    from runner.plan.compile import Compiled
    from runner.plan.model import Plan, Stage
    from runner.run.attempt import Advise
    from runner.run.decide import Decision
    from runner.run.listener import Reporter
    from runner.run.manifest import Manifest
    from runner.run.remedies import Change, Step

    View = Callable[[Plan, Sequence[str], Sequence[str]], AbstractContextManager[Reporter]]


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
@click.option(
    "--trust",
    is_flag=True,
    help="Let the recipe do what it asks leave for: remembered for these very values.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print only what goes wrong.")
@click.option(
    "--resume",
    is_flag=False,
    flag_value="",
    metavar="[RUN]",
    help="Go on from a run: the one last worked on, or RUN.",
    shell_complete=options.completes("runs"),
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
    trust: bool,
    runs: str,
    quiet: bool,
    resume: str | None,
) -> int:
    """Run a recipe."""
    if recipe is None and resume and is_recipe(resume):
        recipe, resume = resume, ""  # --resume took the recipe for its run
    from runner.cache import answers

    what = "script" if dry_run else "plan"
    asked = answers.ask(what, recipe, profiles, sets, smoke, only, first, last)
    view = partial(_view, style=style, color=color, quiet=quiet)
    if dry_run and resume is None and style == "text":
        code = _printed_before(asked)
    elif resume is not None and not dry_run and not (only or first or last):
        code = _nothing_to_do(asked, Path(runs), resume, view, smoke=smoke)
    else:
        code = None
    if code is not None:
        return code
    from runner import workflow
    from runner.cache.inputs import World
    from runner.catalog import load
    from runner.plan import order
    from runner.run import trust as trusting

    world = World()
    file = recipe or _needed(resume, Path(runs))
    if Path(file).is_dir():
        raise of_folder(file)
    loaded = workflow.load(file, profiles, sets, world.environ, world)
    compiled = workflow.compiled(loaded, world.environ)
    plan = workflow.plan(compiled, loaded, smoke=smoke)
    names = workflow.select(plan, only, first, last)
    before = None if resume is None else _resumed(Path(runs), resume, plan)
    missing = order.gap(plan, names, {}) if before is None else None
    if missing is not None:
        raise RecipeError(*missing)
    warn = partial(_warn, sources=loaded.sources, style=style, quiet=quiet)
    if not dry_run:
        trusting.require(plan, load.installed_catalog(), names, given=trust)
        said = _said(profiles, sets, only, first, last, runs)
        advise = partial(_tried, file, profiles, sets, smoke)
        return _run(
            asked, world, compiled, plan, names, before, Path(runs), warn, view, said, advise
        )
    warnings = workflow.refuse(workflow.judged(compiled), loaded.sources)
    if style == "json":
        return _written(plan, names, before, warnings, Path(runs))
    warn(warnings)
    if before is not None:
        printer.show("\n".join(map(str, _decided(plan, names, before, Path(runs)).actions)))
    else:
        _print(asked, workflow.counted(compiled, world), plan, names, kept=not warnings)
    return Exit.OK


def _tried(
    file: str,
    profiles: "Sequence[str]",
    sets: "Sequence[str]",
    smoke: bool,
    stage: "Stage",
    steps: "Sequence[Step]",
) -> "tuple[Change, ...]":
    """Return the changes that help a stage that failed, tried on its recipe."""
    from runner.cli.tried_remedies import Trial

    return Trial(file, profiles, sets, smoke)(stage, steps)


def _printed_before(asked: Path | None) -> int | None:
    """Print the script that was printed before; None where it is not known to be the same."""
    from runner.cache import answers

    said = answers.recall(asked)
    if said is None:
        return None
    printer.payload(said)
    return Exit.OK


def _print(
    asked: Path | None, world: "World", plan: "Plan", names: "Sequence[str]", *, kept: bool
) -> None:
    """Print the script; it may be kept where nothing else was to be said."""
    from runner.cache import answers
    from runner.catalog import load
    from runner.command.script import lines

    text = "".join(lines(_part(plan, names), load.catalog()))
    printer.payload(text)
    if kept:
        answers.keep(asked, world, text)


def _run(
    asked: Path | None,
    world: "World",
    compiled: "Compiled",
    plan: "Plan",
    names: "Sequence[str]",
    before: "Manifest | None",
    runs: Path,
    warn: "Callable[[Sequence[Problem]], None]",
    view: "View",
    said: tuple[str, ...],
    advise: "Advise",
) -> int:
    """Look at what the stages read, and run them; `said` are the options that asked for it.

    `advise` knows which changes help a stage that fails.
    """
    from runner import workflow
    from runner.base.problems import NOTE, pictures
    from runner.catalog import load
    from runner.lint import disk_space, preflight
    from runner.run import history, idle_resume, signals
    from runner.run.execute import execute
    from runner.run.warm_start import early

    catalog = load.installed_catalog()
    folder = Path(before.folder) if before else history.fresh(runs, plan.name)
    with signals.heeded(), early(folder, plan, catalog, () if before else names) as ahead:
        stages, kept = _to_run(plan, names, before, runs)
        sources = compiled.resolver.recipe.sources
        known = idle_resume.sound(asked, plan)
        warnings: Sequence[Problem] = ()
        if known is None:
            world.places(preflight.places(plan))
            found = workflow.refuse(_examined(compiled, stages, kept, smoke=plan.smoke), sources)
            warnings = [one for one in found if one.severity != NOTE]
            warn(warnings)
            known = [str(one) for one in workflow.forecasts(compiled, plan) if one.stage in names]
            known += [one.message for one in found if one.severity == NOTE]
            if not warnings and len(names) == len(plan.stages):
                idle_resume.keep(asked, world, plan, known, whole=len(stages) == len(names))
        notes = [*known, *disk_space.look(plan, stages, folder)]
        told = [*pictures(warnings, sources), *notes]
        if before is None:  # what was looked at is sound: the second one's imports, too, may begin
            ahead.start((plan.stage(name) for name in names), most=2)
        with view(plan, notes, told) as report:
            return execute(
                plan, catalog, runs, names, report, before, ahead, said, advise
            ).exit_code


def _said(
    profiles: "Sequence[str]",
    sets: "Sequence[str]",
    only: "Sequence[str]",
    first: str | None,
    last: str | None,
    runs: str,
) -> tuple[str, ...]:
    """Return the options that make a run another one, or put it elsewhere, as they were said."""
    named = {"--profile": profiles, "--set": sets, "--only": only}
    found = [word for name, all_of in named.items() for one in all_of for word in (name, one)]
    places = {"--from": first, "--to": last, "--runs": runs if runs != options.RUNS else None}
    found += [word for name, one in places.items() if one for word in (name, one)]
    return tuple(found)


def _nothing_to_do(
    asked: Path | None, runs: Path, resume: str, view: "View", *, smoke: bool
) -> int | None:
    """Say that a run is what the recipe asks for still; None where that is not known to be so."""
    from runner.catalog import load
    from runner.run import idle_resume

    known = idle_resume.known(asked, runs, resume, smoke=smoke)
    if known is None:
        return None
    before, notes = known
    decision = idle_resume.at_rest(before, load.installed_catalog(), runs)
    if decision is None:
        return None
    with view(before.plan, notes, notes) as report:
        return idle_resume.tell(before, decision, report).exit_code


@contextmanager
def _view(
    plan: "Plan",
    notes: "Sequence[str]",
    told: "Sequence[str]",
    *,
    style: str,
    color: str,
    quiet: bool,
) -> "Iterator[Reporter]":
    """Give who hears of a run: terminal, trackers, and its page, which keeps what was `told`."""
    from runner.report.console import Several, reporter
    from runner.report.gather import Page
    from runner.report.trackers import trackers

    with reporter(style, color, quiet=quiet, notes=notes) as report:
        yield Several(report, Page(told), *trackers(plan))


def _to_run(
    plan: "Plan", names: "Sequence[str]", before: "Manifest | None", runs: Path
) -> "tuple[Collection[str], tuple[str, ...]]":
    """Return the stages that will run, and the outputs that may stand there already.

    These are of the stages left out, and those that this very run made, and makes room for.
    """
    from runner.run.decide import own

    stages: Collection[str] = names
    ours: set[str] = set()
    if before is not None:
        decision = _decided(plan, names, before, runs)
        stages = [action.stage for action in decision.actions if action.do == "run"]
        ours = own(plan, before, decision.damaged)
    left = (stage for stage in plan.stages if stage.name not in stages)
    return stages, (*ours, *(path for stage in left for path in stage.outputs.values()))


def _resumed(runs: Path, name: str, plan: "Plan") -> "Manifest":
    from runner.run import history

    return history.to_resume(runs, name, plan.name, smoke=plan.smoke)


def _examined(
    compiled: "Compiled", stages: "Collection[str]", kept: "Sequence[str]", *, smoke: bool
) -> "list[Problem]":
    """Return what rules and data checks find; what is `kept` may stand there already."""
    from runner import workflow
    from runner.system.progress import WORKERS, meter

    with meter() as progress:
        return workflow.examined(
            compiled, stages, smoke=smoke, kept=kept, workers=WORKERS, progress=progress
        )


def _warn(
    warnings: "Sequence[Problem]", sources: "Mapping[str, str]", style: str, *, quiet: bool
) -> None:
    from runner.base.problems import listed, pictures

    if style == "json":
        for warning in listed(warnings):
            printer.show_json({"event": "problem", **warning.as_dict()}, indent=None)
    elif not quiet:
        for told in pictures(warnings, sources):
            printer.say(told)


def _needed(resume: str | None, runs: Path) -> str:
    """Raise RecipeError: no recipe is named, and which may be meant."""
    from runner.base.problems import listing
    from runner.recipe import find
    from runner.run import history
    from runner.run.next_steps import going_on

    hint = "write: run-recipe RECIPE"
    if resume is not None:
        manifest = history.find(runs, resume or None)
        which = f"'{manifest.id}'" if resume else "the run last worked on"
        hint = f"{which} is of {manifest.plan.file}: {going_on(manifest)}"
        hint += f" {resume}" if resume else ""
    elif known := [*find.recipes(["recipes"] if Path("recipes").is_dir() else ["."])]:
        hint = f"{hint}; there are: {listing(known, 4)}"
    raise RecipeError("no recipe is named", hint)


def _written(
    plan: "Plan",
    names: "Sequence[str]",
    before: "Manifest | None",
    warnings: "Sequence[Problem]",
    runs: Path,
) -> int:
    """Print the same as JSON: the commands, the decisions of a resume, and what was warned of."""
    from dataclasses import asdict

    from runner.catalog import load
    from runner.command.as_json import commands

    said = commands(_part(plan, names), load.catalog())
    if before is not None:
        said["resume"] = [asdict(action) for action in _decided(plan, names, before, runs).actions]
    said["problems"] = [warning.as_dict() for warning in warnings]
    printer.show_json(said)
    return Exit.OK


def _decided(plan: "Plan", names: "Sequence[str]", before: "Manifest", runs: Path) -> "Decision":
    from runner.catalog import load
    from runner.run.decide import decide

    return decide(plan, load.installed_catalog(), names, before, runs)


def _part(plan: "Plan", names: "Sequence[str]") -> "Plan":
    """Return a plan with the named stages only."""
    from dataclasses import replace

    return replace(plan, stages=tuple(stage for stage in plan.stages if stage.name in names))
