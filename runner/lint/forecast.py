"""What a training will amount to: epochs, updates, checkpoints, replay."""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from runner.base.problems import plural
from runner.lint.facts import DataSet
from runner.lint.lineage import data_at, data_of, mix_of
from runner.lint.rule import View
from runner.plan.training_math import updates


class Forecast(Struct, frozen=True, kw_only=True):
    """One training in figures; `rows` and `epochs` are None where the data is not on this disk."""

    stage: str
    iterations: int
    batch: int
    accumulation: int
    rows: int | None
    updates: int
    warmup: int
    checkpoints: int
    validations: int
    learning_rate: float
    replay: float | None = None
    resumes: str | None = None
    ratio: float | None = None
    keeps: bool = False
    looks: int = 0

    @property
    def epochs(self) -> float | None:
        """How often the rows are seen; those that fill no batch never are (T63)."""
        batches = (self.rows or 0) // self.batch
        return self.iterations / batches if batches else None

    def __str__(self) -> str:
        return f"budget {self.stage}: {', '.join(self._parts())}"

    @property
    def brief(self) -> str:
        """The same in a few words, for where many are told."""
        epochs = f" = {self.epochs:.2f} epochs" if self.epochs is not None else ""
        rate = f"learning rate {self.learning_rate:.3g}"
        return f"budget {self.stage}: {self.iterations:,} iterations{epochs}, {rate}"

    def _parts(self) -> Iterator[str]:
        of = f" of {_many(self.rows, 'row')}" if self.rows is not None else ""
        epochs = f" = {self.epochs:.2f} epochs{of}" if self.epochs is not None else ""
        yield f"{_many(self.iterations, 'iteration')} of {plural(self.batch, 'row')}{epochs}"
        share = f", {self.warmup / self.updates:.1%} of them warm-up" if self.warmup else ""
        yield f"{_many(self.updates, 'update')}{share}"
        if self.accumulation > 1:
            # T37: the mean of batch means, not weighted by tokens.
            size = self.batch * self.accumulation
            yield f"{size} rows an update, as the mean of {self.accumulation} batch means"
        choice = " of which the best is kept" if self.keeps else ""
        yield f"{plural(self.checkpoints, 'checkpoint')}{choice}"
        yield plural(self.validations, "validation")
        if self.looks:
            yield f"{plural(self.looks, 'look')} at what is watched"
        if self.replay is not None:
            yield f"{self.replay:.4g} of the rows replayed"
        ratio = f", {self.ratio:.3g} x that of {self.resumes}" if self.ratio is not None else ""
        yield f"learning rate {self.learning_rate:.3g}{ratio}"


def forecast(view: View) -> Forecast | None:
    """Return what a stage's training amounts to, None for a stage that does not train."""
    if not view.trains:
        return None
    params = view.params
    data = data_of(view)
    schedule = params["lr_schedule"]
    before = view.maker(params["resume_adapter_file"])
    rate = _rate(params)
    return Forecast(
        stage=view.stage.name,
        iterations=params["iters"],
        batch=params["batch_size"],
        accumulation=params["grad_accumulation_steps"],
        rows=data.rows.get("train") if data else None,
        updates=updates(params),
        warmup=schedule["warmup"] if schedule else 0,
        checkpoints=-(-params["iters"] // params["save_every"]),
        validations=2 + (params["iters"] - 1) // params["steps_per_eval"],
        learning_rate=rate,
        replay=_replay_share(view, data),
        resumes=before.name if before else None,
        ratio=rate / _rate(before.params) if before and before.tool == "mlx_lm.lora" else None,
        keeps=view.stage.trainer.get("keep") == "best",
        looks=_looks(view),
    )


def _many(number: int, what: str) -> str:
    """Return ``1 update``, ``1,200 updates``."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def _looks(view: View) -> int:
    """Return how often a data set that is watched is looked at: first, last, and in between."""
    every = view.stage.trainer.get("watch.retention.every")
    return 0 if every is None else 2 + (view.params["iters"] - 1) // every


def _rate(params: Mapping[str, object]) -> float:
    """Return the learning rate that counts: the schedule's peak where there is one (T28)."""
    schedule = params["lr_schedule"]
    if isinstance(schedule, Mapping):
        return float(schedule["arguments"][0])
    rate = params["learning_rate"]
    return float(rate) if isinstance(rate, int | float) else 0.0


def _replay_share(view: View, data: DataSet | None) -> float | None:
    """Return the share of replayed rows that will really be among the mixed ones."""
    mix = mix_of(view, view.params["data"])
    primary = data_at(view, mix.params["primary"]) if mix else None
    if data is None or primary is None or not data.rows.get("train"):
        return None
    return 1 - primary.rows["train"] / data.rows["train"]
