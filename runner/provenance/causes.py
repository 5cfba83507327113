"""Two sides in, the lines that made a value another one out."""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from msgspec import Struct, field

from runner.base.problems import Mark
from runner.catalog.tools import Catalog
from runner.plan.compile import Compilation
from runner.plan.model import Plan
from runner.provenance.origins import Origin, Removal, Statement, origins


class Absent:
    """Stands for a value that one side does not have."""

    def __repr__(self) -> str:
        return "(absent)"


ABSENT = Absent()


class Side(Struct, frozen=True, kw_only=True):
    """A plan and where its values come from, by path; of a run only the plan is known.

    `places` are its stages', `pins` those of its lock's entries, `extends` what each of them
    extends, `trail` the places that brought each file in, `catalog` the tools it was made with.
    """

    plan: Plan
    origins: Mapping[str, Origin] = field(default_factory=dict)
    places: Mapping[str, Mark] = field(default_factory=dict)
    extends: Mapping[str, Statement] = field(default_factory=dict)
    trail: Mapping[str, tuple[Mark, ...]] = field(default_factory=dict)
    catalog: Catalog | None = None
    pins: Mapping[tuple[str, str], Mark] = field(default_factory=dict)


class Edit(Struct, frozen=True, kw_only=True):
    """A name with what it is before and after, ABSENT on a side that does not have it."""

    name: str
    old: Any = ABSENT
    new: Any = ABSENT


class Cause(Edit, frozen=True, kw_only=True):
    """A line that made a change: what it says, before and after.

    `name` is what the line says ("vars.rank"); a line that is `gone` is the old side's.
    """

    mark: Mark
    gone: bool = False


def side(result: Compilation, plan: Plan) -> Side:
    """Return a compiled recipe as one side; `plan` is its plan, or the smoke plan made of it."""
    recipe = result.resolver.recipe
    real = result.plan if plan.smoke else None
    by_path = {one.path: one for one in origins(plan, result.resolver, real, entries=True)}
    stages = recipe.section("stages")
    extends = {
        name: Statement(name="extends", mark=node.mark, text=node.plain())
        for name, stage in stages.items()
        if (node := stage.get("extends")) is not None
    }
    places = {name: stage.key_mark for name, stage in stages.items()}
    return Side(
        plan=plan,
        origins=by_path,
        places=places,
        extends=extends,
        trail=recipe.trail,
        catalog=result.resolver.catalog,
        pins=recipe.lock.marks if recipe.lock else {},
    )


class Causes:
    """Says which lines made a value of the new side another than it was on the old one.

    `renamed` are the new names of stages and what the old side calls them.
    """

    def __init__(self, old: Side, new: Side, renamed: Mapping[str, str]) -> None:
        self.old, self.new, self.renamed = old, new, renamed
        self.other_marks: dict[frozenset[str], set[Mark | None]] = {}

    def has_statement(self, path: str) -> bool:
        """Return whether a side says the value at `path`, or cannot know, as of a run."""
        rows = [side.origins.get(one) for side, one in self._both(path)]
        return not self.old.origins or any(one is not None and one.winner for one in rows)

    def texts(self, path: str) -> tuple[Any, Any]:
        """Return what the old and the new side say at `path`, ABSENT if nothing is known."""
        old, new = (_recipe_statement(side.origins.get(one)) for side, one in self._both(path))
        if not self.old.origins:
            return ABSENT, ABSENT
        return _text(old), _text(new)

    def of(self, path: str) -> tuple[Cause, ...]:
        """Return the lines that made the value at `path` another one."""
        causes = {cause.mark: cause for cause in self._entries(path)}
        for name in self._names(path) if not causes else ():
            for cause in self._statement(name):
                causes.setdefault(cause.mark, cause)
        above = path.rpartition(".")[0]
        return self.of(above) if _own(above) and not causes else tuple(causes.values())

    def whole(self, path: str, removed: Collection[str] = ()) -> tuple[Cause, ...]:
        """Return the lines that say a value of a whole stage: a new one, or one of `removed`."""
        here = self.old if removed else self.new
        causes: dict[Mark, Cause] = {}
        for name in [path] if path in here.origins else _inside(path, here.origins):
            statement = _recipe_statement(here.origins[name])
            if statement is None or statement.mark is None:
                continue
            old, new = (_text(statement), ABSENT) if removed else (ABSENT, _text(statement))
            gone = bool(removed) and self._exclusive_to(statement.mark, removed)
            causes.setdefault(
                statement.mark,
                Cause(mark=statement.mark, name=_label(name), old=old, new=new, gone=gone),
            )
        above = path.rpartition(".")[0]
        return tuple(causes.values()) if causes or not _own(above) else self.whole(above, removed)

    def _exclusive_to(self, mark: Mark, removed: Collection[str]) -> bool:
        """Return whether a line of removed stages went with them: nothing else had a use for it."""
        if mark.file not in self.new.trail and mark.file != self.old.plan.file:
            return False
        stages = frozenset(removed)
        if stages not in self.other_marks:
            self.other_marks[stages] = {
                statement.mark
                for one in self.old.origins.values()
                if one.stage not in stages
                for statement in (one.winner, *one.losers, *one.trail)
                if statement is not None
            }
        return mark not in self.other_marks[stages]

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
                if text not in other and origin and origin.winner and origin.winner.mark:
                    old, new = (text, ABSENT) if gone else (ABSENT, text)
                    yield Cause(
                        mark=origin.winner.mark, name=_label(path), old=old, new=new, gone=gone
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
        was, now = _recipe_statement(old), _recipe_statement(new)
        other_file = self._in_other_file(was, now)
        if _place(was) == _place(now) or (other_file and _text(was) == _text(now)):
            return
        label = _label(path)
        cause = self._extends_cause(path, was, now)
        if cause is not None:
            yield cause
            if other_file and now and now.mark:
                yield _removal(now) or Cause(
                    mark=now.mark, name=label, old=_text(was), new=_text(now)
                )
            return
        before, after = _text(was), _text(now)
        fell = _among(now, old) and not _among(was, new)
        if was and was.mark and (now is None or now.mark is None or fell):
            yield _removal(was, gone=True) or Cause(
                mark=was.mark, name=label, old=before, new=after, gone=True
            )
        elif now is not None and now.mark is not None:
            yield _removal(now) or Cause(mark=now.mark, name=label, old=before, new=after)

    def _in_other_file(self, was: Statement | None, now: Statement | None) -> bool:
        """Return whether a value is said by a file that took the place of the one that said it."""
        if was is None or now is None or was.mark is None or now.mark is None:
            return False
        return was.mark.file not in self.new.trail and now.mark.file not in self.old.trail

    def _extends_cause(
        self, path: str, was: Statement | None, now: Statement | None
    ) -> Cause | None:
        """Return the ``extends`` that brought a value in, or away, where that is what changed."""
        if not self.old.origins:
            return None
        for statement, here, there, gone in (
            (now, self.new, self.old, False),
            (was, self.old, self.new, True),
        ):
            if statement is None or statement.mark is None:
                continue
            trail = here.trail.get(statement.mark.file, ())
            if trail and statement.mark.file not in there.trail:
                return Cause(mark=trail[0], name="extends", new=statement.mark.file, gone=gone)
            stage = self._inherits(path, statement, here, there)
            if stage is not None and stage.mark is not None:
                return Cause(mark=stage.mark, name="extends", new=stage.text, gone=gone)
        return None

    def _inherits(
        self, path: str, statement: Statement, here: Side, there: Side
    ) -> Statement | None:
        """Return the stage's ``extends`` where a value came by one that the other side has not."""
        words = path.split(".", 2)
        if words[0] != "stages":
            return None
        now, was = here.extends.get(words[1]), there.extends.get(words[1])
        if now is None or (was is not None and was.text == now.text):
            return None
        parent = _recipe_statement(here.origins.get(".".join(("stages", str(now.text), words[2]))))
        return now if parent is not None and parent.mark == statement.mark else None


def _recipe_statement(origin: Origin | None) -> Statement | None:
    """Return what a recipe says of a value, also of one that a smoke run overrules."""
    if origin is None:
        return None
    return origin.losers[0] if origin.winner is None and origin.losers else origin.winner


def _place(statement: Statement | None) -> tuple[str, str] | None:
    """Return what makes two statements the same one: its file and its text, not its line."""
    if statement is None:
        return None
    return statement.mark.file if statement.mark else "", json.dumps(statement.text)


def _text(statement: Statement | None) -> Any:
    """Return what a place says, ABSENT where it says nothing or takes away what is inherited."""
    return ABSENT if statement is None or isinstance(statement.text, Removal) else statement.text


def _removal(statement: Statement, *, gone: bool = False) -> Cause | None:
    """Return a line that takes away what is inherited as the cause, None for any other line."""
    if statement.mark is None or not isinstance(statement.text, Removal):
        return None
    old, new = (statement.text, ABSENT) if gone else (ABSENT, statement.text)
    return Cause(mark=statement.mark, name=_label(statement.name), old=old, new=new, gone=gone)


def _label(path: str) -> str:
    """Return what a person calls a value: inside its stage, or its whole path."""
    if not path.startswith("stages."):
        return path
    return path.split(".params.", 1)[-1] if ".params." in path else path.split(".", 2)[-1]


def _own(path: str) -> bool:
    """Return whether a path is that of a stage's own key."""
    return path.count(".") > 1 and f"{path}.".split(".")[2] != "params"


def _among(statement: Statement | None, origin: Origin | None) -> bool:
    """Return whether a statement is one of those that a value overrules."""
    return origin is not None and _place(statement) in [_place(loser) for loser in origin.losers]


def _inside(path: str, origins: Mapping[str, Origin]) -> list[str]:
    return [name for name in origins if name.startswith(f"{path}.")]
