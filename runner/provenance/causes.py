"""Two sides in, the lines that made a value another one out."""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from msgspec import Struct, field

from runner.base.problems import Mark
from runner.catalog.tools import Catalog
from runner.plan.compile import Compiled
from runner.plan.model import Plan
from runner.provenance.origins import Origin, Removal, Said, origins


class Absent:
    """Stands for a value that one side does not have."""

    def __repr__(self) -> str:
        return "(absent)"


ABSENT = Absent()


class Side(Struct, frozen=True, kw_only=True):
    """A plan and where its values come from, by path; of a run only the plan is known.

    `places` are its stages', `extends` what each of them extends, `trail` the places that brought
    each file in, `catalog` the tools it was made with.
    """

    plan: Plan
    origins: Mapping[str, Origin] = field(default_factory=dict)
    places: Mapping[str, Mark] = field(default_factory=dict)
    extends: Mapping[str, Said] = field(default_factory=dict)
    trail: Mapping[str, tuple[Mark, ...]] = field(default_factory=dict)
    catalog: Catalog | None = None


class Cause(Struct, frozen=True, kw_only=True):
    """A line that made a change: what it says, before and after.

    `name` is what the line says ("vars.rank"); a line that is `gone` is the old side's.
    """

    mark: Mark
    name: str
    old: Any = ABSENT
    new: Any = ABSENT
    gone: bool = False


def side(result: Compiled, plan: Plan) -> Side:
    """Return a compiled recipe as one side; `plan` is its plan, or the smoke plan made of it."""
    recipe = result.resolver.recipe
    real = result.plan if plan.smoke else None
    known = {one.path: one for one in origins(plan, result.resolver, real, entries=True)}
    stages = recipe.section("stages")
    extends = {
        name: Said(name="extends", mark=said.mark, text=said.plain())
        for name, stage in stages.items()
        if (said := stage.get("extends")) is not None
    }
    places = {name: stage.key_mark for name, stage in stages.items()}
    return Side(
        plan=plan,
        origins=known,
        places=places,
        extends=extends,
        trail=recipe.trail,
        catalog=result.resolver.catalog,
    )


class Causes:
    """Says which lines made a value of the new side another than it was on the old one.

    `renamed` are the new names of stages and what the old side calls them.
    """

    def __init__(self, old: Side, new: Side, renamed: Mapping[str, str]) -> None:
        self.old, self.new, self.renamed = old, new, renamed
        self.used: dict[frozenset[str], set[Mark | None]] = {}

    def meant(self, path: str) -> bool:
        """Say whether a side says the value at `path`, or cannot know, as of a run."""
        told = [side.origins.get(one) for side, one in self._both(path)]
        return not self.old.origins or any(one is not None and one.said for one in told)

    def texts(self, path: str) -> tuple[Any, Any]:
        """Return what the old and the new side say at `path`, ABSENT where nothing is known."""
        old, new = (_says(side.origins.get(one)) for side, one in self._both(path))
        if not self.old.origins:
            return ABSENT, ABSENT
        return _text(old), _text(new)

    def of(self, path: str) -> tuple[Cause, ...]:
        """Return the lines that made the value at `path` another one."""
        found = {cause.mark: cause for cause in self._entries(path)}
        for name in self._names(path) if not found else ():
            for cause in self._statement(name):
                found.setdefault(cause.mark, cause)
        above = path.rpartition(".")[0]
        return self.of(above) if _own(above) and not found else tuple(found.values())

    def whole(self, path: str, removed: Collection[str] = ()) -> tuple[Cause, ...]:
        """Return the lines that say a value of a whole stage: a new one, or one of `removed`."""
        here = self.old if removed else self.new
        found: dict[Mark, Cause] = {}
        for name in [path] if path in here.origins else _inside(path, here.origins):
            said = _says(here.origins[name])
            if said is None or said.mark is None:
                continue
            old, new = (_text(said), ABSENT) if removed else (ABSENT, _text(said))
            gone = bool(removed) and self._left(said.mark, removed)
            found.setdefault(
                said.mark, Cause(mark=said.mark, name=_label(name), old=old, new=new, gone=gone)
            )
        above = path.rpartition(".")[0]
        return tuple(found.values()) if found or not _own(above) else self.whole(above, removed)

    def _left(self, mark: Mark, removed: Collection[str]) -> bool:
        """Say whether a line of removed stages went with them: nothing else had a use for it."""
        if mark.file not in self.new.trail and mark.file != self.old.plan.file:
            return False
        gone = frozenset(removed)
        if gone not in self.used:
            self.used[gone] = {
                said.mark
                for one in self.old.origins.values()
                if one.stage not in gone
                for said in (one.said, *one.losers, *one.trail)
                if said is not None
            }
        return mark not in self.used[gone]

    def _names(self, path: str) -> list[str]:
        """Return what `path` is called in the origins, and everything it was made of."""
        names: list[str] = []
        for side, one in self._both(path):
            inside = [one] if one in side.origins else _inside(one, side.origins)
            for name in inside:
                names += [path + name[len(one) :], *(s.name for s in side.origins[name].trail)]
        return list(dict.fromkeys(names)) or [path]

    def _entries(self, path: str) -> Iterator[Cause]:
        """Yield the lines of the entries that only one side's list has."""
        texts = self.texts(path)
        for (side, one), mine, other, gone in zip(
            self._both(path), texts, reversed(texts), (True, False), strict=True
        ):
            if not isinstance(mine, list) or not isinstance(other, list):
                continue
            for at, text in enumerate(mine):
                origin = side.origins.get(f"{one}[{at}]")
                if text not in other and origin and origin.said and origin.said.mark:
                    old, new = (text, ABSENT) if gone else (ABSENT, text)
                    yield Cause(
                        mark=origin.said.mark, name=_label(path), old=old, new=new, gone=gone
                    )

    def _both(self, path: str) -> tuple[tuple[Side, str], tuple[Side, str]]:
        """Return the sides, each with what it calls `path`."""
        words = path.split(".", 2)
        was = path
        if words[0] == "stages" and words[1] in self.renamed:
            was = ".".join(("stages", self.renamed[words[1]], *words[2:]))
        return (self.old, was), (self.new, path)

    def _statement(self, path: str) -> Iterator[Cause]:
        """Yield the lines that say a value otherwise than before."""
        old, new = (side.origins.get(one) for side, one in self._both(path))
        was, now = _says(old), _says(new)
        moved = self._moved(was, now)
        if _place(was) == _place(now) or (moved and _text(was) == _text(now)):
            return
        label = _label(path)
        brought = self._brought(path, was, now)
        if brought is not None:
            yield brought
            if moved and now and now.mark:
                yield _removed(now) or Cause(
                    mark=now.mark, name=label, old=_text(was), new=_text(now)
                )
            return
        before, after = _text(was), _text(now)
        fell = _among(now, old) and not _among(was, new)
        if was and was.mark and (now is None or now.mark is None or fell):
            yield _removed(was, gone=True) or Cause(
                mark=was.mark, name=label, old=before, new=after, gone=True
            )
        elif now is not None and now.mark is not None:
            yield _removed(now) or Cause(mark=now.mark, name=label, old=before, new=after)

    def _moved(self, was: Said | None, now: Said | None) -> bool:
        """Say whether a value is said by a file that took the place of the one that said it."""
        if was is None or now is None or was.mark is None or now.mark is None:
            return False
        return was.mark.file not in self.new.trail and now.mark.file not in self.old.trail

    def _brought(self, path: str, was: Said | None, now: Said | None) -> Cause | None:
        """Return the ``extends`` that brought a value in, or away, where that is what changed."""
        if not self.old.origins:
            return None
        for said, here, there, gone in (
            (now, self.new, self.old, False),
            (was, self.old, self.new, True),
        ):
            if said is None or said.mark is None:
                continue
            trail = here.trail.get(said.mark.file, ())
            if trail and said.mark.file not in there.trail:
                return Cause(mark=trail[0], name="extends", new=said.mark.file, gone=gone)
            stage = self._inherits(path, said, here, there)
            if stage is not None and stage.mark is not None:
                return Cause(mark=stage.mark, name="extends", new=stage.text, gone=gone)
        return None

    def _inherits(self, path: str, said: Said, here: Side, there: Side) -> Said | None:
        """Return the stage's ``extends`` where a value came by one that the other side has not."""
        words = path.split(".", 2)
        if words[0] != "stages":
            return None
        now, was = here.extends.get(words[1]), there.extends.get(words[1])
        if now is None or (was is not None and was.text == now.text):
            return None
        parent = _says(here.origins.get(".".join(("stages", str(now.text), words[2]))))
        return now if parent is not None and parent.mark == said.mark else None


def _says(origin: Origin | None) -> Said | None:
    """Return what a recipe says of a value, also of one that a smoke run overrules."""
    if origin is None:
        return None
    return origin.losers[0] if origin.said is None and origin.losers else origin.said


def _place(said: Said | None) -> tuple[str, str] | None:
    """Return what makes two statements the same one: its file and its text, not its line."""
    if said is None:
        return None
    return said.mark.file if said.mark else "", json.dumps(said.text)


def _text(said: Said | None) -> Any:
    """Return what a place says, ABSENT where it says nothing or takes away what is inherited."""
    return ABSENT if said is None or isinstance(said.text, Removal) else said.text


def _removed(said: Said, *, gone: bool = False) -> Cause | None:
    """Return a line that takes away what is inherited as the cause, None for any other line."""
    if said.mark is None or not isinstance(said.text, Removal):
        return None
    old, new = (said.text, ABSENT) if gone else (ABSENT, said.text)
    return Cause(mark=said.mark, name=_label(said.name), old=old, new=new, gone=gone)


def _label(path: str) -> str:
    """Return what a person calls a value: inside its stage, or its whole path."""
    if not path.startswith("stages."):
        return path
    return path.split(".params.", 1)[-1] if ".params." in path else path.split(".", 2)[-1]


def _own(path: str) -> bool:
    """Say whether a path is that of a stage's own key."""
    return path.count(".") > 1 and f"{path}.".split(".")[2] != "params"


def _among(said: Said | None, origin: Origin | None) -> bool:
    """Say whether a statement is one of those that a value overrules."""
    return origin is not None and _place(said) in [_place(loser) for loser in origin.losers]


def _inside(path: str, known: Mapping[str, Origin]) -> list[str]:
    return [name for name in known if name.startswith(f"{path}.")]
