"""Cases of test files checked against their recipes, and the commands that snapshots lock."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from runner import workflow
from runner.base.constants import ENDING
from runner.base.errors import InvalidRecipeError
from runner.base.problems import Problem, answering, sort_problems
from runner.catalog import load
from runner.command.script import script, stage_words
from runner.lint import findings
from runner.plan.compile import Compilation
from runner.plan.model import Plan, Stage
from runner.recipe import find
from runner.recipe.load import LoadResult
from runner.recipe.size import too_often
from runner.system import files as disk
from runner.testing import plan_lock
from runner.testing.suite import Case, Inputs, Suite, missing_recipe, suite
from runner.testing.trial import trial
from runner.workflow import RecipeFiles

SAME = "the recipe is unchanged: run-recipe now writes its commands differently"
LONE = "the script is locked without its plan, which would show more: --snapshot-update writes it"


class Outcome(Struct, frozen=True, kw_only=True):
    """A case, what does not hold in it, and the texts its problems point into."""

    case: Case
    problems: list[Problem]
    sources: Mapping[str, str]


def read(file: str, files: RecipeFiles = disk) -> Suite:
    """Read a test file; every problem is in the result, and a recipe that is not there is the only.

    Raises OSError.
    """
    result = suite(files.read(file), file, load.test_schema())
    if not Path(result.recipe).exists():
        result = _with_yml(result)
    if result.problems or Path(result.recipe).exists():
        return result
    beside = [name for name in files.beside(result.recipe) if not name.endswith(ENDING)]
    return replace(result, cases=(), problems=(missing_recipe(result, beside),))


@answering()
def run(suite: Suite) -> list[Outcome]:
    """Run every case of a test file."""
    outcomes = []
    texts = workflow.gather(suite.recipe, {}, origin=suite.file)
    for number, case in enumerate(suite.cases, start=1):
        reading = workflow.fold(texts, *_layers(case.inputs))
        compilation = _compile(reading, case.inputs)
        if number == 1 and compilation is not None:
            size, hint = compilation.resolver.size, "split the test file"
            problem = too_often(case.node, "cases", len(suite.cases), size, hint)
            if problem is not None:
                return [Outcome(case=case, problems=[problem], sources={suite.file: suite.text})]
        outcomes.append(_outcome(suite, case, reading, compilation))
    return outcomes


def judge(suite: Suite, case: Case) -> Outcome:
    """Run one case of a test file."""
    reading = _load(suite.recipe, case.inputs, suite.file)
    return _outcome(suite, case, reading, _compile(reading, case.inputs))


def _outcome(
    suite: Suite, case: Case, reading: LoadResult, compilation: Compilation | None
) -> Outcome:
    problems = list(reading.problems)
    if compilation is not None:
        problems += [*compilation.problems, *findings.rule_problems(compilation)]
    failures = trial(case, compilation, sort_problems(problems))
    return Outcome(
        case=case,
        problems=sort_problems(failures),
        sources={**reading.sources, suite.file: suite.text},
    )


def snapshot_inputs(recipe: str, before: Sequence[str] = ()) -> Mapping[str, Inputs]:
    """Return the inputs of a recipe's snapshots by name, '' for the recipe as it is.

    What its test file says, or else the recipe as it is and with each of its profiles. Nothing for
    a base, which has no stages of its own to run. `before` are the names of what is locked: a
    recipe that cannot be read does not say which of them are its own, and keeps them all.
    """
    beside = find.suite_of(recipe)
    suite = read(beside) if beside else None
    fallback = {name: Inputs() for name in ("", *before)}
    if suite is not None and suite.problems:
        return fallback
    if suite is not None and suite.locked is not None:
        return suite.locked
    reading = _load(recipe, Inputs())
    if reading.recipe is None:
        return fallback
    if not reading.recipe.section("stages") and not reading.problems:
        return {}
    profiles = reading.recipe.section("profiles")
    own = {"": Inputs(), **{name: Inputs(profiles=(name,)) for name in profiles}}
    return fallback | own if reading.problems else own


class CommandLock(Struct, frozen=True, kw_only=True):
    """The commands of a recipe as they are locked: the script, and the plan that it is made of."""

    script: str
    plan: str


def commands(recipe: str, inputs: Inputs) -> CommandLock:
    """Return what is to be locked of a recipe under some inputs. Raises InvalidRecipeError."""
    beside = find.suite_of(recipe)
    suite = read(beside) if beside else None
    if suite is not None and suite.problems:
        raise InvalidRecipeError(suite.problems, {suite.file: suite.text})
    plan = _plan(recipe, inputs)[1]
    return CommandLock(script=script(plan, load.catalog(plan.tools)), plan=plan_lock.dump(plan))


def changes(recipe: str, inputs: Inputs, before: CommandLock, after: CommandLock) -> list[str]:
    """Return what changes from what is locked of a recipe to what it is now, each with its line.

    Where the plan is the same, or is not locked, the words of the two scripts are compared.
    """
    from runner.diff import diff, text
    from runner.provenance import causes

    compilation, plan = _plan(recipe, inputs)
    old = plan_lock.read(before.plan)
    if old is None:
        return [*_words(before.script, after.script, plan), *([LONE] if before.script else [])]
    here = replace(causes.side(compilation, plan), plan=plan_lock.bare(plan))
    lines = [*text.lines(diff.compare(causes.Side(plan=old), here))]
    return lines or [*_words(before.script, after.script, plan), SAME]


def _words(before: str, after: str, plan: Plan) -> Iterator[str]:
    """Yield what changes from one script to the next in the words of each stage's command."""
    from runner.diff import diff, text

    was, now = stage_words(before), stage_words(after)
    changes = [
        diff.Change(stage=stage.name, name=names.get(word, word), old=old, new=new)
        for stage in plan.stages
        for names in [_flags(stage, plan)]
        for word, old, new in diff.pairs(was.get(stage.name, {}), now.get(stage.name, {}))
    ]
    yield from text.lines(diff.Difference(changes=tuple(changes)))


def _flags(stage: Stage, plan: Plan) -> Mapping[str, str]:
    """Return what a stage's tool calls the parameters behind its flags."""
    tool = load.catalog(plan.tools).get(stage.tool)
    return {one.flag: one.name for one in tool.parameters.values() if one.flag} if tool else {}


def _plan(recipe: str, inputs: Inputs) -> tuple[Compilation, Plan]:
    reading = _load(recipe, inputs)
    compilation = _compile(reading, inputs)
    if compilation is None or reading.recipe is None or reading.problems:
        problems = [*reading.problems, *(compilation.problems if compilation else ())]
        raise InvalidRecipeError(problems, reading.sources)
    return compilation, workflow.plan(compilation, reading.recipe, smoke=inputs.smoke, alone=True)


def _load(recipe: str, inputs: Inputs, origin: str = "") -> LoadResult:
    return workflow.read(recipe, *_layers(inputs), origin=origin)


def _layers(inputs: Inputs) -> tuple[Sequence[str], Sequence[str], Mapping[str, str]]:
    return inputs.profiles, inputs.sets, inputs.environ


def _compile(reading: LoadResult, inputs: Inputs) -> Compilation | None:
    return workflow.compile_recipe(reading.recipe, inputs.environ) if reading.recipe else None


def _with_yml(suite: Suite) -> Suite:
    other = Path(suite.recipe).with_suffix(".yml")
    return replace(suite, recipe=other.as_posix()) if other.exists() else suite
