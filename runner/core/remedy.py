"""A class of failure and the stage that met it -> which parameters to change, and to what."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runner.core.plan import Stage

Json = dict[str, Any]
_HALVES = ("max_seq_length", "num_layers", "num_samples", "sequence_length")
_LEAST = {"max_seq_length": 256, "num_layers": 1, "num_samples": 1, "sequence_length": 256}
_LONGER, _GENTLER, _EACH = 2, 10, 2


@dataclass(frozen=True, slots=True)
class Change:
    """One parameter, or a stage's own key, as it is and as it could be."""

    path: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.path}: {said(self.old)} -> {said(self.new)}"

    def as_dict(self) -> Json:
        """Return the change as JSON-ready values."""
        return {"path": self.path, "from": self.old, "to": self.new}


def remedies(kind: str, stage: Stage, tail: str) -> tuple[Change, ...]:
    """Return what to change, the most helpful first; nothing where no parameter helps."""
    find = _REMEDIES.get(kind)
    return tuple(find(stage, tail)) if find else ()


def _memory(stage: Stage, _: str) -> Iterator[Change]:
    """Yield what takes less memory; the effective batch stays."""
    params = stage.params
    batch = params.get("batch_size")
    if isinstance(batch, int) and batch > 1:
        smaller = max(1, batch // _EACH)
        yield Change("batch_size", batch, smaller)
        group = params.get("grad_accumulation_steps")
        if isinstance(group, int) and params.get("train"):
            yield Change("grad_accumulation_steps", group, group * batch // smaller)
    if params.get("train") and params.get("grad_checkpoint") is False:
        yield Change("grad_checkpoint", old=False, new=True)
    for name in _HALVES:
        value = params.get(name)
        if isinstance(value, int) and value // _EACH >= _LEAST[name]:
            yield Change(name, value, value // _EACH)


def _shorter(stage: Stage, tail: str) -> Iterator[Change]:
    wanted = {"batch_size", "grad_accumulation_steps", "max_seq_length"}
    yield from (change for change in _memory(stage, tail) if change.path in wanted)


def _gentler(stage: Stage, _: str) -> Iterator[Change]:
    """Yield a tenth of the learning rate that counts: the schedule's, where there is one."""
    schedule = stage.params.get("lr_schedule")
    if isinstance(schedule, Mapping) and schedule.get("arguments"):
        old = list(schedule["arguments"])
        new = [_tenth(old[0]), *old[1:]]
        yield Change("lr_schedule.arguments", old, new)
    elif isinstance(stage.params.get("learning_rate"), int | float):
        old = stage.params["learning_rate"]
        yield Change("learning_rate", old, _tenth(old))


def _fewer(stage: Stage, _: str) -> Iterator[Change]:
    """Yield fewer checkpoints: two of the training."""
    every, iters = stage.params.get("save_every"), stage.params.get("iters")
    if isinstance(every, int) and isinstance(iters, int) and every * _EACH < iters:
        yield Change("save_every", every, iters // _EACH)


def _rows(stage: Stage, tail: str) -> Iterator[Change]:
    """Yield the batch that fits the rows the log speaks of."""
    found = re.search(r"at least batch_size=(\d+) examples but only has (\d+)", tail)
    if found and int(found[2]):
        yield Change("batch_size", stage.params.get("batch_size"), int(found[2]))


def _tokens(stage: Stage, _: str) -> Iterator[Change]:
    for name in ("num_samples", "sequence_length"):
        value = stage.params.get(name)
        if isinstance(value, int) and value > 1:
            yield Change(name, value, value // _EACH)


def _patient(stage: Stage, _: str) -> Iterator[Change]:
    if stage.timeout:
        yield Change("timeout", stage.timeout, stage.timeout * _LONGER)


def _afresh(_: Stage, __: str) -> Iterator[Change]:
    yield Change("continue", old=True, new=False)


_REMEDIES: Mapping[str, Callable[[Stage, str], Iterator[Change]]] = {
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
    "cannot go on": _afresh,
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


def place(stage: Stage, change: Change) -> str:
    """Return a change as the words of --set."""
    inside = "" if change.path in _OWN else "params."
    return f"--set stages.{stage.name}.{inside}{change.path}={said(change.new)}"


def subject(kind: str, stage: Stage) -> str:
    """Return which of a stage's values a failure may be about, '' where it is about none."""
    if kind not in _NAMED:
        return ""
    said = [f"{name}: {value}" for name in _NAMES if (value := stage.params.get(name))]
    return f"This stage has {', '.join(said)}." if said else ""


def _tenth(rate: float) -> float:
    return float(f"{rate / _GENTLER:.15g}")


def said(value: Any) -> str:
    """Return a value as YAML says it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)
