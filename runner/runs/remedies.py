"""A class of failure and the stage that met it -> which parameters to change, and to what."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from runner.catalog.tools import Tool, Trains
from runner.plan.model import Stage

Json = dict[str, Any]
_HALVES = ("max_seq_length", "num_layers", "num_samples", "sequence_length")
_LEAST = {"max_seq_length": 256, "num_layers": 1, "num_samples": 1, "sequence_length": 256}
_LONGER, _GENTLER, _EACH = 2, 10, 2


class Adjustment(Struct, frozen=True, kw_only=True):
    """One parameter, or a stage's own key, with its value and a better one.

    `source` is the place that sets it now, `target` the path that changes it if that is another.
    """

    path: str
    old: Any
    new: Any
    source: str = ""
    target: str = ""

    def __str__(self) -> str:
        where = f" ({self.source})" if self.source else ""
        return f"{self.path}: {said(self.old)} -> {said(self.new)}{where}"

    def as_dict(self) -> Json:
        """Return the change as JSON-ready values."""
        return {"path": self.path, "from": self.old, "to": self.new, "said": self.source}


class Way(Struct, frozen=True, kw_only=True):
    """Changes that belong together, and the values that the stage must have where they worked."""

    changes: tuple[Adjustment, ...]
    effect: Mapping[str, Any]

    @classmethod
    def of(cls, *changes: Adjustment) -> "Way":
        """Return the way whose effect is that each change holds."""
        return cls(changes=changes, effect={one.path: one.new for one in changes})

    def works(self, stage: Stage) -> bool:
        """Return whether a stage has the values that these changes are for."""
        return all(value(stage, path) == target for path, target in self.effect.items())


Step = tuple[Way, ...]
"""Ways to the same end, the plainest first: the first one that works is taken."""


class _Case(Struct, frozen=True, kw_only=True):
    """A stage that failed, what its log ends with, and where its tool's parameters are.

    `trains` is None where it does not train.
    """

    stage: Stage
    tail: str
    trains: Trains | None

    @property
    def batch(self) -> str:
        """The parameter that says how many rows are taken at once."""
        return (self.trains and self.trains.batch) or "batch_size"


def remedies(kind: str, stage: Stage, tail: str, tool: Tool) -> tuple[Step, ...]:
    """Return what to change, the most helpful first; nothing where no parameter helps."""
    find = _REMEDIES.get(kind)
    trains = tool.trains if tool.is_training(stage.params) else None
    return tuple(find(_Case(stage=stage, tail=tail, trains=trains))) if find else ()


def value(stage: Stage, path: str) -> Any:
    """Return what a stage has at a change's path; None where it has nothing."""
    own = {"timeout": stage.timeout, "continue": stage.continues}
    result: Any = own if path in _OWN else stage.params
    for name in path.split("."):
        result = result.get(name) if isinstance(result, Mapping) else None
    return result


def _memory(case: _Case) -> Iterator[Step]:
    """Yield what takes less memory; the effective batch stays, where that can be."""
    params = case.stage.params
    batch = params.get(case.batch)
    if isinstance(batch, int) and batch > 1:
        smaller = max(1, batch // _EACH)
        less = Adjustment(path=case.batch, old=batch, new=smaller)
        name = (case.trains and case.trains.accumulation) or ""
        group = params.get(name)
        if isinstance(group, int):
            more = Adjustment(path=name, old=group, new=group * batch // smaller)
            yield (Way.of(less, more), Way.of(less))
        else:
            yield (Way.of(less),)
    if case.trains and params.get("grad_checkpoint") is False:
        yield (Way.of(Adjustment(path="grad_checkpoint", old=False, new=True)),)
    for name in _HALVES:
        before = params.get(name)
        if isinstance(before, int) and before // _EACH >= _LEAST[name]:
            yield (Way.of(Adjustment(path=name, old=before, new=before // _EACH)),)


def _shorter(case: _Case) -> Iterator[Step]:
    names = {case.batch, "max_seq_length"}
    for step in _memory(case):
        if step[0].changes[0].path in names:
            yield step


def _gentler(case: _Case) -> Iterator[Step]:
    """Yield a tenth of the learning rate that counts: the schedule's, if there is one."""
    params, where = case.stage.params, case.trains
    plan, name = (where and where.schedule) or "", (where and where.learning_rate) or ""
    schedule, rate = params.get(plan), params.get(name)
    lower = (
        Adjustment(path=name, old=rate, new=_tenth(rate)) if isinstance(rate, int | float) else None
    )
    if isinstance(schedule, Mapping) and schedule.get("arguments"):
        old = list(schedule["arguments"])
        peak = Adjustment(path=f"{plan}.arguments", old=old, new=[_tenth(old[0]), *old[1:]])
        follows = lower and Way(
            changes=(lower,), effect={peak.path: peak.new, lower.path: lower.new}
        )
        both = lower and Way.of(lower, peak)
        yield tuple(way for way in (Way.of(peak), follows, both) if way)
    elif lower:
        yield (Way.of(lower),)


def _fewer(case: _Case) -> Iterator[Step]:
    """Yield fewer checkpoints: two of the training."""
    where = case.trains
    if where is None or where.checkpoints is None:
        return
    every, iters = (case.stage.params.get(one) for one in (where.checkpoints, where.iterations))
    if isinstance(every, int) and isinstance(iters, int) and every * _EACH < iters:
        yield (Way.of(Adjustment(path=where.checkpoints, old=every, new=iters // _EACH)),)


def _rows(case: _Case) -> Iterator[Step]:
    """Yield the batch that fits the rows the log speaks of."""
    match = re.search(r"at least batch_size=(\d+) examples but only has (\d+)", case.tail)
    if match and int(match[2]):
        yield (
            Way.of(
                Adjustment(
                    path=case.batch, old=case.stage.params.get(case.batch), new=int(match[2])
                )
            ),
        )


def _tokens(case: _Case) -> Iterator[Step]:
    for name in ("num_samples", "sequence_length"):
        before = case.stage.params.get(name)
        if isinstance(before, int) and before > 1:
            yield (Way.of(Adjustment(path=name, old=before, new=before // _EACH)),)


def _patient(case: _Case) -> Iterator[Step]:
    stage = case.stage
    if stage.timeout:
        yield (Way.of(Adjustment(path="timeout", old=stage.timeout, new=stage.timeout * _LONGER)),)


def _afresh(case: _Case) -> Iterator[Step]:
    if case.stage.continues:
        yield (Way.of(Adjustment(path="continue", old=True, new=False)),)


_REMEDIES: Mapping[str, Callable[[_Case], Iterator[Step]]] = {
    "out of memory": _memory,
    "killed": _memory,
    "crashed": _memory,
    "GPU watchdog": _shorter,
    "non-finite": _gentler,
    "forgotten": _gentler,
    "disk full": _fewer,
    "data": _rows,
    "too few tokens": _tokens,
    "timeout": _patient,
    "cannot resume": _afresh,
}
_NAMED = frozenset(
    {
        "gated model",
        "hub not reachable",
        "model not found",
        "damaged model",
        "unsupported model",
        "not a model",
        "no tokenizer",
        "data not found",
        "adapter mismatch",
    }
)
_NAMES = ("model", "hf_path", "repo_id", "adapter_path", "resume_adapter_file", "data")
_OWN = frozenset({"timeout", "continue"})


def assignment(stage: Stage, change: Adjustment) -> str:
    """Return a change as the PATH=VALUE of --set."""
    return f"{change.target or place(stage, change)}={said(change.new)}"


def place(stage: Stage, change: Adjustment) -> str:
    """Return the path of the value that a change is about."""
    inside = "" if change.path in _OWN else "params."
    return f"stages.{stage.name}.{inside}{change.path}"


def subject(kind: str, stage: Stage) -> str:
    """Return which of a stage's values a failure may be about, '' if it is about none."""
    if kind not in _NAMED:
        return ""
    parts = [f"{name}: {value}" for name in _NAMES if (value := stage.params.get(name))]
    return f"This stage has {', '.join(parts)}." if parts else ""


def _tenth(rate: float) -> float:
    return float(f"{rate / _GENTLER:.15g}")


def said(value: Any) -> str:
    """Return a value as YAML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)
