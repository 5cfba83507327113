"""One child process: spawned in a group of its own, watched, and always ended with its group."""

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

GRACE = 5.0
CHUNK = 1 << 16


class Child:
    """A running command; what it prints is copied to a log file, whatever bytes it is.

    Its input is a pipe that stays open: a child that waits is told there to `go`, and finds its end
    when this process is gone.
    """

    def __init__(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            argv,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._quiet = threading.Event()
        self._copier: threading.Thread | None = None

    @property
    def pid(self) -> int:
        """The process id, which is the group's too."""
        return self._process.pid

    def log(self, path: Path) -> None:
        """Begin to copy what it prints to a file."""
        file = path.open("ab", buffering=0)
        self._copier = threading.Thread(target=self._copy, args=(file,), daemon=True)
        self._copier.start()

    def go(self) -> None:
        """Tell a child that waits to begin."""
        with suppress(BrokenPipeError):  # it is gone: its exit code will say so
            self._input.write(b"go\n")
            self._input.flush()

    def wait(self, timeout: float) -> int | None:
        """Wait up to `timeout` seconds; return the exit code, None while it runs."""
        if not self._quiet.wait(timeout):
            return self._process.poll()
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> int:
        """End the whole group, politely first; return the exit code."""
        try:
            for sign in (signal.SIGINT, signal.SIGTERM):
                self._send(sign)
                if self.wait(GRACE) is not None:
                    break
        finally:
            self._send(signal.SIGKILL)
        return self._process.wait()

    def finish(self) -> None:
        """End it and what it left behind in its group; wait until its last words are in the log."""
        self._send(signal.SIGKILL)
        self._process.wait()
        if self._copier is not None:
            self._copier.join(GRACE)
        with suppress(BrokenPipeError):
            self._input.close()

    @property
    def _input(self) -> BinaryIO:
        stream = self._process.stdin
        assert stream is not None  # noqa: S101  (a pipe, by construction)
        return stream  # type: ignore[return-value]

    def _copy(self, file: BinaryIO) -> None:
        """Copy until the last process that holds the pipe has closed it."""
        source = self._process.stdout
        assert source is not None  # noqa: S101
        with file, source:
            while data := os.read(source.fileno(), CHUNK):
                file.write(data)
        self._quiet.set()

    def _send(self, sign: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, sign)
