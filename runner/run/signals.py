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
    """Hold a first signal back until the end; a second one is heard at once."""
    hold()
    try:
        yield
    finally:
        release()


def hold() -> None:
    """Begin to hold signals back."""
    _Held.depth += 1


def release() -> None:
    """End holding back. Raises Interrupt where a signal came meanwhile."""
    _Held.depth = max(0, _Held.depth - 1)
    if _Held.depth == 0 and _Held.pending is not None:
        number, _Held.pending = _Held.pending, None
        raise Interrupt(number)


def forget() -> None:
    """Hold back nothing more, and drop what came: the run ends anyway."""
    _Held.depth, _Held.pending = 0, None


def _heard(number: int, _: FrameType | None) -> None:
    if _Held.depth and _Held.pending is None:
        _Held.pending = number
        return
    raise Interrupt(number)
