"""The record of a run as a value: host, plan, and the state and results of every stage."""

import math
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, NotRequired, TypedDict

from msgspec import Struct, field
from msgspec.structs import asdict, replace

from runner.base.formatting import pretty_json
from runner.base.patterns import pattern
from runner.base.values import read_as
from runner.plan.model import Plan

Json = dict[str, Any]
_NAME = pattern(r"[A-Za-z_][A-Za-z0-9_]*")  # as schema/envelope.json has it: a folder of the run
FORMAT = 1
_RARE = {"hub", "reused"}  # of a stage, left out of its record where it has none


class State(StrEnum):
    """The state of a stage or a run."""

    PENDING = "pending"  # not begun
    RUNNING = "running"  # its process is alive, or was when this was written
    FINISHED = "finished"  # ended well, and its outputs passed the end check
    FAILED = "failed"  # ended badly; `failure` says how
    INTERRUPTED = "interrupted"  # stopped by the user or by a signal


class Print(TypedDict):
    """What identifies a file: size, times in ns, and content."""

    sha256: str
    size: NotRequired[int]
    mtime: NotRequired[int]
    inode: NotRequired[int]
    ctime: NotRequired[int]


class JudgementNote(TypedDict):
    """An expectation that was judged: the figures it read, by name, or why it has no answer."""

    expected: str
    figures: dict[str, Any]
    trouble: str


_Change = TypedDict("_Change", {"path": str, "from": Any, "to": Any})
FailureNote = TypedDict(
    "FailureNote",
    {
        "kind": str,
        "guidance": str,
        "tail": NotRequired[str],
        "log": NotRequired[str],
        "changes": NotRequired[list[_Change]],
        "try": NotRequired[str],
        "missed": NotRequired[list[JudgementNote]],
    },
)


class ReuseNote(TypedDict):
    """Where a stage's result was taken from, and how many seconds that had taken there."""

    run: str
    stage: str
    seconds: float


class StageRecord(Struct, frozen=True, kw_only=True):
    """One stage: times are UTC in ISO 8601, `seconds` its duration, `metrics` its last figures.

    `argv` is its whole command as the script has it, `words` what stands behind the tool's name in
    its process, whose outputs are made beside their places. `prints` are size, time, inode and
    SHA-256 of every file made, `identity` what of. `unenforced` are the judgements of expectations
    that did not hold and stopped nothing, as in a smoke run. `hub` are the folders of its pinned
    names, by the variables of the script: each ends in the commit. `setting` is what else the
    result depends on, `reused` the `run` and `stage` it was taken from, and the `seconds` saved.
    """

    name: str
    state: State = State.PENDING
    started: str = ""
    ended: str = ""
    seconds: float = 0.0
    attempts: int = 0
    argv: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    exit_code: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    prints: Mapping[str, Mapping[str, Print]] = field(default_factory=dict)
    identity: Mapping[str, Any] = field(default_factory=dict)
    expectations: tuple[tuple[str, bool], ...] = ()
    unenforced: tuple[Mapping[str, Any], ...] = ()
    audit: Mapping[str, int] = field(default_factory=dict)
    failure: Mapping[str, Any] = field(default_factory=dict)
    hub: Mapping[str, str] = field(default_factory=dict)
    setting: Mapping[str, str] = field(default_factory=dict)
    reused: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> Json:
        """Return the record as JSON-ready values, which are the record's own."""
        return {key: one for key, one in asdict(self).items() if one or key not in _RARE}


class Manifest(Struct, frozen=True, kw_only=True):
    """One run: `folder` is where it lives, `facts` what the machine was.

    `options` are the words it was asked for with that make it another run, or put it elsewhere.
    """

    id: str
    folder: str
    plan: Plan
    facts: Mapping[str, Any]
    stages: tuple[StageRecord, ...]
    state: State = State.PENDING
    started: str = ""
    ended: str = ""
    exit_code: int = 0
    options: tuple[str, ...] = ()

    def stage(self, name: str) -> StageRecord:
        """Return the record of a stage. Raises KeyError."""
        for record in self.stages:
            if record.name == name:
                return record
        raise KeyError(name)

    def with_stage(self, record: StageRecord) -> "Manifest":
        """Return the manifest with one stage's record replaced."""
        rows = tuple(record if row.name == record.name else row for row in self.stages)
        return replace(self, stages=rows)

    def as_dict(self) -> Json:
        """Return the manifest as JSON-ready values; `read_back` reads them."""
        stages = [record.as_json() for record in self.stages]
        return {"format": FORMAT, **asdict(self), "plan": self.plan.as_dict(), "stages": stages}


class Text:
    """The JSON text of a run's manifests, one after another: only changes are formatted again."""

    def __init__(self) -> None:
        self._plan: tuple[Plan | None, str] = (None, "")
        self._stages: dict[str, tuple[StageRecord, str]] = {}

    def of(self, manifest: Manifest) -> str:
        """Return a manifest as JSON, as `laid_out` lays it out."""
        if self._plan[0] is not manifest.plan:
            self._plan = (manifest.plan, pretty_json(manifest.plan.as_dict(), 2))
        parts = {
            "plan": self._plan[1],
            "stages": "[\n" + ",\n".join(map(self._stage, manifest.stages)) + "\n  ]",
        }
        values = {"format": FORMAT, **asdict(manifest)}
        rows = [f'  "{key}": {parts.get(key) or pretty_json(values[key], 2)}' for key in values]
        return "{\n" + ",\n".join(rows) + "\n}\n"

    def _stage(self, record: StageRecord) -> str:
        before, text = self._stages.get(record.name, (None, ""))
        if before is not record:
            text = "    " + pretty_json(record.as_json(), 4)
            self._stages[record.name] = (record, text)
        return text


def read_back(values: Json) -> Manifest:
    """Read a manifest back: each value of its type, and all of it of one piece.

    Raises ValueError, with the place of what is wrong, for one that no run of ours has written.
    """
    manifest = read_as(values, Manifest)
    record_names, plan_names = (
        [one.name for one in rows] for rows in (manifest.stages, manifest.plan.stages)
    )
    if not {*record_names} <= {*plan_names}:
        raise ValueError("its stages do not match its plan")
    if any(len({*names}) != len(names) for names in (record_names, plan_names)):
        raise ValueError("two of its stages have the same name")
    if not all(map(_NAME.fullmatch, plan_names)):
        raise ValueError("its stages have names that do not exist in the plan")
    for record in manifest.stages:
        if not all(map(math.isfinite, (record.seconds, *record.metrics.values()))):
            raise ValueError(f"a metric of {record.name} is not a number")
        read_as([*record.unenforced], list[JudgementNote])
        if record.reused:
            read_as({**record.reused}, ReuseNote)
        if record.failure:
            read_as({**record.failure}, FailureNote)
    return manifest


def summary(events: Iterable[Mapping[str, Any]], metrics: Iterable[str] = ()) -> dict[str, float]:
    """Return a stage's figures from its metric events: the last of each, the best validation.

    `metrics` are those of its tool, beside what every trainer measures.
    """
    figures: dict[str, float] = {}
    names = {*_FIGURES, *metrics}
    for event in events:
        figures |= {k: v for k, v in event.items() if k in names and isinstance(v, int | float)}
        loss = event.get("val_loss")
        if isinstance(loss, int | float):
            figures["best_val_loss"] = min(loss, figures.get("best_val_loss", loss))
    return figures


_FIGURES = (
    "train_loss",
    "val_loss",
    "test_loss",
    "test_ppl",
    "learning_rate",
    "tokens_per_second",
    "trained_tokens",
    "peak_memory",
    "kept_iteration",
    "last_iteration",
    "kept_val_loss",
    "last_val_loss",
    "retention_loss",
    "retention_ratio",
)
