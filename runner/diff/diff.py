"""Two plans in, the MLX parameters that change out: per stage and parameter, with their causes."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import asdict, replace

from runner.base.constants import RUN_DIR
from runner.base.problems import Mark
from runner.catalog.tools import Tool
from runner.catalog.validate import Path, dotted
from runner.plan.model import Plan, Stage
from runner.plan.pins import with_exact_names
from runner.provenance.causes import ABSENT, Cause, Causes, Edit, Side
from runner.provenance.origins import leaves

# Of a stage: compared on their own, made of what is compared, or words. Of a plan: the same.
_OTHER = {
    "name",
    "tool",
    "params",
    "outputs",
    "after",
    "description",
    "expect_at",
    "trainer",
    "pins",
}
_PLAN = {"name", "file", "stages", "description", "vars", "smoke", "tools", "locks"}
_FILE = "tool file: "
ALIKE = 0.95  # of the parameters: two of some fifty may differ


class Change(Edit, frozen=True, kw_only=True):
    """One value of one stage (of the whole recipe where `stage` is ""): before, after, why."""

    stage: str
    causes: tuple[Cause, ...] = ()


class Difference(Struct, frozen=True, kw_only=True):
    """What changes from one plan to another.

    `added`, `removed`: stages, and `whole` what each of them says that is not its tool's default;
    `renamed`: new name -> old one; `order`: the stages that both have, in the old and the new
    order, where they differ; `carried`: stages that say the same and read what changed; `marks` and
    `tools` are those of all stages of either side.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    order: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    changes: tuple[Change, ...] = ()
    carried: tuple[str, ...] = ()
    whole: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)
    marks: Mapping[str, Mark] = field(default_factory=dict)
    tools: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.renamed or self.order or self.changes)

    @property
    def values(self) -> tuple[Change, ...]:
        """Every value that changes, also those of stages that come or go."""
        return (*self.changes, *(one for changes in self.whole.values() for one in changes))

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that change, in the order they are printed; a removed one has its old name."""
        names = (change.stage for change in self.changes if change.stage)
        return tuple(dict.fromkeys((*self.added, *self.removed, *self.renamed, *names)))


def compare(old: Side, new: Side) -> Difference:
    """Return what changes from `old` to `new`; a pinned name of the hub is one with its commit."""
    catalog = new.catalog or old.catalog
    old, new = (replace(side, plan=with_exact_names(side.plan, catalog)) for side in (old, new))
    renamed = _new_names(old.plan, new.plan)
    before = _with_names(old.plan, renamed)
    then = {stage.name: stage for stage in before.stages}
    now = {stage.name: stage for stage in new.plan.stages}
    causes = Causes(old, new, renamed)
    changes = [*_whole(before, new.plan, causes), *_files(old, new)]
    for stage in new.plan.stages:
        if stage.name in then:
            changes += _stage(then[stage.name], stage, causes, before, new.plan)
    added = tuple(name for name in now if name not in then)
    removed = tuple(name for name in then if name not in now)
    both = tuple(name for name in now if name in then)
    order = tuple(name for name in then if name in now)
    whole = {}
    for name in (*added, *removed):
        all_removed = removed if name in removed else ()
        stage = then[name] if all_removed else now[name]
        tool = catalog.get(stage.tool) if catalog else None
        whole[name] = tuple(_entire(stage, tool, old if all_removed else new, causes, all_removed))
    return Difference(
        added=added,
        removed=removed,
        renamed=renamed,
        order=(order, both) if order != both else None,
        changes=tuple(changes),
        carried=_stale_stages(new.plan, {*added, *(change.stage for change in changes)}),
        whole=whole,
        marks={**old.places, **new.places},
        tools={stage.name: stage.tool for stage in (*before.stages, *new.plan.stages)},
    )


def _whole(old: Plan, new: Plan, causes: Causes) -> Iterator[Change]:
    """Yield what changes for every stage: the name that runs are kept under, env, trackers."""
    for name, was, now in pairs({"name": old.name}, {"name": new.name}):
        yield Change(stage="", name=name, old=was, new=now)
    for name, was, now in pairs(_rest(old), _rest(new)):
        yield Change(stage="", name=name, old=was, new=now, causes=causes.of(name))


def _files(old: Side, new: Side) -> Iterator[Change]:
    """Yield the files that the two locks say otherwise of the same commit."""
    then, now = _commits(old.plan), _commits(new.plan)
    for key in dict.fromkeys((*new.plan.locks, *old.plan.locks)):
        if then.get(key) != now.get(key):
            continue  # the commit says it
        kind, _, title = key.partition(" ")
        name = (kind, title)
        mark = next((side.pins[name] for side in (new, old) if name in side.pins), None)
        files = (side.plan.locks.get(key, {}) for side in (old, new))
        for path, was, is_now in pairs(*files):
            label = f"locked {title}: {path}"
            causes = (Cause(mark=mark, name=label, old=was, new=is_now),) if mark else ()
            yield Change(stage="", name=label, old=was, new=is_now, causes=causes)


def _commits(plan: Plan) -> dict[str, str]:
    return {" ".join(one.key): one.commit for stage in plan.stages for one in stage.pins}


def _lock_causes(path: str, old: Stage, new: Stage, causes: Causes) -> tuple[Cause, ...]:
    """Return the line of a lock that made a name of the hub another commit."""
    then = {one.key: one.commit for one in old.pins}
    for one in (*new.pins, *old.pins):
        now = next((pin.commit for pin in new.pins if pin.key == one.key), "")
        was = then.get(one.key, "")
        marks = ((causes.new.pins, False), (causes.old.pins, True))
        place = next(((pins[one.key], gone) for pins, gone in marks if one.key in pins), None)
        if was != now and place and path.replace("[", ".").split(".")[0] == one.parameter:
            mark, gone = place
            return (
                Cause(
                    mark=mark,
                    name=one.key[1],
                    old=was or ABSENT,
                    new=now or ABSENT,
                    gone=gone,
                ),
            )
    return ()


def _rest(plan: Plan) -> dict[str, Any]:
    return {key: value for key, value in asdict(plan).items() if key not in _PLAN}


def _stage(old: Stage, new: Stage, causes: Causes, then: Plan, now: Plan) -> Iterator[Change]:
    """Yield what changes in one stage: its parameters, then its own keys."""
    name = new.name
    changes = [
        Change(
            stage=name,
            name=path,
            old=was,
            new=is_now,
            causes=causes.of(f"stages.{name}.params.{path}")
            or _lock_causes(path, old, new, causes),
        )
        for path, was, is_now in pairs(old.params, new.params)
    ]
    if old.tool != new.tool:
        yield Change(
            stage=name,
            name="tool",
            old=old.tool,
            new=new.tool,
            causes=causes.of(f"stages.{name}.tool"),
        )
        changes = [
            one for one in changes if causes.has_statement(f"stages.{name}.params.{one.name}")
        ]
    files = (plan.tools.get(one.tool, {}) for plan, one in ((then, old), (now, new)))
    for path, was, is_now in pairs(*files) if old.tool == new.tool else ():
        changes.append(Change(stage=name, name=f"{_FILE}{path}", old=was, new=is_now))
    for path, was, is_now in pairs(_keys(old), _keys(new)):
        changes.append(
            Change(
                stage=name,
                name=path,
                old=was,
                new=is_now,
                causes=causes.of(f"stages.{name}.{path}"),
            )
        )
    for path, was, is_now in pairs(_limits(old, then), _limits(new, now)):
        changes.append(
            Change(stage=name, name=f"expect: {path}", old=was, new=is_now, causes=causes.of(path))
        )
    if not any(change.name == "iters" for change in changes):
        path = f"stages.{name}.budget.epochs"  # where rows are not known here, it gives no iters
        was, is_now = causes.texts(path)
        if was != is_now:
            changes.append(
                Change(
                    stage=name, name="budget.epochs", old=was, new=is_now, causes=causes.of(path)
                )
            )
    yield from changes
    waits = [one for one in {*old.after} ^ {*new.after} if not _has_explanation(one, changes)]
    if waits:
        why = causes.of(f"stages.{name}.needs")
        yield Change(stage=name, name="needs", old=list(old.after), new=list(new.after), causes=why)


def _entire(
    stage: Stage, tool: Tool | None, side: Side, causes: Causes, removed: tuple[str, ...]
) -> Iterator[Change]:
    """Yield what a stage that only one side has says, but for its tool's own defaults.

    `removed` are all stages that are, where it is one of them.
    """
    defaults = dict(leaves(tool.defaults)) if tool else {}
    bare = Stage(name=stage.name, tool=stage.tool, params={}, outputs={})
    entries: dict[str, tuple[str, Any]] = {}
    for inside, value in leaves(stage.params):
        name = dotted(inside)
        whole = f"stages.{stage.name}.params.{name}"
        origin = side.origins.get(whole)
        in_recipe = (
            origin is None or origin.winner or origin.losers
        )  # not placed in the run directory
        if in_recipe and not _same(value, defaults.get(inside, ABSENT)):
            entries[name] = (whole, value)
    for name, _, value in pairs(_keys(bare), _keys(stage)):
        entries[name] = (f"stages.{stage.name}.{name}", value)
    for name, (path, value) in entries.items():
        why = causes.whole(path, removed)
        old, new = (value, ABSENT) if removed else (ABSENT, value)
        yield Change(stage=stage.name, name=name, old=old, new=new, causes=why)


def _keys(stage: Stage) -> dict[str, Any]:
    """Return a stage's own keys as a recipe names them: whatever a plan holds, but words on it."""
    keys = {key: value for key, value in stage.as_dict().items() if key not in _OTHER}
    lists = {key: [*value] if isinstance(value, tuple) else value for key, value in keys.items()}
    lists["continue"] = lists.pop("continues")
    return {**lists, **stage.trainer}


def _limits(stage: Stage, plan: Plan) -> dict[str, Any]:
    """Return the vars that a stage's expectations read, with their values."""
    read = {
        name for name in plan.vars for text in stage.expect if re.search(rf"\bvars\.{name}\b", text)
    }
    return {"vars": {name: plan.vars[name] for name in plan.vars if name in read}}


def _has_explanation(waits: str, changes: list[Change]) -> bool:
    """Return whether a change of what is read says already that another stage comes before."""
    words = (f"{RUN_DIR}/{waits}/", f"stages.{waits}.")
    return any(word in f"{change.old!r} {change.new!r}" for change in changes for word in words)


def pairs(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, old and new of each value that differs; lists of one length entry by entry."""
    for path, was, now in _differing(old, new, ()):
        yield dotted(path), was, now


def _differing(old: Any, new: Any, above: Path) -> Iterator[tuple[Path, Any, Any]]:
    if _same(old, new):
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping) and ((old and new) or not above):
        for key in dict.fromkeys((*new, *old)):
            yield from _differing(old.get(key, ABSENT), new.get(key, ABSENT), (*above, key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for at, (was, now) in enumerate(zip(old, new, strict=True)):
            yield from _differing(was, now, (*above, at))
    else:
        yield above, old, new


def _same(old: Any, new: Any) -> bool:
    """Return whether two values are told alike: 1 and 1.0 are not, a list and a tuple are."""
    if old is ABSENT or new is ABSENT:
        return old is new
    return json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)


def _stale_stages(plan: Plan, changed: set[str]) -> tuple[str, ...]:
    """Return the stages that do not change and read, even through others, from one that does."""
    stale = set(changed)
    for stage in plan.stages:
        if stale & {*stage.after}:
            stale.add(stage.name)
    return tuple(stage.name for stage in plan.stages if stage.name in stale - changed)


def _new_names(old: Plan, new: Plan) -> dict[str, str]:
    """Return new name -> old one of each stage that is another's work under a new name."""
    matches: dict[str, str] = {}
    while more := _alike(_with_names(old, matches), new):
        matches |= more
    return matches


def _alike(old: Plan, new: Plan) -> dict[str, str]:
    """Return the best match of each stage that only one plan has, the most alike first."""
    only_old = [stage for stage in old.stages if stage.name not in {one.name for one in new.stages}]
    only_new = [stage for stage in new.stages if stage.name not in {one.name for one in old.stages}]
    pairs = [(_likeness(was, now), was.name, now.name) for was in only_old for now in only_new]
    matches: dict[str, str] = {}
    for share, was, now in sorted(pairs, key=lambda pair: -pair[0]):
        if share >= ALIKE and now not in matches and was not in matches.values():
            matches[now] = was
    return matches


def _likeness(old: Stage, new: Stage) -> float:
    """Return the share of two stages' parameters that are equal, but for where they write."""
    if old.tool != new.tool:
        return 0.0
    params = _with_folder(old.params, old.name, new.name)
    was = {path: json.dumps(value) for path, value in leaves(params)}
    now = {path: json.dumps(value) for path, value in leaves(new.params)}
    return sum(was.get(path) == value for path, value in now.items()) / len({*was, *now})


def _with_folder(value: Any, old: str, new: str) -> Any:
    """Return a value with one stage's place in the run directory called by its new name."""
    if isinstance(value, str):
        return value.replace(f"{RUN_DIR}/{old}/", f"{RUN_DIR}/{new}/")
    if isinstance(value, Mapping):
        return {key: _with_folder(child, old, new) for key, child in value.items()}
    return [_with_folder(child, old, new) for child in value] if isinstance(value, list) else value


def _with_names(plan: Plan, renamed: Mapping[str, str]) -> Plan:
    """Return a plan with its stages called as the other plan calls them."""
    names = {was: now for now, was in renamed.items()}
    stages = []
    for stage in plan.stages:
        params, expect = dict(stage.params), stage.expect
        for was, now in names.items():
            params = _with_folder(params, was, now)
            expect = tuple(text.replace(f"stages.{was}.", f"stages.{now}.") for text in expect)
        after = tuple(names.get(name, name) for name in stage.after)
        name = names.get(stage.name, stage.name)
        stages.append(replace(stage, name=name, params=params, expect=expect, after=after))
    return replace(plan, stages=tuple(stages))
