"""The program as a sequence: load, compile, select, run. Verbs and the library both walk it."""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from runner.base.errors import InvalidRecipeError, RecipeError, UnfitError
from runner.base.problems import NOTE, Mark, Problem, answering, listing, ordered, suggest
from runner.base.secrets import Mask
from runner.catalog import load as schemas
from runner.catalog import project, verdicts
from runner.lint import rule
from runner.lint.facts import Known
from runner.lint.rule import View
from runner.plan import compile as compiling
from runner.plan import reach
from runner.plan.compile import Compiled
from runner.plan.leaks import leaks, masked
from runner.plan.model import Plan
from runner.plan.smoke import MODEL_STAGE, shrink
from runner.recipe import load as recipes
from runner.recipe.load import Overrides, Recipe
from runner.system import files as disk
from runner.system import hub
from runner.system.gc_paused import resting

if TYPE_CHECKING:
    from runner.cache.inputs import World
    from runner.lint.forecast import Forecast
    from runner.run.result import Result


class Files(Protocol):
    """What recipes are read through: this disk, a World that remembers, or a revision's files."""

    def read(self, file: str) -> bytes:
        """Return a recipe's bytes. Raises OSError."""

    def beside(self, file: str) -> Iterable[str]:
        """Return the names of recipes near a path."""


def read(
    file: str,
    profiles: Sequence[str] = (),
    sets: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    files: Files = disk,
    named: str = "",
) -> recipes.Loaded:
    """Read a recipe and fold its layers; every problem is in the result.

    In the texts it was read from, which pictures of problems show, secrets are masked, and files
    outside of the project are left out. `named` is the file that the user named, if not this one.
    """
    return fold(gather(file, environ, files, named), profiles, sets, environ)


@answering()
@resting()
def gather(
    file: str,
    environ: Mapping[str, str] | None = None,
    files: Files = disk,
    named: str = "",
) -> recipes.Gathered:
    """Read the files of a recipe, to be folded as often as it is looked at."""
    here = project.of(named or file)
    found = recipes.gather(file, here.recipes(files.read), files.beside)
    mask = _mask(environ)
    sources = {
        name: mask.text(text) if here.holds(name) else "" for name, text in found.sources.items()
    }
    return replace(found, sources=sources)


@answering()
@resting()
def fold(
    found: recipes.Gathered,
    profiles: Sequence[str] = (),
    sets: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    *,
    alone: bool = False,
) -> recipes.Loaded:
    """Lay over a recipe what a caller says; with `alone` it has no other profiles than these."""
    known = os.environ if environ is None else environ
    overrides = Overrides(tuple(profiles), known, tuple(sets))
    loaded = recipes.fold(found, overrides, alone=alone)
    mask = _mask(environ)
    own = loaded.sources.keys() - found.sources.keys()
    loaded.sources |= {name: mask.text(loaded.sources[name]) for name in own}
    loaded.problems[:] = masked(loaded.problems, mask)
    return loaded


def load(
    file: str,
    profiles: Sequence[str] = (),
    sets: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    files: Files = disk,
) -> Recipe:
    """Read a recipe. Raises InvalidRecipeError with every problem of the whole recipe."""
    loaded = read(file, profiles, sets, environ, files)
    if loaded.recipe is None or loaded.problems:
        raise InvalidRecipeError(problems(loaded, environ), loaded.sources)
    return loaded.recipe


def problems(loaded: recipes.Loaded, environ: Mapping[str, str] | None = None) -> list[Problem]:
    """Return every problem of a recipe, those of its layers and those of its stages."""
    if loaded.recipe is None:
        return loaded.problems
    return loaded.problems + compiled(loaded.recipe, environ).problems


@answering()
def compiled(recipe: Recipe, environ: Mapping[str, str] | None = None) -> Compiled:
    """Compile a recipe; every problem is in the result.

    A stage's ``budget`` needs the rows of its data: they are counted, and the recipe compiled anew.
    """
    result, mask = _counted(recipe, environ), _mask(environ)
    found = list(leaks(result, recipe, mask))
    problems = ordered(masked([*result.problems, *found], mask))
    return replace(result, plan=None if found else result.plan, problems=problems)


def reaching(result: Compiled) -> list[Problem]:
    """Return a warning at each value of a compiled recipe that a run asks leave for."""
    return list(reach.problems(result, schemas.catalog(), schemas.envelope()))


def _mask(environ: Mapping[str, str] | None) -> Mask:
    return hub.mask() if environ is None else Mask(hub.secrets(environ))


def _counted(recipe: Recipe, environ: Mapping[str, str] | None) -> Compiled:
    """Compile a recipe, and once more where a budget needed the rows of its data."""
    result = drafted(recipe, environ)
    if result.plan is None or not budgeted(result):
        return result
    from runner.lint.forecast import derived  # noqa: PLC0415  (most recipes have no budget)

    views = {view.stage.name: view for view in views_of(result)}
    told, refused = derived(recipe, result, views)
    if refused:
        return replace(result, plan=None, problems=ordered([*result.problems, *refused]))
    return drafted(told, environ)


def budgeted(result: Compiled) -> bool:
    """Say whether a stage has a ``budget``, which is made of rows on this disk."""
    return any(draft.node.get("budget") for draft in result.resolver.drafts.values())


def counted(result: Compiled, world: "World") -> "World":
    """Let a world remember the rows, too, that a budget counted; it is returned."""
    if budgeted(result):
        from runner.lint import preflight  # noqa: PLC0415  (most recipes have no budget)

        world.whole = world.whole and result.plan is not None  # else nobody knows which rows
        world.places(preflight.places(result.plan) if result.plan else ())
    return world


@resting()
def drafted(recipe: Recipe, environ: Mapping[str, str] | None = None) -> Compiled:
    """Compile a recipe without counting rows: a budget says nothing of ``iters`` yet."""
    known = os.environ if environ is None else environ
    with verdicts.remembered():
        return compiling.build(recipe, schemas.catalog(), schemas.envelope(), known, rule.rules())


def views_of(result: Compiled) -> list[View]:
    """Return what rules and forecasts see of each stage, with what this disk knows."""
    from runner.lint import preflight  # noqa: PLC0415  (most recipes compile without the disk)

    facts = preflight.facts(result.plan) if result.plan else Known()
    return list(rule.views(result, schemas.catalog(), facts))


def forecasts(result: Compiled, smaller: Plan | None = None) -> "list[Forecast]":
    """Return what each training of a compiled recipe amounts to, or of a smoke plan made of it."""
    from runner.lint.forecast import forecast  # noqa: PLC0415  (a dry run needs none of it)

    seen = replace(result, plan=smaller) if smaller else result
    return [found for view in views_of(seen) if (found := forecast(view))]


def examined(
    result: Compiled,
    stages: Collection[str] | None = None,
    *,
    smoke: bool = False,
    kept: Collection[str] = (),
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[Problem]:
    """Return what the rules and the data checks find; `smoke` leaves the models out.

    With `stages`, which are about to run, only the data of these is looked at, and must be there.
    `kept` are outputs that may be there: a run does not write them, or made them itself before.
    More than one worker are processes for large data sets, as ``dataset.check`` says.
    """
    from runner.lint import preflight  # noqa: PLC0415  (a dry run needs none of it)

    if result.plan is None:
        return []
    look = shrink(result.plan, schemas.catalog()) if smoke else result.plan
    rows = preflight.rows(result.plan, stages, smoke=smoke, workers=workers, progress=progress)
    facts = rows.told(preflight.facts(look))
    occupied = facts.occupied - set(kept)
    facts = replace(facts, occupied=occupied, starting=frozenset(stages or ()))
    found = [*judged(result, facts), *rows.problems]
    said = {one.mark for one in found if one.severity != NOTE}  # with the reason, and more
    return ordered(one for one in found if one.severity != NOTE or one.mark not in said)


@answering()
@resting()
def judged(result: Compiled, known: Known | None = None) -> list[Problem]:
    """Return what the rules find in a compiled recipe, with what is known of its files."""
    return rule.problems(result, schemas.catalog(), known)


def refuse(found: Sequence[Problem], sources: Mapping[str, str]) -> list[Problem]:
    """Return the warnings. Raises InvalidRecipeError where there are errors."""
    if any(problem.severity == "error" for problem in found):
        raise InvalidRecipeError(found, sources)
    return list(found)


def plan(result: Compiled, recipe: Recipe, *, smoke: bool = False) -> Plan:
    """Return the plan of a compiled recipe. Raises InvalidRecipeError."""
    if result.plan is None:
        raise InvalidRecipeError(result.problems, recipe.sources)
    return shrink(result.plan, schemas.catalog()) if smoke else result.plan


def select(
    whole: Plan, only: Sequence[str] = (), first: str | None = None, last: str | None = None
) -> tuple[str, ...]:
    """Return the names of the stages to run. Raises RecipeError for a name that does not exist."""
    names = [stage.name for stage in whole.stages]
    for name in (*only, *filter(None, (first, last))):
        if name not in names:
            hint = suggest(name, names, f"there are: {listing(names)}")
            raise RecipeError(f"the recipe has no stage '{name}'", hint)
    start = names.index(first) if first else 0
    stop = names.index(last) + 1 if last else len(names)
    chosen = {name for name in names[start:stop] if not only or name in only}
    if not chosen:
        raise RecipeError("no stage is left to run", "look at --only, --from and --to")
    made = {MODEL_STAGE} if whole.smoke else set()  # the runner's own: others cannot do without
    return tuple(name for name in names if name in chosen | made)


def rehearsed(recipe: Recipe) -> list[Problem]:
    """Return what the installed tools' own parsers refuse, or read differently, of a recipe."""
    from runner.run.rehearse import rehearse  # noqa: PLC0415

    result = compiled(recipe)
    whole = plan(result, recipe)
    drafts = result.resolver.drafts
    return [
        _refused(drafts[name].node.key_mark, whole.stage(name).tool, said, asked=asked)
        for name, said, asked in rehearse(whole, schemas.installed_catalog())
    ]


def _refused(mark: Mark, tool: str, said: str, *, asked: bool) -> Problem:
    notes = tuple((None, line) for line in said.splitlines())
    if asked:
        why = f"the installed {tool} does not take this stage as planned"
        hint = "run-recipe doctor says how the installation differs"
        return Problem(mark, why, "installed-tool", hint, notes)
    why = f"the parser of {tool} was not asked: that would run its work"
    hint = "only a run shows what it makes of its words"
    return Problem(mark, why, "tool-not-asked", hint, notes, "warning")


def drift(names: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return what catalogue and installation do not say alike, and the tools not to be asked."""
    from runner.catalog.drift import compare  # noqa: PLC0415
    from runner.system import machine  # noqa: PLC0415

    catalog = schemas.installed_catalog()
    seen = machine.ask("runner.worker.introspect", *names)
    if set(seen) == {"error"}:
        raise UnfitError(f"the installed tools cannot be asked: {seen['error']}")
    differences: list[str] = []
    unavailable: dict[str, str] = {}
    for name, said in seen.items():
        tool = catalog.get(name)
        if "unavailable" in said:
            unavailable[name] = said["unavailable"]
        elif tool is not None:
            differences += [str(difference) for difference in compare(tool, said)]
    return differences, unavailable


def run(
    whole: Plan,
    runs: Path,
    stages: Sequence[str] = (),
    resume: str | None = None,
    *,
    progress: bool = False,
    trust: bool = False,
) -> "Result":
    """Run a plan, or some of its stages, and return what it came to. Raises RecipeError."""
    from runner.lint import disk_space  # noqa: PLC0415
    from runner.report.console import Several  # noqa: PLC0415
    from runner.report.console.plain import Plain, Silent  # noqa: PLC0415
    from runner.report.gather import Page  # noqa: PLC0415
    from runner.report.trackers import trackers  # noqa: PLC0415
    from runner.run import history  # noqa: PLC0415
    from runner.run import trust as trusting  # noqa: PLC0415
    from runner.run.execute import execute  # noqa: PLC0415
    from runner.run.result import result  # noqa: PLC0415  (showing a plan needs none of it)

    before = (
        None if resume is None else history.to_resume(runs, resume, whole.name, smoke=whole.smoke)
    )
    names = select(whole, stages)
    trusting.require(whole, schemas.installed_catalog(), names, given=trust)
    disk_space.look(whole, names, runs)
    listeners = Several(Plain() if progress else Silent(), Page(), *trackers(whole))
    manifest = execute(whole, schemas.installed_catalog(), runs, names, listeners, before)
    return result(manifest, history.audits(manifest))
