"""The verb check."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from runner.errors import Exit, RecipeError
from runner.verbs import options

if TYPE_CHECKING:
    from runner.core.problem import Problem
    from runner.edges.world import World


class _Checked(NamedTuple):
    """A recipe or a test file: what is wrong with it, its texts, and what else is to say.

    A `base` can be read and has no stages: in a folder it is checked with what extends it.
    """

    file: str
    problems: "list[Problem]"
    sources: Mapping[str, str]
    notes: Sequence[str] = ()
    cases: int | None = None
    base: bool = False


@click.command("check")
@click.argument(
    "recipes",
    metavar="RECIPE|FOLDER…",
    nargs=-1,
    required=True,
    shell_complete=options.completes("recipes"),
)
@options.together(options.overrides, options.profiles)
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json", "github", "sarif"]),
    default="text",
    show_default=True,
    help="What to print; github: workflow annotations.",
)
@click.option("--mlx", is_flag=True, help="Also ask the installed tools' own parsers.")
@click.option("--tests", is_flag=True, help="Also run the NAME.test.yaml beside each recipe.")
def command(
    recipes: tuple[str, ...],
    sets: tuple[str, ...],
    profiles: tuple[str, ...],
    style: str,
    mlx: bool,
    tests: bool,
) -> int:
    """Report every problem of every recipe, or of the recipes in a folder."""
    every: list[_Checked] = []
    for file in _named(recipes):
        for checked in _checked(file, profiles, sets, mlx=mlx, tests=tests):
            if file not in recipes and checked.base:
                continue
            every.append(checked)
            if style == "text":
                _print(checked)
    if style != "text":
        click.echo(_written(every, style), nl=style != "github")
    wrong = any(problem.severity == "error" for one in every for problem in one.problems)
    return Exit.INVALID if wrong else Exit.OK


def _named(paths: Sequence[str]) -> list[str]:
    from runner.edges import collection

    found = list(collection.recipes(paths))
    if not found:
        where = ", ".join(paths)
        raise RecipeError(f"there is no recipe in {where}", "a recipe has 'version' and 'stages'")
    return found


def _checked(
    file: str, profiles: Sequence[str], sets: Sequence[str], *, mlx: bool, tests: bool
) -> Iterator[_Checked]:
    from runner.core.naming import ENDING
    from runner.edges import collection

    if file.endswith(ENDING):
        yield _suite(file)
        return
    yield _recipe(file, profiles, sets, mlx=mlx)
    beside = collection.suite_of(file) if tests else None
    if beside is not None:
        yield _suite(beside)


def _recipe(file: str, profiles: Sequence[str], sets: Sequence[str], *, mlx: bool) -> _Checked:
    from runner.edges import answers
    from runner.edges.world import World

    question = ("check", file, profiles, sets)
    told = None if mlx else answers.recall(question)
    if told is not None:
        return _Checked(file, [], {}, told.splitlines())
    world = World()
    found = _looked_at(file, profiles, sets, world, mlx=mlx)
    if not found.problems and not found.base:
        answers.keep(question, world, "\n".join(found.notes))
    return found


def _looked_at(
    file: str, profiles: Sequence[str], sets: Sequence[str], world: "World", *, mlx: bool
) -> _Checked:
    from runner import workflow
    from runner.core.problem import ordered
    from runner.edges import preflight
    from runner.edges.meter import WORKERS, meter

    loaded = workflow.read(file, profiles, sets, world.environ, world)
    if loaded.recipe is None:
        return _Checked(file, ordered(loaded.problems), loaded.sources)
    base = not loaded.problems and not loaded.recipe.section("stages")
    compiled = workflow.compiled(loaded.recipe, world.environ)
    problems = ordered([*loaded.problems, *compiled.problems])
    notes: list[str] = []
    if not problems and compiled.plan is not None:
        world.places(preflight.places(compiled.plan))
        with meter() as progress:
            problems = workflow.examined(compiled, workers=WORKERS, progress=progress)
        notes = [str(one) for one in workflow.forecasts(compiled)]
        if mlx and not any(problem.severity == "error" for problem in problems):
            problems += workflow.rehearsed(loaded.recipe)
    return _Checked(file, problems, loaded.sources, notes, base=base)


def _suite(file: str) -> _Checked:
    from runner.edges import answers
    from runner.edges.world import World

    question = ("tests", file)
    told = answers.recall(question)
    if told is not None:
        return _Checked(file, [], {}, cases=int(told))
    from runner.core.problem import ordered
    from runner.testing import cases

    world = World()
    suite = cases.read(file, world)
    if suite.problems:
        return _Checked(file, list(suite.problems), {file: suite.text})
    outcomes = cases.run(suite, world)
    problems = ordered(problem for outcome in outcomes for problem in outcome.problems)
    if not problems:
        answers.keep(question, world, str(len(outcomes)))
    sources = {name: text for one in outcomes for name, text in one.sources.items()}
    return _Checked(file, problems, sources, cases=len(outcomes))


def _print(checked: _Checked) -> None:
    if checked.problems:
        from runner.core.problem import picture

        for problem in checked.problems:
            click.echo(picture(problem, checked.sources))
    for note in checked.notes:
        click.echo(note)
    count = len(checked.problems)
    told = f"{count or 'no'} problem{'s' * (count != 1)}"
    if checked.cases is not None:
        told = f"{checked.cases} test{'s' * (checked.cases != 1)}, {told}"
    click.echo(f"{checked.file}: {told}", err=True)


def _written(every: Sequence[_Checked], style: str) -> str:
    """Return everything that was found, for programs."""
    from runner import __version__
    from runner.core.annotation import sarif, workflow_command
    from runner.core.problem import ordered
    from runner.core.rules import rules
    from runner.edges import git

    named = git.in_workspace()
    problems = ordered(problem for one in every for problem in one.problems)
    if style == "github":
        return "".join(f"{workflow_command(problem, named)}\n" for problem in problems)
    if style == "sarif":
        pages = {slug: rule.page for slug, rule in rules().items()}
        return json.dumps(sarif(problems, __version__, pages, named), indent=2, ensure_ascii=False)
    rows = [{"recipe": one.file, **problem.as_dict()} for one in every for problem in one.problems]
    return json.dumps(rows, indent=2, ensure_ascii=False)
