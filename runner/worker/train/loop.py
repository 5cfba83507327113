"""Wraps mlx-lm's trainer: runs between its iterations, and chooses the weights to keep.

The trainer asks our generator for the batch of each iteration. When it asks for the next one, the
previous iteration is complete: its update, its reports and its checkpoint. When the generator ends,
so does the training, and mlx-lm saves the last weights as usual.
"""

from __future__ import annotations

import copy
import importlib
import itertools
import json
import math
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from runner.base.errors import ForgottenError, NotFiniteError, ToolError
from runner.base.problems import plural
from runner.plan.train_options import DATA
from runner.system import files
from runner.worker.train.choice import Weights, best
from runner.worker.train.count import TokenCounter, counting
from runner.worker.train.measure import MeasuredRows, RandomState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from runner.worker.train.state import TrainingState

FINAL = "adapters.safetensors"
LAST = "last_adapters.safetensors"
RECORD = "kept.json"
SPLITS = ("train", "valid", "test")


class Loop:
    """One training of mlx_lm.lora under a stage's ``keep``, ``watch`` and ``continue``.

    `options` are the parameters of the first two, `hear` gets each figure that is measured, `note`
    what is used; `state` is where the training's state is kept, None if it is not.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        hear: Callable[[str, Mapping[str, Any]], None],
        note: Callable[[Mapping[str, Any]], None],
        state: TrainingState | None = None,
    ) -> None:
        self.options = options
        self.hear = hear
        self.note = note
        self.state = state
        self.first = state.first if state else 0
        self.keeps = options.get("keep") == "best"
        self.bound: float | None = options.get("watch.retention.stop_above")
        self.seed = 0
        self.rows: MeasuredRows | None = None
        self.retained: MeasuredRows | None = None
        self.candidates: list[Weights] = []
        self.newest = Weights(iteration=0, file="")
        self.start: float | None = None
        self.stop: int | None = None

    def install(self, lora: Any) -> None:
        """Put this around what mlx_lm.lora calls by name."""
        self.keys = RandomState()
        lora.load_dataset = self.load_dataset(lora.load_dataset)
        lora.train = self.train(lora.train)

    def load_dataset(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Note how data is loaded, for that which is watched."""

        def load_dataset(args: Any, tokenizer: Any) -> Any:
            self.seed = args.seed
            self.load = partial(self.second, original, args, tokenizer)
            return original(args, tokenizer)

        return load_dataset

    def second(self, original: Callable[..., Any], args: Any, tokenizer: Any, path: str) -> Any:
        """Return the rows of the data set that is watched, read as the trainer's own are."""
        other = copy.copy(args)
        other.data, other.hf_dataset, other.train, other.test = path, None, False, False
        split = self.options["watch.retention.split"]
        rows = dict(zip(SPLITS, original(other, tokenizer), strict=True))[split]
        if len(rows) < args.batch_size:
            has = plural(len(rows), "row")
            why = f"{split}.jsonl of {path} has {has}, and a batch {args.batch_size}"
            raise ToolError(why)
        return importlib.import_module("mlx_lm.tuner.datasets").CacheDataset(rows)

    def train(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Train as ever, with a look between the iterations; then choose."""

        def train(**kwargs: Any) -> Any:
            self.begin(**kwargs)
            callback = TokenCounter.of(kwargs.get("training_callback"), self.state)
            ours = {"iterate_batches": self.batches, "training_callback": callback}
            with counting(self.first, self.args.iters):
                result = original(**{**kwargs, **ours})
            self.end()
            return result

        return train

    def begin(
        self, model: Any, args: Any, optimizer: Any, train_dataset: Any, val_dataset: Any, **_: Any
    ) -> None:
        """Note what is trained and what is measured of it; go on from a state if there is one."""
        if importlib.import_module("mlx.core").distributed.init().size() > 1:
            raise ToolError(
                "keep, watch and continue work only in a single process, not on several ranks"
            )
        self.model, self.args, self.optimizer = model, args, optimizer
        self.epoch = len(train_dataset) // args.batch_size
        self.folder = Path(args.adapter_file).parent
        if val_dataset:
            self.rows = self._rows(val_dataset, args.val_batches, args, self.seed)
        if self.options.get(DATA) is not None:
            batches = self.options["watch.retention.batches"]
            self.retained = self._rows(self.load(self.options[DATA]), batches, args, self.seed)
        if self.keeps and self.rows is None:
            raise ToolError("keep: best needs validation rows, but there are none")
        if self.state is not None:
            self.resume(self.state.restore(model, optimizer, self.keys))
        self.note(self.options)

    def resume(self, choice: Mapping[str, Any]) -> None:
        """Take up what was measured before the training was interrupted."""
        if choice:
            self.start = choice["start"]
            self.candidates = [Weights(**one) for one in choice["candidates"]]

    def batches(self, *rest: Any, loop: bool = False, **kwargs: Any) -> Iterator[Any]:
        """Return mlx-lm's own batches; those that are trained on with a look between them."""
        own = importlib.import_module("mlx_lm.tuner.trainer").iterate_batches
        stream: Iterator[Any] = own(*rest, loop=loop, **kwargs)
        return self.between(stream) if loop else stream

    def between(self, stream: Iterator[Any]) -> Iterator[Any]:
        """Yield the trainer's batches until the bound is passed."""
        if self.first and self.state is not None:
            self.state.forward(stream, self.epoch)
        else:
            self.with_retention(Weights(iteration=0, file=""))
        for done in itertools.count(self.first):
            if done > self.first and not self.after(done):
                self.stop = done
                return
            yield self.draw(stream, done)

    def draw(self, stream: Iterator[Any], done: int) -> Any:
        """Return the next batch; with a state, what it takes to find it again is noted."""
        if self.state is None:
            return next(stream)
        self.state.drawing(done, self.epoch)
        batch = next(stream)
        self.state.count(batch)
        return batch

    def after(self, iteration: int) -> bool:
        """Measure the weights of an iteration where that is asked; say whether to go on."""
        saved = iteration % self.args.steps_per_save == 0
        now = Weights(iteration=iteration, file=f"{iteration:07d}_{FINAL}")
        if self.retained is not None:
            due = iteration % self.options["watch.retention.every"] == 0
            if due or (saved and self.bound is not None):
                now = self.with_retention(now)
        if saved:
            now = self.with_validation(now) if self.keeps else now
            self.candidates.append(now)
        self.newest = now
        goes = now.within(self.bound)
        if saved and goes and self.state is not None:
            choice = {"start": self.start, "candidates": [o.as_dict() for o in self.candidates]}
            self.state.save(iteration, self.model, self.optimizer, self.keys, choice)
        return goes

    def end(self) -> None:
        """Choose the weights that are kept, once the last ones are saved."""
        if not self.options:
            return
        last = self.last(self.stop or self.args.iters)
        choice: Weights | None = last
        if self.keeps or not last.within(self.bound):
            choice = best([*map(self.checkpoint, self.candidates), last], self.bound)
        if choice is None:
            why = f"{retention_text(last)}, more than {self.bound:g}"
            raise ForgottenError(f"{why}, and no checkpoint within the bound was saved before")
        if choice is not last:
            hand_over(self.folder, choice.file, FINAL, LAST)
            self.model.load_weights(str(self.folder / FINAL), strict=False)
        self.say(choice, last)

    def last(self, iteration: int) -> Weights:
        """Return the last weights, measured as a checkpoint is; where it stopped they were."""
        weights = (
            self.newest
            if self.newest.iteration == iteration
            else Weights(iteration=iteration, file=FINAL)
        )
        now = replace(weights, file=FINAL)
        now = now if now.retention_loss is not None else self.with_retention(now)
        validates = self.keeps or not now.within(self.bound)
        return self.with_validation(now) if validates and now.val_loss is None else now

    def checkpoint(self, weights: Weights) -> Weights:
        """Return a checkpoint with its validation loss; one outside the bound has none."""
        if weights.val_loss is not None or not weights.within(self.bound):
            return weights
        self.model.load_weights(str(self.folder / weights.file), strict=False)
        return self.with_validation(weights)

    def with_retention(self, weights: Weights) -> Weights:
        """Return the model's weights with their loss on the data that is watched, if any is."""
        if self.retained is None:
            return weights
        loss = self.retained.loss(self.model, self.keys)
        self.start = loss if self.start is None else self.start
        result = replace(weights, retention_loss=loss, retention_ratio=loss / self.start)
        figures = {"retention_loss": loss, "retention_ratio": result.retention_ratio}
        self.hear("retention", {"iteration": weights.iteration, **figures})
        finite("retention loss", loss, weights.iteration)
        return result

    def with_validation(self, weights: Weights) -> Weights:
        """Return the model's weights with their validation loss, if there are rows for it."""
        if self.rows is None:
            return weights
        loss = self.rows.loss(self.model, self.keys)
        self.hear("checkpoint", {"iteration": weights.iteration, "checkpoint_val_loss": loss})
        finite("validation loss", loss, weights.iteration)
        return replace(weights, val_loss=loss)

    def say(self, choice: Weights, last: Weights) -> None:
        """Say which weights are kept, and write it beside them."""
        figures = {
            "kept_iteration": choice.iteration,
            "kept_val_loss": choice.val_loss,
            "last_iteration": last.iteration,
            "last_val_loss": last.val_loss,
            "retention_loss": choice.retention_loss,
            "retention_ratio": choice.retention_ratio,
            "stopped_iteration": self.stop,
        }
        record = {name: value for name, value in figures.items() if value is not None}
        compared = [one.as_dict() for one in self.candidates]
        text = json.dumps({**record, "compared": [*compared, last.as_dict()]}, indent=2)
        files.write(self.folder / RECORD, text + "\n")
        self.hear("kept", record)

    @staticmethod
    def _rows(dataset: Any, batches: int, args: Any, seed: int) -> MeasuredRows:
        return MeasuredRows(
            dataset=dataset,
            batch_size=args.batch_size,
            batches=batches,
            max_seq_length=args.max_seq_length,
            seed=seed,
        )


def retention_text(weights: Weights) -> str:
    """Return how much of what was learned before is lost, in words."""
    ratio = f"{weights.retention_ratio:.2f} x before training"
    return f"the retention loss at iteration {weights.iteration} is {ratio}"


def finite(what: str, loss: float, iteration: int) -> None:
    """Raise NotFiniteError for a loss that no comparison can do anything with."""
    if not math.isfinite(loss):
        why = f"the {what} is {loss} at iteration {iteration}"
        raise NotFiniteError(why)


def hand_over(folder: Path, choice: str, final: str, last: str) -> None:
    """Put a checkpoint in the last weights' place, and those beside it; never a part of a file."""
    beside = folder / f".{final}"
    shutil.copyfile(folder / choice, beside)
    (folder / final).replace(folder / last)
    beside.replace(folder / final)
