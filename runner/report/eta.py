"""How much longer a run will take, from the speed of its trainings so far."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from runner.plan.model import Stage
from runner.plan.training import Training

FEW = 10
"""So many iterations are heard of before a speed is believed."""


class Outlook:
    """The iterations that remain, at the mean speed of the training that was heard of last.

    A training's first report is not counted: start-up and compilation are in its time. What
    validates takes the time of the validation that was heard of last. What does not train says
    nothing of its time: it is left out.
    """

    def __init__(self, trainings: Mapping[str, Training]) -> None:
        self._trainings = dict(trainings)
        self._done: dict[str, int] = {}
        self._pace = _Pace(stage="")
        self._validation = 0.0

    def hear(self, stage: Stage, event: Mapping[str, Any]) -> None:
        """Take in a metric of a running stage."""
        speed, iteration = event.get("iterations_per_second"), event.get("iteration")
        time = event.get("val_time")
        if event.get("event") == "val" and isinstance(time, int | float):
            self._validation = float(time)
        if event.get("event") != "train" or not isinstance(iteration, int):
            return
        training = self._trainings.get(stage.name)
        before = self._done.get(stage.name)
        self._done[stage.name] = iteration
        if training is None or before is None or iteration <= before:  # a retry begins again
            return
        if isinstance(speed, int | float) and speed > 0:
            pace = self._pace if self._pace.stage == stage.name else _Pace(stage=stage.name)
            step = iteration - before
            self._pace = pace.after(step, step * (training.batch or 1), step / speed)

    def drop(self, stage: Stage) -> None:
        """Take in that a stage has ended, or is skipped."""
        self._trainings.pop(stage.name, None)

    def of(self, stage: Stage) -> float | None:
        """Return the seconds that remain of a stage, None if nothing is known of them."""
        return self._of(stage.name)

    def _of(self, name: str) -> float | None:
        training = self._trainings.get(name)
        if self._pace.iterations < FEW or training is None:
            return None
        done = self._done.get(name, 0)
        remain = training.rows - done * (training.batch or 1)
        validations = _validations(training, done) * self._validation
        return max(0.0, remain) * self._pace.seconds / self._pace.rows + validations

    @property
    def seconds_left(self) -> float | None:
        """The seconds that remain, None if nothing is known or no training is left."""
        each = [self._of(name) for name in self._trainings]
        parts = [seconds for seconds in each if seconds is not None]
        return sum(parts) if parts else None


class _Pace(Struct, frozen=True, kw_only=True):
    """How many iterations, and rows, of a stage took how long."""

    stage: str
    iterations: int = 0
    rows: float = 0.0
    seconds: float = 0.0

    def after(self, iterations: int, rows: float, seconds: float) -> "_Pace":
        """Return the pace with more of them."""
        return _Pace(
            stage=self.stage,
            iterations=self.iterations + iterations,
            rows=self.rows + rows,
            seconds=self.seconds + seconds,
        )


def _validations(training: Training, done: int) -> int:
    """Return how often a training validates after an iteration: every so often, and at its end."""
    iters, every = training.iterations, training.validations
    if not every or done >= iters:
        return 0
    return int(iters // every - done // every + bool(iters % every) + (done < 1 < every))
