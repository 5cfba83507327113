"""Commands of run-recipe in child processes, each with a limit of time and memory.

A child is forked from this process, which has imported everything already: a command costs what
it does, and not its start.
"""

import gc
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SECONDS, WALL, MEGABYTES = 5, 20, 1_500
"""A command may compute and wait so long, and take so much memory, before it is stopped."""
HANG = 124
INTERNAL = 70


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a command came to: exit code, what it printed, seconds of the processor, megabytes."""

    words: tuple[str, ...]
    code: int
    out: bytes
    err: bytes
    seconds: float
    megabytes: float

    @property
    def hung(self) -> bool:
        """Whether it had to be stopped."""
        return self.code in {HANG, -signal.SIGXCPU, -signal.SIGKILL}

    @property
    def said(self) -> bytes:
        """Everything it printed."""
        return self.out + self.err


def preload() -> None:
    """Import what commands import, once for all children."""
    import jinja2.sandbox
    import jsonschema

    import runner.cli
    import runner.cli.check_files
    import runner.cli.main
    import runner.data.check
    import runner.importer.translation
    import runner.testing.cases
    from runner.cli import audit, check, report, run, runs, show, status

    gc.freeze()  # what is shared stays shared
    del jinja2, jsonschema, runner, audit, check, report, run, runs, show, status


def run(words: Sequence[str], folder: Path, environ: Mapping[str, str] = os.environ) -> Result:
    """Run a command of run-recipe in a folder, and say what it came to."""
    out, err = folder / ".out", folder / ".err"
    pid = os.fork()
    if pid == 0:
        _child(words, folder, out, err, environ)
    code, use = _waited(pid)
    scale = 1 if sys.platform == "darwin" else 1024
    result = Result(
        words=tuple(words),
        code=code,
        out=out.read_bytes(),
        err=err.read_bytes(),
        seconds=use.ru_utime + use.ru_stime,
        megabytes=use.ru_maxrss * scale / 1e6,
    )
    out.unlink()
    err.unlink()
    return result


def _waited(pid: int) -> tuple[int, resource.struct_rusage]:
    """Wait for a child, and end it where it waits for something itself."""
    deadline = time.monotonic() + WALL
    pause = 0.001
    while True:
        done, status, use = os.wait4(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), use
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            _, _, use = os.wait4(pid, 0)
            return HANG, use
        time.sleep(pause)
        pause = min(0.02, pause * 1.5)


def _child(
    words: Sequence[str], folder: Path, out: Path, err: Path, environ: Mapping[str, str]
) -> None:
    code = 70
    try:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environ)
        for path, number in ((os.devnull, 0), (str(out), 1), (str(err), 2)):
            flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            os.dup2(os.open(path, flags), number)
        # As they are in a process of its own: pytest has put others in their place.
        sys.stdout = os.fdopen(1, "w", encoding="utf-8")
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace")
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
        if sys.platform != "darwin":  # there the limit is refused
            resource.setrlimit(resource.RLIMIT_AS, (MEGABYTES << 20, MEGABYTES << 20))
        sys.argv = ["run-recipe", *words]
        from runner.cli.main import main

        main()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001  (whatever it is, it is what is looked for)
        traceback.print_exc()
        code = 70
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                code = code or 70
        os._exit(code)
