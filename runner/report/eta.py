"""How long a run will go on, from what its trainings have shown so far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.plan.model import Stage


class Outlook:
    """The iterations that remain, at the mean speed of the training that was heard of last.

    What does not train says nothing of its time: it is left out.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._rows = {stage.name: rows(stage) for stage in stages}
        self._done: dict[str, float] = {}
        self._pace = _Pace("")

    def heard(self, stage: Stage, event: Mapping[str, Any]) -> None:
        """Take in a metric of a running stage."""
        speed, iteration = event.get("iterations_per_second"), event.get("iteration")
        if event.get("event") != "train" or not isinstance(iteration, int):
            return
        before, now = self._done.get(stage.name, 0.0), iteration * _batch(stage)
        self._done[stage.name] = now
        if isinstance(speed, int | float) and speed > 0 and now:
            step = now - before if now > before else now  # a retry begins again
            pace = self._pace if self._pace.stage == stage.name else _Pace(stage.name)
            self._pace = pace.after(step, step / (speed * _batch(stage)))

    def ended(self, stage: Stage) -> None:
        """Take in that a stage has ended, or is skipped."""
        self._rows.pop(stage.name, None)

    @property
    def left(self) -> float | None:
        """The seconds that remain, None where nothing is known or no training is left."""
        if not self._pace.seconds or not any(self._rows.values()):
            return None
        remain = sum(rows - self._done.get(name, 0) for name, rows in self._rows.items())
        return max(0.0, remain * self._pace.seconds / self._pace.rows)


@dataclass(frozen=True, slots=True)
class _Pace:
    """How many rows of a stage took how long."""

    stage: str
    rows: float = 0.0
    seconds: float = 0.0

    def after(self, rows: float, seconds: float) -> "_Pace":
        """Return the pace with more rows."""
        return _Pace(self.stage, self.rows + rows, self.seconds + seconds)


def rows(stage: Stage) -> float:
    """Return how many rows a training goes through, 0 for a stage that is none."""
    return stage.params["iters"] * _batch(stage) if stage.params.get("train") else 0


def _batch(stage: Stage) -> float:
    return float(stage.params.get("batch_size") or 1)
