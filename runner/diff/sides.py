"""A recipe now and before: both sides read, compiled and compared."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from runner import workflow
from runner.base.errors import InvalidRecipeError, RecipeError
from runner.base.problems import Problem, listing
from runner.diff.diff import Difference, compare
from runner.diff.text import Review
from runner.plan.model import Plan
from runner.provenance.causes import Side, side
from runner.recipe import find
from runner.recipe import load as recipes
from runner.recipe.load import Overrides
from runner.recipe.merge import ENVIRONMENT, SET
from runner.recipe.overrides import PREFIX, PROFILE
from runner.recipe.size import count, too_often
from runner.system import files as disk
from runner.system.git import Revision

NOW = "the working tree"


class Place(Struct, frozen=True, kw_only=True):
    """Where a side's files are read from: a revision, or the checkout where that is None."""

    revision: Revision | None = None

    def __str__(self) -> str:
        return str(self.revision) if self.revision else NOW

    @property
    def read(self) -> recipes.Read:
        """Return how a file is read."""
        return self.revision.read if self.revision else disk.read

    @property
    def beside(self) -> recipes.Beside:
        """Return how the names near a path are found."""
        return self.revision.beside if self.revision else disk.beside

    def has(self, file: str) -> bool:
        """Return whether there is such a file."""
        try:
            self.read(file)
        except OSError:
            return False
        return True


class DiffRequest(Struct, frozen=True, kw_only=True):
    """What is laid over both sides, and over the new one alone, and whether it is toy scale."""

    overrides: Overrides
    smoke: bool = False
    now: tuple[str, ...] = ()

    @property
    def of_new(self) -> "DiffRequest":
        """What is laid over the new side."""
        over = self.overrides
        return replace(self, overrides=replace(over, sets=(*over.sets, *self.now)))


class BaseError(RecipeError):
    """A file without stages of its own, which other recipes extend."""


def recipe_files(words: Sequence[str], old: Place, new: Place) -> Iterator[str]:
    """Yield the recipes that words name: files as they are, of a folder those of either side."""
    for word in words:
        if not Path(word).is_dir():
            yield word
            continue
        yield from sorted({*_recipes(word, new), *_recipes(word, old)})


def reviews(files: Sequence[str], old: Place, new: Place, request: DiffRequest) -> Iterator[Review]:
    """Yield what changes in each recipe from one place to the other; bases are left out.

    Where no profile is named, each recipe is compared under each of its profiles, too.
    """
    for file in files:
        try:
            plain = review(file, old, new, request)
        except InvalidRecipeError as error:
            if len(files) == 1:
                raise
            yield _invalid(file, old, new, error)
        except BaseError:
            if len(files) == 1:
                raise
        else:
            yield from _with_profiles(plain, old, new, request)


def _invalid(
    file: str, old: Place, new: Place, error: InvalidRecipeError, profiles: tuple[str, ...] = ()
) -> Review:
    return Review(
        recipe=file,
        before=str(old),
        after=str(new),
        difference=Difference(),
        state="invalid",
        notes=tuple(_first(error.problems)),
        profiles=profiles,
    )


def _with_profiles(plain: Review, old: Place, new: Place, request: DiffRequest) -> Iterator[Review]:
    """Yield a recipe's review, and one more for its profiles under which something else changes."""
    if request.overrides.profiles or plain.state != "compared":
        yield plain
        return
    now, then = _profiles(plain.recipe, new, request), _profiles(plain.recipe, old, request)
    alike: list[str] = []
    others: dict[object, Review] = {}
    for name in (*now, *(one for one in then if one not in now)):
        if name not in now:
            gone = replace(plain, difference=Difference(), state="gone", notes=(), profiles=(name,))
            others["gone", name] = gone
            continue
        over = replace(request.overrides, profiles=(name,))
        try:
            one = review(plain.recipe, old, new, replace(request, overrides=over))
        except InvalidRecipeError as error:
            others["invalid", name] = _invalid(plain.recipe, old, new, error, (name,))
            continue
        if one.shape == plain.shape:
            alike.append(name)
            continue
        before = others.get(one.shape)
        names = (*(before.profiles if before else ()), name)
        others[one.shape] = replace(one, profiles=names, plain=plain.difference)
    yield replace(plain, alike=tuple(alike))
    yield from others.values()


def _profiles(file: str, place: Place, request: DiffRequest) -> list[str]:
    """Return the profiles that a recipe has in a place; none where it cannot be read there.

    Raises RecipeError if they are more than are looked at.
    """
    recipe = workflow.read(file, (), (), request.overrides.environ, place).recipe
    if recipe is None:
        return []
    names = list(recipe.section("profiles"))
    hint = "name those to compare: run-recipe diff RECIPE --profile NAME"
    if large := too_often(recipe.tree, "profiles", len(names), count(recipe.tree), hint):
        raise RecipeError(f"{file}: {large.message}", large.hint)
    return names


def review(file: str, old: Place, new: Place, request: DiffRequest) -> Review:
    """Return what changes in one recipe.

    Raises InvalidRecipeError if it is not valid now, RecipeError where it is not a recipe.
    """
    if old.revision and old.revision.foreign(file):
        why = f"{file} is not in the repository at {old.revision.top}"
        raise RecipeError(why, "compare recipes of one repository at a time")
    if not new.has(file) and old.has(file):
        return _removed_recipe(file, old, new, request)
    now, notes = compile_side(file, new, request.of_new)
    was, name = file, ""
    if not old.has(file) and old.revision:
        was = old.revision.before(file, new.revision) or ""
        if not was:
            return Review(
                recipe=file,
                before=str(old),
                after=str(new),
                difference=compare(_nothing(now), now),
                state="new",
                notes=notes,
            )
        name = f"its name was {was}"
    try:
        then, more = _fitting(was, old, request)
    except InvalidRecipeError as error:
        reasons = (
            f"it was not valid in {old}, so everything counts as new",
            *_first(error.problems),
        )
        return Review(
            recipe=file,
            before=str(old),
            after=str(new),
            difference=compare(_nothing(now), now),
            state="new",
            notes=(*notes, *reasons),
        )
    except BaseError:
        reasons = (f"it had no stages of its own in {old}",)
        return Review(
            recipe=file,
            before=str(old),
            after=str(new),
            difference=compare(_nothing(now), now),
            state="new",
            notes=(*notes, *reasons),
        )
    all_notes = dict.fromkeys(
        (*notes, *([name] if name else ()), *more, *_outside(old), *_outside(new))
    )
    return Review(
        recipe=file,
        before=str(old),
        after=str(new),
        difference=compare(then, now),
        notes=tuple(all_notes),
    )


def across(was: str, file: str, old: Place, request: DiffRequest) -> Review:
    """Return what changes from one recipe at a revision to another as it is now."""
    then, before = _fitting(was, old, request)
    now, after = compile_side(file, Place(), request.of_new)
    notes = tuple(dict.fromkeys((*before, *after, *_outside(old))))
    return Review(
        recipe=file, before=f"{was} in {old}", after=NOW, difference=compare(then, now), notes=notes
    )


def between(one: str, other: str, request: DiffRequest) -> Review:
    """Return what changes from one recipe to another, both as they are now."""
    then, before = compile_side(one, Place(), request)
    now, after = compile_side(other, Place(), request.of_new)
    then = replace(then, plan=replace(then.plan, name=now.plan.name))
    notes = tuple(dict.fromkeys((*before, *after)))
    return Review(recipe=other, before=one, after=other, difference=compare(then, now), notes=notes)


def since(file: str, plan: Plan, label: str, request: DiffRequest) -> Review:
    """Return what changes from the plan of a run to a recipe as it is now."""
    if request.smoke and not plan.smoke:
        raise RecipeError("that run is a real run, not a smoke run", "remove --smoke")
    now, notes = compile_side(file, Place(), replace(request.of_new, smoke=plan.smoke))
    if plan.smoke and not request.smoke:
        notes = (*notes, "that run is a smoke run: the recipe is compared with it at toy scale")
    return Review(
        recipe=file, before=label, after=NOW, difference=compare(Side(plan=plan), now), notes=notes
    )


def compile_side(file: str, place: Place, request: DiffRequest) -> tuple[Side, tuple[str, ...]]:
    """Return a recipe as one side, and the notes about it. Raises InvalidRecipeError."""
    over = request.overrides
    source = workflow.read(file, over.profiles, over.sets, over.environ, place)
    recipe = source.recipe
    if recipe is not None and recipe.tree.get("stages") is None and not source.problems:
        hint = "name the recipes that extend it, or their folder"
        raise BaseError(f"{file} has no stages of its own", hint)
    if recipe is None or source.problems:
        environ = request.overrides.environ
        raise InvalidRecipeError(workflow.problems(source, environ), source.sources)
    result = workflow.compile_recipe(recipe, request.overrides.environ)
    notes: tuple[str, ...] = ()
    unknown = [problem for problem in result.problems if problem.rule == "budget-no-rows"]
    errors = [problem for problem in result.problems if problem.severity == "error"]
    if unknown and len(unknown) == len(errors):
        result = workflow.compile_recipe(recipe, request.overrides.environ, budgets=False)
        places = listing([f"{one.mark.file}:{one.mark.line}" for one in unknown], 3)
        notes = (f"budgets are not converted to iters: the rows are not on this disk ({places})",)
    plan = workflow.plan(result, recipe, smoke=request.smoke)
    return side(result, plan), notes


def _fitting(file: str, place: Place, request: DiffRequest) -> tuple[Side, tuple[str, ...]]:
    """Return an earlier side; an option that did not fit the recipe then is left out, and told."""
    try:
        return compile_side(file, place, request)
    except InvalidRecipeError as error:
        overrides, misfits = _without(request.overrides, error.problems)
        if not misfits:
            raise
        side, notes = compile_side(file, place, replace(request, overrides=overrides))
        return side, (*notes, f"applied to the new side only: {listing(misfits)}")


def _without(overrides: Overrides, problems: Iterable[Problem]) -> tuple[Overrides, list[str]]:
    """Return the overrides without those that have a problem of their own, and these."""
    bad = {(problem.mark.file, problem.mark.line - 1) for problem in problems}
    variables = sorted(name for name in overrides.environ if name.startswith(PREFIX))
    misfits = [
        *(f"--profile {one}" for at, one in enumerate(overrides.profiles) if (PROFILE, at) in bad),
        *(name for at, name in enumerate(variables) if (ENVIRONMENT, at) in bad),
        *(f"--set {one}" for at, one in enumerate(overrides.sets) if (SET, at) in bad),
    ]
    names = {name for at, name in enumerate(variables) if (ENVIRONMENT, at) in bad}
    rest = Overrides(
        profiles=tuple(
            one for at, one in enumerate(overrides.profiles) if (PROFILE, at) not in bad
        ),
        environ={name: value for name, value in overrides.environ.items() if name not in names},
        sets=tuple(one for at, one in enumerate(overrides.sets) if (SET, at) not in bad),
    )
    return rest, misfits


def _removed_recipe(file: str, old: Place, new: Place, request: DiffRequest) -> Review:
    try:
        then, notes = _fitting(file, old, request)
    except InvalidRecipeError:
        return Review(
            recipe=file, before=str(old), after=str(new), difference=Difference(), state="gone"
        )
    return Review(
        recipe=file,
        before=str(old),
        after=str(new),
        difference=compare(then, _nothing(then)),
        state="gone",
        notes=notes,
    )


def _nothing(like: Side) -> Side:
    """Return a side without stages, otherwise as the other one."""
    return Side(plan=replace(like.plan, stages=(), vars={}))


def _outside(place: Place) -> Iterator[str]:
    for file in place.revision.outside if place.revision else ():
        yield f"{file} is outside the repository: both sides use its current content"


def _first(problems: Sequence[Problem]) -> Iterator[str]:
    """Yield the first of the problems, with a count of the rest."""
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        yield f"{problems[0].mark}: {problems[0].message}{more}"


def _recipes(folder: str, place: Place) -> Iterator[str]:
    if place.revision is None:
        yield from find.recipes([folder])
        return
    for file in place.revision.recipes(folder):
        if find.reads_as_recipe(file, place.revision.read(file)):
            yield file
