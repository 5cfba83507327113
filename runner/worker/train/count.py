"""The numbers of a resumed training: its iterations, and the tokens it was trained on."""

from __future__ import annotations

import importlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from runner.base.errors import GoOnError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runner.worker.train.state import TrainingState


@contextmanager
def counting(first: int, iters: int) -> Iterator[None]:
    """Let mlx-lm's trainer count its iterations from `first` + 1 instead of 1.

    Its loop runs over range(1, iters + 1). For this one call its module has its own range, so
    that numbers, reports, validations and checkpoints fall where they would have. Raises GoOnError
    where the trainer turns out to count in another way.
    """
    if not first:
        yield
        return
    trainer: Any = importlib.import_module("mlx_lm.tuner.trainer")
    requests = []

    def continued_range(*bounds: int) -> range:
        if bounds == (1, iters + 1):
            requests.append(bounds)
            return range(first + 1, iters + 1)
        return range(*bounds)

    trainer.range = continued_range
    try:
        yield
    finally:
        del trainer.range
    if len(requests) != 1:
        why = f"this mlx-lm counts iterations differently: {len(requests)} requests instead of 1"
        raise GoOnError(why)


class TokenCounter:
    """A callback that says of trained tokens how many there were since the very beginning."""

    def __init__(self, wrapped: Any, before: int) -> None:
        self.wrapped = wrapped
        self.before = before

    @classmethod
    def of(cls, wrapped: Any, state: TrainingState | None) -> Any:
        """Return what is to be called: the callback itself where nothing was trained before."""
        return cls(wrapped, state.tokens) if wrapped and state and state.first else wrapped

    def on_train_loss_report(self, info: Mapping[str, Any]) -> None:
        """Pass a report on."""
        tokens = info["trained_tokens"] + self.before
        self.wrapped.on_train_loss_report({**info, "trained_tokens": tokens})

    def on_val_loss_report(self, info: Mapping[str, Any]) -> None:
        """Pass a validation on."""
        self.wrapped.on_val_loss_report(info)
