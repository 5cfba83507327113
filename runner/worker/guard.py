"""Restricts a process from now on: it writes no file, starts no program, and sends nothing.

This is for reading a parser. A refusal is an OSError, as on a read-only disk, so a library that
writes in passing, such as to a cache, goes on without. Python cannot remove such a hook again.
"""

import os
import sys
from typing import Any

_MODES = frozenset("wax+")
_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_REFUSED = frozenset(
    {
        *("os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir"),
        *("os.symlink", "os.truncate", "os.utime", "os.setxattr", "os.removexattr"),
        *("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system"),
        *("os.kill", "os.killpg", "pty.spawn", "subprocess.Popen"),
        *("socket.bind", "socket.connect", "socket.sendmsg", "socket.sendto"),
    }
)


class RefusedError(PermissionError):
    """Something that would leave a trace, with what it was in `filename`."""


def arm() -> None:
    """Refuse from now on what would leave a trace."""
    sys.dont_write_bytecode = True
    sys.addaudithook(_look)


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    writes = event == "open" and arguments[0] != os.devnull and _writes(*arguments[1:])
    if writes or event in _REFUSED or event.startswith("shutil."):
        raise RefusedError(1, "not allowed while a parser is being read", event)


def _writes(mode: Any, flags: Any) -> bool:
    if isinstance(mode, str):
        return bool(_MODES & set(mode))
    return isinstance(flags, int) and bool(flags & _FLAGS)
