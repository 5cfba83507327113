"""A recipe's file in, all that a lock has to name for it out, under each of its profiles."""

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct, field

from runner import workflow
from runner.base.errors import InvalidRecipeError, RecipeError
from runner.cache import repositories
from runner.catalog import load
from runner.plan.hub_names import hub_names
from runner.plan.model import Plan
from runner.recipe.load import LoadResult, SourceTree
from runner.recipe.lock_file import Entries, Entry, LockFile
from runner.recipe.remote import Remote, RemoteError, is_remote, parse
from runner.recipe.size import too_often


class LockNeed(Struct, frozen=True, kw_only=True):
    """A name that a lock has to hold; `whole` where all of the repository is downloaded."""

    name: str
    repository: str
    kind: str
    revision: str
    whole: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What the lock calls it."""
        return self.kind, self.name


class Naming(Struct, frozen=True, kw_only=True):
    """What a recipe names, and its lock as it is now; `base` where it has no stages.

    `bases` are the entries of what it extends in repositories elsewhere.
    """

    needs: tuple[LockNeed, ...] = ()
    lock: LockFile | None = None
    base: bool = False
    bases: Entries = field(default_factory=dict)


def naming(file: str, update: str | None = None, *, check: bool = False) -> Naming:
    """Return what a recipe names, as it is and under each profile.

    What it extends in repositories elsewhere is fetched into the cache. `update` renews these as
    `entries.renewed` does; with `check` the recipe is read as it is locked. Raises
    InvalidRecipeError where it cannot be compiled, RecipeError, HubError, RepositoryError.
    """
    texts, bases = _texts(file, update, check=check)
    reading = workflow.fold(texts)
    lock = workflow.lock_of(file)
    if reading.recipe is not None and reading.recipe.tree.get("stages") is None:
        return Naming(lock=lock, base=True)
    plans = [_plan(reading)]
    tree = reading.recipe.tree if reading.recipe else None
    profiles = list(reading.recipe.section("profiles")) if reading.recipe else []
    size = len(plans[0].stages)
    if tree and (large := too_often(tree, "profiles", len(profiles), size, "split the recipe")):
        raise RecipeError(f"{file}: {large.message}", large.hint)
    plans += [_plan(workflow.fold(texts, (name,), alone=True)) for name in profiles]
    needs: dict[tuple[str, str], LockNeed] = {}
    for need in (need for plan in plans for need in _needs(plan)):
        before = needs.get(need.key)
        needs[need.key] = need if before is None or need.whole else before
    return Naming(needs=tuple(needs[key] for key in sorted(needs)), lock=lock, bases=bases)


def _texts(file: str, update: str | None, *, check: bool) -> tuple[SourceTree, Entries]:
    """Return the files of a recipe, and the entries of the repositories that some of them are of.

    A file of one repository may extend one of another: it is read again until no new one is named.
    """
    lock = workflow.lock_of(file)
    before = lock.entries if lock else {}
    entries: dict[tuple[str, str], Entry] = {}
    after: dict[tuple[str, str], Entry] = {}
    while True:
        now = {**before, **entries}
        texts = workflow.gather(file, lock=LockFile(file=file, entries=now) if now else None)
        names = {one.key: one for one in map(_remote, texts.trail) if one and one.key not in after}
        if not names:
            return texts, after
        for key, one in names.items():
            old = before.get(key)
            stays = old is not None and not (update == "" or update in {key[1], one.url})
            entries[key] = Entry(
                commit=repositories.fetch(one, old.commit if old and stays else "")
            )
            moving = check and old is not None
            after[key] = Entry(commit=repositories.head(one)) if moving else entries[key]


def _remote(file: str) -> Remote | None:
    try:
        return parse(file) if is_remote(file) else None
    except RemoteError:
        return None  # told where the recipe is read


def _plan(reading: LoadResult) -> Plan:
    if reading.recipe is None or reading.problems:
        raise InvalidRecipeError(workflow.problems(reading), reading.sources)
    return workflow.plan(workflow.compile_recipe(reading.recipe), reading.recipe)


def _needs(plan: Plan) -> Iterator[LockNeed]:
    """Yield the names of the hub in a plan: what is a folder here, or made by a stage, is none."""
    catalog = load.catalog(plan.tools)
    for stage in plan.stages:
        tool = catalog.get(stage.tool)
        for one in hub_names(tool, stage.params) if tool else ():
            made = plan.maker(one.name, stage) is not None
            if not made and (one.revision or not Path(one.name).exists()):
                kind, name = one.key
                yield LockNeed(
                    name=name,
                    repository=one.repository,
                    kind=kind,
                    revision=one.revision,
                    whole=one.whole,
                )
