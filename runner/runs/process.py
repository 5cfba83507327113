"""One child process: started in its own group, watched, and always ended with its group."""

import os
import select
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from runner.base import visible
from runner.base.secrets import Mask

GRACE = 5.0
CHUNK = 1 << 16
# What may be the start of a secret is held back so long, seconds, where nothing more comes.
IDLE = 1.0


class Child:
    """A running command; its output is copied to a log file, escaped, whatever bytes it is.

    Its input is a pipe that stays open: a waiting child is started through it with `go`, and sees
    its end when this process is gone.
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
        self.trouble: OSError | None = None
        self._copier: threading.Thread | None = None

    @property
    def pid(self) -> int:
        """The process id, which is the group's too."""
        return self._process.pid

    def log(self, path: Path, mask: Mask) -> None:
        """Begin to copy what it prints to a file, without the secrets."""
        file = path.open("ab", buffering=0)
        self._copier = threading.Thread(target=self._copy, args=(file, mask), daemon=True)
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
        elif self._process.stdout is not None:  # nobody has listened to it
            self._process.stdout.close()
        with suppress(BrokenPipeError):
            self._input.close()

    @property
    def _input(self) -> BinaryIO:
        stream = self._process.stdin
        assert stream is not None  # noqa: S101  (a pipe, by construction)
        return stream  # type: ignore[return-value]

    def _copy(self, file: BinaryIO, mask: Mask) -> None:
        """Copy until the last process that holds the pipe has closed it.

        Where the file takes no more the pipe is emptied all the same, and `trouble` says why.
        """
        source = self._process.stdout
        assert source is not None  # noqa: S101
        show = visible.stream()
        with file, source:
            data = b"-"
            while data:
                some = select.select([source], [], [], IDLE)[0]
                data = os.read(source.fileno(), CHUNK) if some else b"-"
                text = mask.feed(data) if some else b""
                if not (some and data):
                    text += mask.flush()
                self._put(file, show(text, not data))
        self._quiet.set()

    def _put(self, file: BinaryIO, data: bytes) -> None:
        try:
            while data and self.trouble is None:
                data = data[file.write(data) :]
        except OSError as error:
            self.trouble = error
            self._quiet.set()

    def _send(self, sign: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, sign)
