"""Ctrl-C, SIGTERM and SIGHUP as one exception, held back while something must be done whole."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupt(KeyboardInterrupt):
    """A signal that ends the run: Ctrl-C, or one that is treated like it."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class _Held:
    """How often signals are held back, and the first that came meanwhile."""

    depth = 0
    pending: int | None = None


@contextmanager
def heeded() -> Iterator[None]:
    """Raise Interrupt in the main thread for as long as a run lasts."""
    try:
        # What nohup had ignored stays ignored.
        wanted = [one for one in SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]
        before = {sign: signal.signal(sign, _heard) for sign in wanted}
    except ValueError:  # not the main thread: the caller's signals are the caller's
        before = {}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
        _Held.depth, _Held.pending = 0, None


@contextmanager
def held() -> Iterator[None]:
    """Hold a first signal back until the end, where it raises Interrupt.

    A second one is heard at once.
    """
    _Held.depth += 1
    try:
        yield
    finally:
        _Held.depth -= 1
        if _Held.depth == 0 and _Held.pending is not None:
            number, _Held.pending = _Held.pending, None
            raise Interrupt(number)


def _heard(number: int, _: FrameType | None) -> None:
    if _Held.depth and _Held.pending is None:
        _Held.pending = number
        return
    raise Interrupt(number)
