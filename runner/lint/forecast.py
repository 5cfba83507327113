"""What a training will amount to: epochs, updates, checkpoints, replay."""

from collections.abc import Iterator

from msgspec import Struct

from runner.base.problems import plural
from runner.lint.facts import DataSet
from runner.lint.lineage import data_at, data_of, data_parameter, mix_of
from runner.lint.rule import View
from runner.plan.training import Training, training


class Forecast(Struct, frozen=True, kw_only=True):
    """One training in figures; `rows` and `epochs` are None where the data is not on this disk."""

    stage: str
    iterations: int
    batch: int | None
    accumulation: int
    rows: int | None
    updates: int
    warmup: int
    checkpoints: int | None
    validations: int | None
    learning_rate: float | None
    replay: float | None = None
    resumes: str | None = None
    ratio: float | None = None
    keeps: bool = False
    looks: int = 0

    @property
    def epochs(self) -> float | None:
        """How often the rows are seen; those that fill no batch never are (T63)."""
        batches = (self.rows or 0) // self.batch if self.batch else 0
        return self.iterations / batches if batches else None

    def __str__(self) -> str:
        return f"budget {self.stage}: {', '.join(self._parts())}"

    @property
    def brief(self) -> str:
        """The same in a few words, for a list of many."""
        epochs = f" = {self.epochs:.2f} epochs" if self.epochs is not None else ""
        rate = f", learning rate {self.learning_rate:.3g}" if self.learning_rate else ""
        return f"budget {self.stage}: {self.iterations:,} iterations{epochs}{rate}"

    def _parts(self) -> Iterator[str]:
        of = f" of {_many(self.rows, 'row')}" if self.rows is not None else ""
        epochs = f" = {self.epochs:.2f} epochs{of}" if self.epochs is not None else ""
        batch = f" of {plural(self.batch, 'row')}" if self.batch else ""
        yield f"{_many(self.iterations, 'iteration')}{batch}{epochs}"
        share = f", {self.warmup / self.updates:.1%} of them warm-up" if self.warmup else ""
        yield f"{_many(self.updates, 'update')}{share}"
        if self.accumulation > 1 and self.batch:
            # T37: the mean of batch means, not weighted by tokens.
            size = self.batch * self.accumulation
            yield f"{size} rows per update, as the mean of {self.accumulation} batch means"
        choice = " (the best is kept)" if self.keeps else ""
        if self.checkpoints is not None:
            yield f"{plural(self.checkpoints, 'checkpoint')}{choice}"
        if self.validations is not None:
            yield plural(self.validations, "validation")
        if self.looks:
            yield f"{plural(self.looks, 'retention check')}"
        if self.replay is not None:
            yield f"{self.replay:.4g} of the rows replayed"
        ratio = f", {self.ratio:.3g} x that of {self.resumes}" if self.ratio is not None else ""
        if self.learning_rate is not None:
            yield f"learning rate {self.learning_rate:.3g}{ratio}"


def forecast(view: View) -> Forecast | None:
    """Return what a stage's training amounts to, None for a stage that does not train."""
    one = view.training
    if one is None:
        return None
    data = data_of(view)
    before = view.maker(one.resumes)
    return Forecast(
        stage=view.stage.name,
        iterations=one.iterations,
        batch=one.batch,
        accumulation=one.accumulation,
        rows=data.rows.get("train") if data else None,
        updates=one.updates,
        warmup=one.warmup,
        checkpoints=-(-one.iterations // one.checkpoints) if one.checkpoints else None,
        validations=2 + (one.iterations - 1) // one.validations if one.validations else None,
        learning_rate=one.peak,
        replay=_replay_share(view, data),
        resumes=before.name if before else None,
        ratio=_ratio(one, training(before, view.tool_of(before)) if before else None),
        keeps=view.stage.trainer.get("keep") == "best",
        looks=_looks(view),
    )


def _many(number: int, what: str) -> str:
    """Return ``1 update``, ``1,200 updates``."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def _looks(view: View) -> int:
    """Return how often a data set that is watched is looked at: first, last, and in between."""
    every = view.stage.trainer.get("watch.retention.every")
    return 0 if every is None or not view.training else 2 + (view.training.iterations - 1) // every


def _ratio(now: Training, before: Training | None) -> float | None:
    """Return how many times the learning rate of the training before it one has."""
    if before is None or not before.peak or now.peak is None:
        return None
    return now.peak / before.peak


def _replay_share(view: View, data: DataSet | None) -> float | None:
    """Return the share of replayed rows that will really be among the mixed ones."""
    name = data_parameter(view)
    mix = mix_of(view, view.params[name]) if name else None
    primary = data_at(view, mix.params["primary"]) if mix else None
    if data is None or primary is None or not data.rows.get("train"):
        return None
    return 1 - primary.rows["train"] / data.rows["train"]
