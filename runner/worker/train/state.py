"""Everything a training needs to resume as if never interrupted, saved at each checkpoint.

That is the trained weights, the optimizer's state, the random states of MLX and numpy, and the
position in the data: the random state at the beginning of the epoch, and how many batches were
drawn.
"""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from runner.base.errors import GoOnError
from runner.runs import digests
from runner.runs.checkpoints import NOTE, SavedState, packages
from runner.system import files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from runner.worker.train.measure import RandomState

WEIGHTS, OPTIMIZER, DRAWN = "weights.", "optimizer.", "numpy."


class Draws(Struct, kw_only=True):
    """Numpy's random state, from which mlx-lm draws the order of the data."""

    words: Any
    rest: list[Any]

    @classmethod
    def now(cls) -> Draws:
        """Return the state as it is."""
        import numpy as np

        kind, words, *rest = np.random.get_state()  # noqa: NPY002  (the one mlx-lm draws from)
        return cls(words=words, rest=[kind, *rest])

    def restore(self) -> None:
        """Put the state back."""
        import numpy as np

        kind, *rest = self.rest
        np.random.set_state((kind, np.array(self.words), *rest))  # noqa: NPY002


class TrainingState(Struct, kw_only=True):
    """Where a training keeps its state, and what it was when it was interrupted, if it was.

    `identity` is what of, `metrics` the file of its figures.
    """

    folder: Path
    identity: str
    metrics: Path | None = None
    before: SavedState | None = None
    epoch: Draws | None = None
    tokens: int = 0
    arrays: dict[str, Any] = field(default_factory=dict)

    @property
    def first(self) -> int:
        """The iterations that were done before."""
        return self.before.iteration if self.before else 0

    def restore(self, model: Any, optimizer: Any, keys: RandomState) -> Mapping[str, Any]:
        """Bring model, optimizer and MLX's random state to where they were; return the rest.

        Numpy's is put back by forward, when the batches are drawn. Raises GoOnError.
        """
        mx = importlib.import_module("mlx.core")
        flatten = importlib.import_module("mlx.utils").tree_flatten
        if self.before is None:
            return {}
        self.arrays = mx.load(str(self.folder / self.before.file))
        weights = self._of(WEIGHTS)
        if weights.keys() != dict(flatten(model.trainable_parameters())).keys():
            raise GoOnError("the saved weights do not match the trained ones")
        model.load_weights(list(weights.items()), strict=False)
        optimizer.init(model.trainable_parameters())
        stored = self._of(OPTIMIZER)
        if stored.keys() != dict(flatten(optimizer.state)).keys():
            raise GoOnError("the saved state belongs to another optimizer")
        _fill(optimizer.state, stored, "")
        mx.eval(model.parameters(), optimizer.state)  # before the file is replaced
        keys.write(self.before.loop["key"])
        self.tokens = self.before.loop["tokens"]
        return self.before.loop["choice"]  # type: ignore[no-any-return]

    def forward(self, stream: Iterator[Any], batches: int) -> None:
        """Draw the batches of this epoch that were trained on before; `batches` are all of it."""
        import numpy as np

        if self.before is not None:
            words = {name: np.array(words) for name, words in self._of(DRAWN).items()}
            self.epoch = Draws(words=words["epoch"], rest=self.before.loop["epoch"])
            if self.first % batches:
                self.epoch.restore()
                for _ in range(self.first % batches):
                    next(stream)
            Draws(words=words["now"], rest=self.before.loop["now"]).restore()
            self.arrays = {}

    def drawing(self, done: int, batches: int) -> None:
        """Note where an epoch begins: a batch is about to be drawn, `done` were."""
        if done % batches == 0:
            self.epoch = Draws.now()

    def count(self, batch: Any) -> None:
        """Count the tokens of a batch that is trained on, as mlx-lm's loss does."""
        rows, lengths = batch
        last = rows.shape[1] - 1
        for start, end in lengths.tolist():
            self.tokens += max(0, min(end, last) - max(start, 1) + 1)

    def save(
        self,
        iteration: int,
        model: Any,
        optimizer: Any,
        keys: RandomState,
        choice: Mapping[str, Any],
    ) -> None:
        """Keep the state after an iteration, in place of the one before, whole or not at all."""
        mx = importlib.import_module("mlx.core")
        flatten = importlib.import_module("mlx.utils").tree_flatten
        now, epoch = Draws.now(), self.epoch or Draws.now()
        arrays = {
            **{f"{WEIGHTS}{name}": one for name, one in flatten(model.trainable_parameters())},
            **{f"{OPTIMIZER}{name}": one for name, one in flatten(optimizer.state)},
            f"{DRAWN}now": mx.array(now.words),
            f"{DRAWN}epoch": mx.array(epoch.words),
        }
        self.folder.mkdir(exist_ok=True)
        file = self.folder / f"{iteration:07d}.safetensors"
        beside = self.folder / f".{file.name}"
        mx.save_safetensors(str(beside), arrays)
        loop = {
            "key": keys.read(),
            "now": now.rest,
            "epoch": epoch.rest,
            "tokens": self.tokens,
            "choice": choice,
        }
        metrics_size = self.metrics.stat().st_size if self.metrics and self.metrics.exists() else 0
        size, sha256 = beside.stat().st_size, digests.sha256(beside, lasting=True)
        beside.replace(file)
        files.sync(self.folder)
        note = SavedState(
            iteration=iteration,
            file=file.name,
            size=size,
            sha256=sha256,
            metrics=metrics_size,
            identity=self.identity,
            packages=packages(),
            loop=loop,
        )
        files.write(self.folder / NOTE, json.dumps(note.as_dict()) + "\n")
        for old in self.folder.glob("*.safetensors"):
            if old != file:
                old.unlink()

    def _of(self, lead: str) -> dict[str, Any]:
        return {n.removeprefix(lead): one for n, one in self.arrays.items() if n.startswith(lead)}


def _fill(tree: Any, stored: Mapping[str, Any], above: str) -> None:
    """Put stored arrays in a tree's places; the tree itself stays, MLX holds on to it."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in list(pairs):
        name = f"{above}{key}"
        if isinstance(value, dict | list):
            _fill(value, stored, f"{name}.")
        else:
            tree[key] = stored[name]
