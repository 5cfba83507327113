"""Ctrl-C, SIGTERM and SIGHUP as one exception, delayed while something must be completed."""

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


class _Shield:
    """How often signals are held back, and the first that came meanwhile."""

    depth = 0
    pending: int | None = None


def number(interrupt: KeyboardInterrupt) -> int:
    """Return the signal behind an interrupt; Python's own is Ctrl-C."""
    return int(getattr(interrupt, "number", signal.SIGINT))


def name(interrupt: KeyboardInterrupt) -> str:
    """Return what stopped a run, as users know it: Ctrl-C, SIGTERM or SIGHUP."""
    sign = number(interrupt)
    return "Ctrl-C" if sign == signal.SIGINT else signal.Signals(sign).name


def stopping(interrupt: KeyboardInterrupt) -> str:
    """Return that a stage is being stopped, and how to kill it."""
    if number(interrupt) == signal.SIGINT:
        return "Stopping. Press Ctrl-C again to kill it."
    return f"Received {name(interrupt)}, stopping. A second signal kills it."


@contextmanager
def interrupts() -> Iterator[None]:
    """Raise Interrupt in the main thread for as long as a run lasts."""
    try:
        # What nohup had ignored stays ignored.
        numbers = [one for one in SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]
        before = {sign: signal.signal(sign, _receive) for sign in numbers}
    except ValueError:  # not the main thread: the caller's signals are the caller's
        before = {}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
        _Shield.depth, _Shield.pending = 0, None


@contextmanager
def shield() -> Iterator[None]:
    """Hold a first signal back until the end, where it raises Interrupt.

    A second one is heard at once.
    """
    _Shield.depth += 1
    try:
        yield
    finally:
        _Shield.depth -= 1
        if _Shield.depth == 0 and _Shield.pending is not None:
            number, _Shield.pending = _Shield.pending, None
            raise Interrupt(number)


def _receive(number: int, _: FrameType | None) -> None:
    if _Shield.depth and _Shield.pending is None:
        _Shield.pending = number
        return
    raise Interrupt(number)
