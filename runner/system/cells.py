"""Work on a stranger's code or data, in processes that end if one part takes too much.

A chat template is a program. One that never ends, or needs all memory, ends only the process that
renders it: the system limits its time (with a timer that kills it), and its memory is watched from
outside. None of this needs Linux.

Each process is ``python -m runner.system.cells``, so no ``if __name__ == "__main__"`` is needed.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future, ThreadPoolExecutor

S = TypeVar("S")
T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")

MEMORY, A_BYTE = 160 << 20, 16
"""So many bytes may be taken beyond what a process had before its first step, and so many more for
each byte of the largest."""

TIME, A_STEP, A_SECOND = 3.0, 0.01, 100_000
"""Seconds of work that all steps of a process may take: so many, and for each, and for its bytes.

One alone may take `ALONE` seconds, and one more for so many bytes.
"""
ALONE = 2.0

LOOK = 0.1
"""Seconds between two looks at a process's memory."""

_WORD = 8
_ENDS = {-signal.SIGPROF: "time", 91: "memory", 92: "slow"}
"""Why a process ended, by its exit code; any other is a crash."""


class Work(Protocol[T_co]):
    """What is done to each part; what may take too much of it is done within the bounds."""

    def __call__(self, part: Any, bounds: Bounds, /) -> T_co:
        """Return what is made of a part."""
        ...  # pragma: no cover


class StoppedError(Exception):
    """A process was ended in the midst of a step: the step's number, and what it took too much of.

    `why` is ``time``, ``memory`` or ``crash``; ``slow`` where it is not this step, but all of them.
    """

    def __init__(self, step: int, why: str) -> None:
        super().__init__(f"ended at {step}: {why}")
        self.step = step
        self.why = why


class Bounds:
    """What the steps of a work may take, in the process that does it; `beat` says where it is."""

    def __init__(self, beat: int) -> None:
        self._beat = beat
        self._free = 0.0
        self._largest = -1
        self._before: tuple[int, int] = 0, 0

    @contextmanager
    def step(self, number: int, size: int) -> Iterator[None]:
        """Do a step on this many bytes within its limits of time and memory, or end the process.

        If the system enforces a memory limit (Linux), the process ends before it uses more.
        """
        start = time.process_time()
        if self._largest < 0:
            self._before, self._free = (_resident(os.getpid()), _data_size()), TIME
        if size > self._largest:
            self._largest = size
            self._limit(MEMORY + A_BYTE * size)
        os.pwrite(self._beat, number.to_bytes(_WORD), 0)
        self._free += A_STEP + size / A_SECOND
        if self._free < 0:
            os._exit(_code("slow"))
        signal.setitimer(signal.ITIMER_PROF, ALONE + size / A_SECOND)
        try:
            yield
        except MemoryError:
            os._exit(_code("memory"))
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            self._free -= time.process_time() - start

    def _limit(self, more: int) -> None:
        import resource  # in these processes alone

        resident, data = self._before
        os.pwrite(self._beat, (resident + more).to_bytes(_WORD), _WORD)
        with suppress(OSError, ValueError):
            hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
            resource.setrlimit(resource.RLIMIT_DATA, (data + more if data else hard, hard))


class Cells:
    """Processes that start with their first work, and stay until they are left."""

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self._free: SimpleQueue[_Cell] = SimpleQueue()
        self._cells: list[_Cell] = []
        self._threads: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        """Wait for work."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes; work that nobody began is left."""
        if self._threads:
            self._threads.shutdown(wait=False, cancel_futures=True)
            for cell in self._cells:
                cell.kill()
            self._threads.shutdown()
        for cell in self._cells:
            cell.end()
        self._cells.clear()

    def each(self, work: Work[T], parts: Iterable[S]) -> Iterator[T]:
        """Yield what `work` makes of each part, in order. Raises what it raises, or StoppedError.

        After a StoppedError more work may be given.
        """
        if self._threads is None:
            from concurrent.futures import ThreadPoolExecutor  # only where a process starts

            self._threads = ThreadPoolExecutor(self.workers)
        flight: deque[Future[T]] = deque()
        for part in parts:
            flight.append(self._threads.submit(self._do, work, part))
            if len(flight) > self.workers:
                yield flight.popleft().result()
        while flight:
            yield flight.popleft().result()

    def _do(self, work: Work[T], part: S) -> T:
        try:
            cell = self._free.get_nowait()
        except Empty:
            cell = _Cell()
            self._cells.append(cell)
        result: T = cell.do(work, part)
        self._free.put(cell)  # but where it raised: it may be gone
        return result


class _Cell:
    """One process, seen from outside."""

    def __init__(self) -> None:
        from tempfile import TemporaryFile

        self._beat = TemporaryFile()  # noqa: SIM115  (closed in `end`)
        self._beat.write(bytes(2 * _WORD))
        self._beat.flush()
        number = self._beat.fileno()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "runner.system.cells", str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[number],
        )

    def do(self, work: object, part: object) -> Any:
        """Return what the process makes of a part. Raises what it raised, or StoppedError."""
        import pickle

        requests, answer = self._process.stdin, self._process.stdout
        assert requests is not None  # noqa: S101  (a pipe, by construction)
        assert answer is not None  # noqa: S101
        with suppress(BrokenPipeError):  # it is gone: why is found where it should answer
            requests.write(pickle.dumps((work, part)))
            requests.flush()
        large = False
        while not select.select([answer], [], [], LOOK)[0]:
            if self._large():
                large = True
                self._process.kill()
                break
        try:
            result, error = pickle.load(answer)  # noqa: S301  (our own process)
        except (EOFError, pickle.UnpicklingError):
            raise self._stop_error(large=large) from None
        if error is not None:
            raise error
        return result

    def kill(self) -> None:
        """Let the process end; one that is gone is no matter."""
        self._process.kill()

    def end(self) -> None:
        """End the process, and close what leads to it."""
        self.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._beat):
            with suppress(BrokenPipeError):
                if stream:
                    stream.close()

    def _large(self) -> bool:
        """Return whether a process has more memory than its steps may take."""
        most = int.from_bytes(os.pread(self._beat.fileno(), _WORD, _WORD))
        return 0 < most < _resident(self._process.pid)

    def _stop_error(self, *, large: bool) -> StoppedError:
        self.kill()
        why = "memory" if large else _ENDS.get(self._process.wait(), "crash")
        return StoppedError(int.from_bytes(os.pread(self._beat.fileno(), _WORD, 0)), why)


def _code(why: str) -> int:
    return next(code for code, name in _ENDS.items() if name == why)


def _resident(process: int) -> int:
    """Return the bytes of memory a process has, 0 if nobody says."""
    with suppress(OSError, ValueError, IndexError):
        fields = Path(f"/proc/{process}/statm").read_bytes().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):
        words = ["ps", "-o", "rss=", "-p", str(process)]
        return int(subprocess.run(words, capture_output=True, check=False).stdout) << 10
    return 0


def _data_size() -> int:
    """Return the bytes that count for a limit of this process's memory, 0 if nobody says."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_bytes().split()[5]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def main() -> None:
    """Answer requests on stdin until it ends; only answers go to stdout."""
    import pickle

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asked ends this process
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    requests: BinaryIO = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    bounds = Bounds(int(sys.argv[1]))
    while True:
        try:
            work, part = pickle.load(requests)  # noqa: S301  (our own process)
        except EOFError:
            return
        answer: tuple[Any, BaseException | None]
        try:
            answer = work(part, bounds), None
        except Exception as error:  # noqa: BLE001  (raised again where it was asked for)
            answer = None, error
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    main()
