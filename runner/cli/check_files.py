"""Files and folders in, the problems of each recipe and test file in them out."""

import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from runner.base import visible
from runner.base.constants import BUILTIN, ENDING, SUFFIXES
from runner.base.errors import RecipeError
from runner.base.problems import (
    MAX_NOTES,
    Mark,
    Problem,
    answering,
    listing,
    offer,
    plural,
    sort_problems,
    tally,
)
from runner.recipe import find
from runner.recipe.remote import is_remote
from runner.system.files import is_folder, is_there

if TYPE_CHECKING:
    from runner.plan.compile import Compilation
    from runner.plan.model import Plan
    from runner.plan.unused import Offers
    from runner.recipe.load import LoadResult, SourceTree

_UNREAD = {"unused-var", "unused-defaults", "override-nothing", "unknown-key"}
_ROWS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
# What compiles is imported if there is something to compile: an answer given before needs none.


class CheckRequest(Struct, frozen=True, kw_only=True):
    """How to check recipes; without `profiles`, each recipe is also checked with all of its own."""

    profiles: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    mlx: bool = False
    trust_tools: bool = False


class FileCheck(Struct, frozen=True, kw_only=True):
    """A recipe or a test file: what is wrong with it, its texts, and what else is to say.

    `budgets` say what its trainings amount to, each at length and in short; `cases` is how many a
    test file has. Of a recipe in a folder, `lacks` names the profiles that it has not: it is left
    out then. `files` are those it is made of, `offers` what its bases hold, as it is and under each
    profile.
    """

    file: str
    problems: Sequence[Problem] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    budgets: Sequence[tuple[str, str]] = ()
    cases: int | None = None
    base: bool = False
    lacks: tuple[str, ...] = ()
    files: Collection[str] = ()
    offers: "Sequence[Offers | None]" = (None,)

    @property
    def verdict(self) -> str:
        """Return the summary, such as ``r.yaml: 1 error, 2 warnings``."""
        tests = "" if self.cases is None else f"{plural(self.cases, 'test')}, "
        return f"{visible.line(self.file)}: {tests}{tally(self.problems)}"


def files(paths: Sequence[str], *, tests: bool) -> list[str]:
    """Return the recipes that are named or in the folders, and with `tests` their test files.

    Raises RecipeError if there is none.
    """
    names = []
    for path in paths:
        if path.endswith(_ROWS):
            hint = find.rows_hint(posixpath.dirname(path) or ".")
            raise RecipeError(f"{path} contains rows, not a recipe", hint)
        if (
            not path.endswith(SUFFIXES)
            and not path.startswith(BUILTIN)
            and not is_there(Path(path))
        ):
            raise RecipeError(f"there is no folder {path} here", _folders_of_recipes())
    for file in find.recipes(paths):
        names.append(file)
        beside = find.suite_of(file) if tests and not file.endswith(ENDING) else None
        if beside is not None:
            names.append(beside)
    if tests:
        names += find.suites(paths)
    if not names:
        where = ", ".join(paths)
        hint = "a recipe has 'version' and 'stages'"
        if rows := find.of_rows(paths):
            hint += f"; {find.rows_hint(rows)}"
        raise RecipeError(f"there is no recipe in {where}", hint)
    return list(dict.fromkeys(names))


def _folders_of_recipes() -> str:
    """Return which folders of the working directory hold recipes, and how a hook names them."""
    files = islice(find.recipes(["."]), _MOST_FOLDERS)
    folders = list(dict.fromkeys(file.partition("/")[0] for file in files if "/" in file))
    if not folders:
        return "name a recipe, or the folder that holds the recipes"
    first = visible.line(folders[0])
    how = f"in a hook args: [{first}], in the action recipes: {first}"
    return f"there are recipes in {listing(folders, 4)}: name the folder; {how}"


_MOST_FOLDERS = 50


def check(
    paths: Sequence[str], arguments: Collection[str], request: CheckRequest
) -> Iterator[FileCheck]:
    """Yield what is wrong with each file; those that are not `arguments` are of a folder.

    Of a folder bases are left out, and recipes without the profiles. Raises RecipeError if no
    recipe has them.
    """
    misfits: list[FileCheck] = []
    every: list[FileCheck] = []
    count = 0
    for file in paths:
        if file.endswith(ENDING):
            yield _suite(file)
            continue
        one = _recipe(file, request, within=file not in arguments)
        if not one.base:
            every.append(one)
        if one.lacks:
            misfits.append(one)
        elif not one.base or file in arguments:
            count += 1
            yield one
    if misfits and not count:
        raise _nobody(misfits, request)
    if misfits:
        yield from misfits
    yield from _bases(every, [path for path in arguments if is_folder(Path(path))])


def _bases(every: Sequence[FileCheck], folders: Sequence[str]) -> Iterator[FileCheck]:
    """Yield each base in these folders that holds what no recipe that extends it uses.

    A base elsewhere may be for recipes that nobody looked at; so may one of a recipe that could
    not be read to its end. A recipe answers for its own lines itself.
    """
    tops = [Path(folder).resolve() for folder in folders]
    own = {one.file for one in every}
    unsure = {name for one in every if None in one.offers for name in one.files}
    offered = [offers for one in every for offers in one.offers if offers is not None]
    used = {mark for offers in offered for mark in offers.used}
    found: dict[str, dict[Mark, Problem]] = {}
    for problem in (problem for offers in offered for problem in offers.unread):
        file = problem.mark.file
        if is_remote(file):
            continue
        inside = any(Path(file).resolve().is_relative_to(folder) for folder in tops)
        if inside and problem.mark not in used and file not in unsure | own:
            found.setdefault(file, {})[problem.mark] = problem
    for file, problems in sorted(found.items()):
        extending = [one for one in every if file in one.files]
        note = f"checked over {plural(len(extending), 'recipe')} that extend this file"
        yield FileCheck(
            file=file,
            problems=sort_problems(
                replace(one, notes=((None, note),)) for one in problems.values()
            ),
            sources=next(one.sources for one in extending),
            base=True,
        )


def _nobody(misfits: Sequence[FileCheck], request: CheckRequest) -> RecipeError:
    missing = [name for name in request.profiles if any(name in one.lacks for one in misfits)]
    profiles = dict.fromkeys(name for one in misfits for name in _profiles(one.file))
    what = f"profile '{missing[0]}'" if len(missing) == 1 else f"profiles {listing(missing)}"
    return RecipeError(
        f"none of {plural(len(misfits), 'recipe')} has the {what}", offer(missing[0], profiles)
    )


def _profiles(file: str) -> list[str]:
    from runner import workflow

    recipe = workflow.read(file).recipe
    return list(recipe.section("profiles")) if recipe else []


@answering()
def _recipe(file: str, request: CheckRequest, *, within: bool) -> FileCheck:
    from runner import workflow
    from runner.lint import findings
    from runner.system.progress import WORKERS, meter

    texts = workflow.gather(file)
    reading = workflow.fold(texts, request.profiles, request.sets)
    if reading.recipe is None:
        return FileCheck(
            file=file,
            problems=sort_problems(reading.problems),
            sources=reading.sources,
            files=texts.trail,
        )
    profiles = reading.recipe.section("profiles")
    base = _is_base(reading)
    lacks = tuple(name for name in request.profiles if name not in profiles)
    if within and (base or lacks):
        return FileCheck(file=file, base=base, lacks=() if base else lacks, files=texts.trail)
    compilation = workflow.compile_recipe(reading.recipe)
    problems = sort_problems([*reading.problems, *compilation.problems])
    budgets: list[tuple[str, str]] = []
    offers = [compilation.offers]
    if not problems and compilation.plan is not None:
        with meter() as progress:
            examination = findings.all_problems(compilation, workers=WORKERS, progress=progress)
        problems = sort_problems([*examination, *workflow.reaching(compilation)])
        budgets = [(str(one), one.brief) for one in findings.forecasts(compilation)]
        if request.mlx and not any(problem.severity == "error" for problem in problems):
            from runner.lint import installed_tools

            problems += installed_tools.parser_problems(
                compilation, trust_tools=request.trust_tools
            )
    if profiles and not request.profiles and not base:
        under = _with_profiles(texts, compilation, problems, request, offers)
        problems = sort_problems([*problems, *under])
    return FileCheck(
        file=file,
        problems=problems,
        sources=reading.sources,
        budgets=budgets,
        base=base,
        files=texts.trail,
        offers=offers,
    )


def _is_base(reading: "LoadResult") -> bool:
    """Return whether a file can be read and has no stages, whatever is laid over it."""
    from runner.recipe.merge import ENVIRONMENT, SET
    from runner.recipe.overrides import PROFILE

    laid_over = {PROFILE, SET, ENVIRONMENT}
    own = [problem for problem in reading.problems if problem.mark.file not in laid_over]
    return not own and reading.recipe is not None and reading.recipe.tree.get("stages") is None


def _with_profiles(
    texts: "SourceTree",
    compilation: "Compilation",
    before: Sequence[Problem],
    request: CheckRequest,
    offers: "list[Offers | None]",
) -> Iterator[Problem]:
    """Yield what is wrong with a recipe under each of its profiles alone, and not without them.

    Rows are read again only by the tools of ours that a profile changes. What is too much to look
    at is no "no problems".
    """
    from runner.recipe.size import too_often

    recipe = compilation.resolver.recipe
    names = list(recipe.section("profiles"))
    hint = "choose the profiles to check: run-recipe check RECIPE --profile NAME"
    if large := too_often(recipe.tree, "profiles", len(names), compilation.resolver.size, hint):
        yield large
        return
    keys = {(problem.mark, problem.rule) for problem in before}
    profiles_of: dict[Problem, list[str]] = {}
    plain = compilation.plan
    for name in names:
        for problem in sort_problems(_under(texts, name, request, plain, offers)):
            if (problem.mark, problem.rule) not in keys:
                profiles_of.setdefault(problem, []).append(name)
    for problem, under in profiles_of.items():
        note: tuple[Mark | None, str] = (None, f"with --profile {_either(under)}")
        yield replace(problem, notes=(*problem.notes, note))


def _under(
    texts: "SourceTree",
    profile: str,
    request: CheckRequest,
    plain: "Plan | None",
    offers: "list[Offers | None]",
) -> Sequence[Problem]:
    """Return what is wrong with a recipe under a profile that nobody asked for.

    An override that nothing reads is wrong where it is asked for, and here it is left out: each
    look but the last one leaves out at least one.
    """
    from runner import workflow

    without: set[tuple[str, int]] = set()
    while True:
        reading = workflow.fold(texts, (profile,), request.sets, alone=True, without=without)
        if reading.recipe is None:
            offers.append(None)
            return ()
        compilation = workflow.compile_recipe(reading.recipe)
        problems = [*reading.problems, *compilation.problems]
        unread = {(one.mark.file, one.mark.line) for one in problems if _unread(one)} - without
        if not unread:
            offers.append(compilation.offers)
            return problems or [
                *_rule_problems(compilation, plain),
                *workflow.reaching(compilation),
            ]
        without |= unread


def _unread(problem: Problem) -> bool:
    """Return whether a problem is an override that nothing reads."""
    from runner.recipe.merge import ENVIRONMENT, SET

    return problem.rule in _UNREAD and problem.mark.file in {ENVIRONMENT, SET}


def _either(names: Sequence[str]) -> str:
    """Return names as ``a or b``, many of them cut."""
    return " or ".join(names) if len(names) <= MAX_NOTES else listing(names)


def _rule_problems(compilation: "Compilation", plain: "Plan | None") -> Sequence[Problem]:
    """Return what the rules find in a recipe under a profile, with what this disk knows.

    Stages that are as in the `plain` plan were asked there of what they read.
    """
    from runner.lint import findings, preflight

    if compilation.plan is None:
        return []
    before = plain.stages if plain is not None else ()
    changed = [stage.name for stage in compilation.plan.stages if stage not in before]
    rows = preflight.RowFindings()
    preflight.ask(compilation.plan, rows, changed)
    problems = findings.rule_problems(compilation, rows.add_to(preflight.facts(compilation.plan)))
    return findings.once([*problems, *rows.problems])


def _suite(file: str) -> FileCheck:
    from runner.testing import cases

    suite = cases.read(file)
    if suite.problems:
        return FileCheck(
            file=file, problems=sort_problems(suite.problems), sources={file: suite.text}
        )
    outcomes = cases.run(suite)
    problems = sort_problems(problem for outcome in outcomes for problem in outcome.problems)
    sources = {name: text for one in outcomes for name, text in one.sources.items()}
    return FileCheck(file=file, problems=problems, sources=sources, cases=len(outcomes))
