"""A stage and its tool in, the numbers of its training out, by whatever names the tool has."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from runner.catalog.tools import Catalog, Tool
from runner.plan.model import Stage


class Training(Struct, frozen=True, kw_only=True):
    """One training in numbers; a number that its tool has no parameter for is None.

    `rate` is the learning rate if no `schedule` is used. Checkpoints are saved, and validations
    made, every this many iterations; 0 is never. `resumes` is the adapter it starts from.
    """

    iterations: int
    batch: int | None = None
    accumulation: int = 1
    rate: float | None = None
    schedule: Mapping[str, Any] | None = None
    seed: int | None = None
    checkpoints: int = 0
    validations: int = 0
    resumes: str | None = None

    @property
    def updates(self) -> int:
        """How many optimizer updates it makes; a rest is never applied (T36)."""
        return self.iterations // self.accumulation

    @property
    def rows(self) -> int:
        """How many rows it goes through, as far as its batch is known."""
        return self.iterations * (self.batch or 1)

    @property
    def peak(self) -> float | None:
        """The learning rate that counts: the schedule's first if there is one (T28)."""
        first = (self.schedule or {}).get("arguments")
        return float(first[0]) if first else self.rate

    @property
    def warmup(self) -> int:
        """The updates before its learning rate is reached."""
        return int((self.schedule or {}).get("warmup", 0))

    @property
    def least(self) -> int:
        """How many iterations it takes until it has really learned something.

        Two updates past the warm-up: the first of all runs at warmup_init, which is 0 by default.
        """
        return (self.warmup + 2) * self.accumulation


def trainings(stages: Iterable[Stage], catalog: Catalog) -> dict[str, Training]:
    """Return the numbers of the trainings among stages, by the names of these."""
    each = {stage.name: training(stage, catalog.get(stage.tool)) for stage in stages}
    return {name: one for name, one in each.items() if one is not None}


def training(stage: Stage, tool: Tool | None) -> Training | None:
    """Return the numbers of a stage's training, None for one that does not train."""
    where = tool.trains if tool is not None and tool.is_training(stage.params) else None
    if where is None:
        return None

    def number(name: str | None) -> int | None:
        value = stage.params.get(name) if name else None
        return value if type(value) is int and value > 0 else None

    rate = stage.params.get(where.learning_rate or "")
    schedule = stage.params.get(where.schedule or "")
    seed = stage.params.get(where.seed or "")
    resumes = stage.params.get(where.resumes or "")
    return Training(
        iterations=number(where.iterations) or 0,
        batch=number(where.batch),
        accumulation=number(where.accumulation) or 1,
        rate=float(rate) if isinstance(rate, int | float) else None,
        schedule=schedule if isinstance(schedule, Mapping) else None,
        seed=seed if isinstance(seed, int) else None,
        checkpoints=number(where.checkpoints) or 0,
        validations=number(where.validations) or 0,
        resumes=resumes if isinstance(resumes, str) else None,
    )
