"""Work for several processes at once: the result of each part, in order."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future, ProcessPoolExecutor

S = TypeVar("S")
T = TypeVar("T")


class Crew:
    """Processes that start with their first work, and stay until the crew is left.

    They are spawned: use more than one worker below ``if __name__ == "__main__"``, and for what can
    be pickled. One worker is this process.
    """

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        """Wait for work."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes; work that nobody began is left."""
        if self._pool:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def each(self, work: Callable[[S], T], parts: Iterable[S]) -> Iterator[T]:
        """Yield what `work` makes of each part, in order; only a few are in flight."""
        if self.workers == 1:
            yield from map(work, parts)
            return
        self._pool = self._pool or self._start()
        flight: deque[Future[T]] = deque()
        for part in parts:
            flight.append(self._pool.submit(work, part))
            if len(flight) > 2 * self.workers:
                yield flight.popleft().result()
        while flight:
            yield flight.popleft().result()

    def _start(self) -> ProcessPoolExecutor:
        from concurrent.futures import ProcessPoolExecutor  # 15 ms, only for large data
        from multiprocessing import get_context

        return ProcessPoolExecutor(self.workers, mp_context=get_context("spawn"))
