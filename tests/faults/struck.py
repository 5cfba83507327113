"""``struck.py HARM N FOLDER WORDS…``: run-recipe, struck at its Nth write below FOLDER.

A write is each opening of a file to write, each rename, each folder or link made or removed, each
process started: what an audit hook sees. HARM is ``count`` (say how many there are at the end),
``kill``, ``term``, ``int``, or ``full`` (that write fails as on a full disk, and each one after it).
"""

import errno
import os
import signal
import sys
from pathlib import Path

CHANGES = {"os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.symlink", "os.link"}


def main(harm: str, number: int, folder: str, words: list[str]) -> None:
    seen = 0

    def strike(event: str, args: tuple) -> None:
        nonlocal seen
        if not is_write(event, args, folder):
            return
        seen += 1
        if seen < number or harm == "count":
            return
        if harm == "full" and event != "subprocess.Popen":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(args[0]))
        if seen == number and harm != "full":
            sign = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "int": signal.SIGINT}[harm]
            os.kill(os.getpid(), sign)

    sys.addaudithook(strike)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from runner.cli.main import main as run

    sys.argv = ["run-recipe", *words]
    try:
        run()
    finally:
        if harm == "count":
            print(f"writes: {seen}", file=sys.stderr)


def is_write(event: str, args: tuple, folder: str) -> bool:
    if event == "subprocess.Popen":
        return True
    if event == "open":
        path, _, flags = args
        writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        return (
            writes and isinstance(path, str | os.PathLike) and folder in str(Path(path).absolute())
        )
    return event in CHANGES and folder in str(Path(os.fsdecode(args[0])).absolute())


main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:])
