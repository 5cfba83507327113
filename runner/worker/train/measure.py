"""A loss measured during a training without affecting it: on the same rows every time."""

from __future__ import annotations

import importlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_WORD = 32


class RandomState:
    """MLX's random state, which can be read and, in all releases, only be seeded.

    The state is the key of a seed: its two halves.
    """

    def __init__(self) -> None:
        # Kept here: the audit records who seeds MLX later.
        random = importlib.import_module("mlx.core").random
        self._state: Any = random.state
        self._seed: Callable[[int], None] = random.seed

    def read(self) -> int:
        """Return the seed that makes the state of now."""
        high, low = self._state[0].tolist()
        return int(high) << _WORD | int(low)

    def write(self, seed: int) -> None:
        """Put a state back."""
        self._seed(seed)


class MeasuredRows(Struct, frozen=True, kw_only=True):
    """Rows of one data set and how a trainer reads them; `batches` is -1 for all of them."""

    dataset: Any
    batch_size: int
    batches: int
    max_seq_length: int
    seed: int

    def loss(self, model: Any, keys: RandomState) -> float:
        """Return the mean loss of a token; every call reads the same rows."""
        trainer = importlib.import_module("mlx_lm.tuner.trainer")
        with aside(model, keys, self.seed):
            result = trainer.evaluate(
                model=model,
                dataset=self.dataset,
                batch_size=self.batch_size,
                num_batches=self.batches,
                max_seq_length=self.max_seq_length,
            )
        return float(result)


@contextmanager
def aside(model: Any, keys: RandomState, seed: int) -> Iterator[None]:
    """Leave numpy's and MLX's random states, and the model's mode, as they are found."""
    import numpy as np

    random = np.random  # mlx-lm draws from the legacy state
    state, key, training = random.get_state(), keys.read(), model.training
    random.set_state(random.RandomState(seed).get_state())
    try:
        yield
    finally:
        random.set_state(state)
        keys.write(key)
        model.train(training)
