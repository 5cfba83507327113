"""A recipe's file in, all that a lock has to name for it out, under each of its profiles."""

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from runner import workflow
from runner.base.errors import InvalidRecipeError, RecipeError
from runner.catalog import load
from runner.plan.hub_names import hub_names
from runner.plan.model import Plan
from runner.recipe.load import LoadResult
from runner.recipe.lock_file import LockFile
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
    """What a recipe names, and its lock as it is now; `base` where it has no stages."""

    needs: tuple[LockNeed, ...] = ()
    lock: LockFile | None = None
    base: bool = False


def naming(file: str) -> Naming:
    """Return what a recipe names of the hub, as it is and under each profile.

    Raises InvalidRecipeError where one of these cannot be compiled, RecipeError where it has more
    profiles than are looked at.
    """
    texts = workflow.gather(file)
    reading = workflow.fold(texts)
    if reading.recipe is not None and reading.recipe.tree.get("stages") is None:
        return Naming(lock=texts.lock, base=True)
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
    return Naming(needs=tuple(needs[key] for key in sorted(needs)), lock=texts.lock)


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
