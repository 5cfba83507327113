"""Bytes done of all bytes -> progress: a live line on a terminal, an occasional line in a log."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from runner.base.formatting import size_of
from runner.system import printer

WORKERS = min(os.cpu_count() or 1, 8)
"""So many processes look at a large data set."""

LIVE, LOGGED = 0.1, 10.0
"""Seconds between two lines."""


@contextmanager
def meter() -> Iterator["Meter"]:
    """Print a line of progress: live on a terminal, occasionally in a log."""
    line = Meter()
    try:
        yield line
    finally:
        line.end()


class Meter:
    """One live line on a terminal, gone when the work is; in a log, a line now and then."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._last = time.monotonic()
        self._on_screen = False

    def __call__(self, done: int, total: int, what: str = "checking") -> None:
        """Show how much is done, if the last time was long enough ago."""
        now = time.monotonic()
        if now - self._last < (LIVE if self._live else LOGGED):
            return
        self._last, self._on_screen = now, self._live
        line = f"{what} {100 * done // max(total, 1):3} % of {size_of(total)}"
        if self._live:
            printer.redraw(line)
        else:
            printer.say(line)

    def end(self) -> None:
        """Leave an empty line where a live one stood."""
        if self._on_screen:
            printer.redraw()
