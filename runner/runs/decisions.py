"""A plan and its history in; for each stage, run or skip out, each with its cause."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct, field

from runner.base.constants import RUN_DIR
from runner.base.problems import listing
from runner.catalog.tools import Catalog, Tool
from runner.plan.inputs import readings
from runner.plan.model import Plan, Stage
from runner.plan.pins import exact
from runner.runs.manifest import StageRecord, State


class Identity(Struct, frozen=True, kw_only=True):
    """What a stage's result depends on, part by part; equal identities make equal results.

    The parts are hashed and explained from the same mapping, so that "did it change?" and "what
    changed?" cannot disagree.
    """

    parts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The hash of all parts."""
        text = json.dumps(self.parts, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def changes(self, before: "Identity") -> Iterator[str]:
        """Yield what is different from `before`, a phrase each."""
        for name in sorted(self.parts.keys() | before.parts.keys()):
            old, new = before.parts.get(name, _ABSENT), self.parts.get(name, _ABSENT)
            if old == new:
                continue
            if name.startswith(("input ", "stage ")) or _ABSENT in (old, new):
                yield f"{name} changed"
            else:
                yield f"{name} changed: {_short(old)} -> {_short(new)}"


_ABSENT = "(absent)"
FIRST = "not run yet"
MISSED = "expectation"


class Action(Struct, frozen=True, kw_only=True):
    """What to do with a stage, and why."""

    stage: str
    do: Literal["run", "judge", "skip", "reuse"]
    cause: str

    def __str__(self) -> str:
        return f"{self.do:5} {self.stage}: {self.cause}"


def identities(
    plan: Plan, catalog: Catalog, versions: Mapping[str, str], digests: Mapping[str, str]
) -> dict[str, Identity]:
    """Return each stage's identity; `digests` are those of local paths that stages read."""
    result: dict[str, Identity] = {}
    for stage in plan.stages:
        tool = catalog.get(stage.tool)
        if tool is not None:
            upstream = {f"stage {name}": result[name].digest for name in stage.after}
            paths = [one.path for one in readings(stage, catalog)]
            read = {f"input {path}": digests[path] for path in paths if path in digests}
            result[stage.name] = Identity(
                parts={
                    "tool": stage.tool,
                    "version": _version(tool, versions),
                    **({"tool file": _digest(tool.schema)} if stage.tool in plan.tools else {}),
                    "environment": dict(plan.env),
                    **{f"launch.{name}": value for name, value in stage.launch.items()},
                    **stage.trainer,
                    **_matter(stage, tool),
                    **read,
                    **upstream,
                }
            )
    return result


def schedule(
    plan: Plan,
    names: Sequence[str],
    identity_of: Mapping[str, Identity],
    records: Mapping[str, StageRecord],
    damaged: Mapping[str, str],
    doubted: Collection[str] = (),
) -> list[Action]:
    """Return what to do with each named stage; `damaged` says what happened to finished outputs.

    `doubted` are the stages whose expectations read what has another value now.
    """
    again: set[str] = set()
    actions = []
    for stage in plan.stages:
        if stage.name not in names:
            continue
        record = records.get(stage.name)
        expectations = tuple(text for text, _ in record.expectations) if record else ()
        is_judged = expectations == stage.expect and stage.name not in doubted
        cause = _cause(stage, identity_of[stage.name], record, damaged, again)
        if not cause and is_judged and record and record.failure.get("kind") == MISSED:
            cause = "its expectations were not met"
        if cause:
            again.add(stage.name)
            actions.append(Action(stage=stage.name, do="run", cause=cause))
        elif record and record.state is State.RUNNING:
            actions.append(
                Action(
                    stage=stage.name,
                    do="judge",
                    cause="it ran, but its outputs are not in place yet",
                )
            )
        elif not is_judged:
            actions.append(Action(stage=stage.name, do="judge", cause="its expectations changed"))
        else:
            actions.append(
                Action(stage=stage.name, do="skip", cause=f"finished {records[stage.name].ended}")
            )
    return actions


def was_cut_off(record: StageRecord | None) -> bool:
    """Return whether a stage began and did not end well; its expectations are not its own end."""
    begun = record is not None and record.state not in {State.PENDING, State.FINISHED}
    return begun and record is not None and not record.prints


def _cause(
    stage: Stage,
    identity: Identity,
    record: StageRecord | None,
    damaged: Mapping[str, str],
    again: set[str],
) -> str:
    """Return why a stage must run, '' if it need not."""
    if record is None or record.state is State.PENDING:
        return FIRST
    is_miss = record.failure.get("kind") == MISSED
    is_unplaced = record.state is State.RUNNING and record.prints
    changed = list(identity.changes(Identity(parts=record.identity))) if record.identity else []
    if record.state is not State.FINISHED and not is_miss and not is_unplaced:
        what = f", and {listing(changed, 3)}" if changed else ""
        return f"it {_ENDED[record.state]}{what}"
    if changed:
        return listing(changed, 3)
    if stage.name in damaged:
        return damaged[stage.name]
    before = [name for name in stage.after if name in again]
    return f"stage {before[0]} runs again" if before else ""


_ENDED = {
    State.RUNNING: "was interrupted",
    State.FAILED: "failed",
    State.INTERRUPTED: "was stopped",
}


def _matter(stage: Stage, tool: Tool) -> dict[str, Any]:
    """Return the parameters that change what is made; where it is put is not among them.

    A name of the hub is one with its commit.
    """
    outputs = {output.param for output in tool.outputs.values()}
    matter = {
        name: value
        for name, value in exact(stage, tool).items()
        if name in tool.parameters
        and not tool.parameters[name].cosmetic
        and not (name in outputs and _own(value, stage))
    }
    return dict(_leaves(matter, ""))


def _leaves(values: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _own(value: Any, stage: Stage) -> bool:
    return isinstance(value, str) and value.startswith(f"{RUN_DIR}/{stage.name}/")


def _digest(schema: Mapping[str, Any]) -> str:
    text = json.dumps(schema, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def _version(tool: Tool, versions: Mapping[str, str]) -> str:
    if tool.own or tool.distribution is None:
        return f"run_recipe {versions.get('run_recipe', '?')}"
    return f"{tool.distribution} {versions.get(tool.distribution, '?')}"


def _short(value: Any, width: int = 32) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= width else f"{text[: width - 1]}…"
