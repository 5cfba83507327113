"""One child process: spawned in a group of its own, watched, and always ended with its group."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

GRACE = 5.0


class Child:
    """A running command; its output goes straight to a log file, whatever bytes it is."""

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], log: Path, *, hold: bool = False
    ) -> None:
        """Start it; with `hold` its input stays open and silent, else it is at its end."""
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                argv,
                env=dict(env),
                stdin=subprocess.PIPE if hold else subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id, which is the group's too."""
        return self._process.pid

    def wait(self, timeout: float) -> int | None:
        """Wait up to `timeout` seconds; return the exit code, None while it runs."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> int:
        """End the whole group, politely first; return the exit code."""
        for sign in (signal.SIGINT, signal.SIGTERM):
            self._send(sign)
            if self.wait(GRACE) is not None:
                break
        self._send(signal.SIGKILL)
        return self._process.wait()

    def finish(self) -> None:
        """End what the command left behind in its group."""
        self._send(signal.SIGKILL)
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _send(self, sign: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, sign)
