"""Bytes read of bytes in all -> one line of progress on a terminal, gone when the work is."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

WORKERS = min(os.cpu_count() or 1, 8)
"""So many processes look at a large data set."""


@contextmanager
def meter() -> Iterator["Meter | None"]:
    """Give a line of progress to whoever looks at a terminal, None where nobody does."""
    if not sys.stderr.isatty():
        yield None
        return
    found = Meter()
    try:
        yield found
    finally:
        found.end()


class Meter:
    """One line of progress, for a terminal."""

    def __call__(self, done: int, total: int) -> None:
        """Show how much is done."""
        share = 100 * done // max(total, 1)
        sys.stderr.write(f"\rchecking {share:3} % of {size(total)}")
        sys.stderr.flush()

    def end(self) -> None:
        """Leave an empty line."""
        sys.stderr.write("\r\033[K")
        sys.stderr.flush()


def size(count: float) -> str:
    """Return a number of bytes in words: 1.2 MB."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:  # noqa: PLR2004 - the next unit
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
