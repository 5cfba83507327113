"""Cases of test files against their recipes, and the commands that snapshots lock."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from runner import workflow
from runner.base.constants import ENDING
from runner.base.errors import InvalidRecipeError
from runner.base.problems import Problem, answering, ordered
from runner.cache.inputs import World
from runner.catalog import load
from runner.command.script import script, stage_words
from runner.lint import findings
from runner.plan.compile import Compilation
from runner.plan.model import Plan, Stage
from runner.recipe import find
from runner.recipe.load import LoadResult
from runner.recipe.size import too_often
from runner.system import files as disk
from runner.testing import locked as locked_plan
from runner.testing.suite import Case, Inputs, Suite, lost, suite
from runner.testing.trial import trial
from runner.workflow import RecipeFiles

SAME = "the recipe says what is locked: it is run-recipe that says it otherwise"
LONE = "no plan is locked beside the script, which would say more: --snapshot-update writes it"


class Outcome(Struct, frozen=True, kw_only=True):
    """A case, what does not hold in it, and the texts its problems point into."""

    case: Case
    problems: list[Problem]
    sources: Mapping[str, str]


def read(file: str, files: RecipeFiles = disk) -> Suite:
    """Read a test file; every problem is in the result, and a recipe that is not there is the only.

    Raises OSError.
    """
    found = suite(files.read(file), file, load.test_schema())
    if not Path(found.recipe).exists():
        found = _renamed(found)
    if found.problems or Path(found.recipe).exists():
        return found
    beside = [name for name in files.beside(found.recipe) if not name.endswith(ENDING)]
    return replace(found, cases=(), problems=(lost(found, beside),))


@answering()
def run(found: Suite, world: World | None = None) -> list[Outcome]:
    """Run every case of a test file; `world` remembers what they are made of."""
    world = world or World()
    world.beside(found.recipe)  # says whether it ends in .yaml
    outcomes = []
    gathered = workflow.gather(found.recipe, {}, world, found.file)
    for number, case in enumerate(found.cases, start=1):
        loaded = workflow.fold(gathered, *_laid_over(case.inputs))
        compiled = _compiled(loaded, case.inputs)
        if number == 1 and compiled is not None:
            held, hint = compiled.resolver.size, "split the test file"
            told = too_often(case.node, "cases", len(found.cases), held, hint)
            if told is not None:
                return [Outcome(case=case, problems=[told], sources={found.file: found.text})]
        if compiled is not None:
            workflow.remember_rows(compiled, world)
        outcomes.append(_judged(found, case, loaded, compiled))
    return outcomes


def judge(found: Suite, case: Case) -> Outcome:
    """Run one case of a test file."""
    loaded = _load(found.recipe, case.inputs, found.file)
    return _judged(found, case, loaded, _compiled(loaded, case.inputs))


def _judged(found: Suite, case: Case, loaded: LoadResult, compiled: Compilation | None) -> Outcome:
    problems = list(loaded.problems)
    if compiled is not None:
        problems += [*compiled.problems, *findings.rule_problems(compiled)]
    told = trial(case, compiled, ordered(problems))
    return Outcome(
        case=case, problems=ordered(told), sources={**loaded.sources, found.file: found.text}
    )


def locked(recipe: str, before: Sequence[str] = ()) -> Mapping[str, Inputs]:
    """Return the inputs of a recipe's snapshots by name, '' for the recipe as it is.

    What its test file says, or else the recipe as it is and with each of its profiles. Nothing for
    a base, which has no stages of its own to run. `before` are the names of what is locked: a
    recipe that cannot be read does not say which of them are its own, and keeps them all.
    """
    beside = find.suite_of(recipe)
    found = read(beside) if beside else None
    kept = {name: Inputs() for name in ("", *before)}
    if found is not None and found.problems:
        return kept
    if found is not None and found.locked is not None:
        return found.locked
    loaded = _load(recipe, Inputs())
    if loaded.recipe is None:
        return kept
    if not loaded.recipe.section("stages") and not loaded.problems:
        return {}
    profiles = loaded.recipe.section("profiles")
    known = {"": Inputs(), **{name: Inputs(profiles=(name,)) for name in profiles}}
    return kept | known if loaded.problems else known


class Locked(Struct, frozen=True, kw_only=True):
    """The commands of a recipe as they are locked: the script, and the plan that it is made of."""

    script: str
    plan: str


def commands(recipe: str, inputs: Inputs) -> Locked:
    """Return what is to be locked of a recipe under some inputs. Raises InvalidRecipeError."""
    beside = find.suite_of(recipe)
    found = read(beside) if beside else None
    if found is not None and found.problems:
        raise InvalidRecipeError(found.problems, {found.file: found.text})
    plan = _planned(recipe, inputs)[1]
    return Locked(script=script(plan, load.catalog()), plan=locked_plan.written(plan))


def changes(recipe: str, inputs: Inputs, before: Locked, after: Locked) -> list[str]:
    """Return what changes from what is locked of a recipe to what it is now, each with its line.

    Where the plan is the same, or is not locked, the words of the two scripts are compared.
    """
    from runner.diff import diff, text
    from runner.provenance import causes

    compiled, plan = _planned(recipe, inputs)
    old = locked_plan.read(before.plan)
    if old is None:
        return [*_words(before.script, after.script, plan), *([LONE] if before.script else [])]
    here = replace(causes.side(compiled, plan), plan=locked_plan.bare(plan))
    told = [*text.lines(diff.compare(causes.Side(plan=old), here))]
    return told or [*_words(before.script, after.script, plan), SAME]


def _words(before: str, after: str, plan: Plan) -> Iterator[str]:
    """Yield what changes from one script to the next in the words of each stage's command."""
    from runner.diff import diff, text

    was, now = stage_words(before), stage_words(after)
    changes = [
        diff.Change(stage=stage.name, name=names.get(word, word), old=old, new=new)
        for stage in plan.stages
        for names in [_flags(stage)]
        for word, old, new in diff.pairs(was.get(stage.name, {}), now.get(stage.name, {}))
    ]
    yield from text.lines(diff.Difference(changes=tuple(changes)))


def _flags(stage: Stage) -> Mapping[str, str]:
    """Return what a stage's tool calls the parameters behind its flags."""
    tool = load.catalog().get(stage.tool)
    return {one.flag: one.name for one in tool.parameters.values() if one.flag} if tool else {}


def _planned(recipe: str, inputs: Inputs) -> tuple[Compilation, Plan]:
    loaded = _load(recipe, inputs)
    compiled = _compiled(loaded, inputs)
    if compiled is None or loaded.recipe is None or loaded.problems:
        problems = [*loaded.problems, *(compiled.problems if compiled else ())]
        raise InvalidRecipeError(problems, loaded.sources)
    return compiled, workflow.plan(compiled, loaded.recipe, smoke=inputs.smoke)


def _load(recipe: str, inputs: Inputs, named: str = "") -> LoadResult:
    return workflow.read(recipe, *_laid_over(inputs), origin=named)


def _laid_over(inputs: Inputs) -> tuple[Sequence[str], Sequence[str], Mapping[str, str]]:
    return inputs.profiles, inputs.sets, inputs.environ


def _compiled(loaded: LoadResult, inputs: Inputs) -> Compilation | None:
    return workflow.compile_recipe(loaded.recipe, inputs.environ) if loaded.recipe else None


def _renamed(found: Suite) -> Suite:
    """Return a test file of a recipe that ends in .yml."""
    other = Path(found.recipe).with_suffix(".yml")
    return replace(found, recipe=other.as_posix()) if other.exists() else found
