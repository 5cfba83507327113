"""The user's cache folder: its content saves time and is never required.

``RUN_RECIPE_CACHE`` sets another folder; if it is empty, nothing is cached. Cached content is used
only if no other user can have written it.
"""

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

from runner.system import reader

VARIABLE = "RUN_RECIPE_CACHE"


def folder() -> Path | None:
    """Return the cache folder, None if nothing is to be kept."""
    path = os.environ.get(VARIABLE)
    if path is not None:
        return Path(path) if path else None
    caches_home = os.environ.get("XDG_CACHE_HOME")
    with suppress(RuntimeError):  # a user without a home
        caches = "Library/Caches" if sys.platform == "darwin" else ".cache"
        return (Path(caches_home) if caches_home else Path.home() / caches) / "run-recipe"
    return None


def read(file: Path) -> bytes:
    """Return the bytes of a file that only this user can have written. Raises OSError."""
    above = file.parent.stat()
    if not _own(above):
        raise PermissionError(f"{file.parent} can be written by other users")
    closed = not above.st_mode & 0o077  # whatever the umask made of the file
    with reader.open_file(file) as opened:
        if not _own(os.fstat(opened.fileno()), closed=closed):
            raise PermissionError(f"{file} can be written by other users")
        return opened.read(reader.RECORD.most)


def make(place: Path) -> None:
    """Make a folder of the cache, and the cache, which are this user's alone. Raises OSError."""
    for one in (place.parent, place):
        one.mkdir(mode=0o700, parents=True, exist_ok=True)


def _own(status: os.stat_result, *, closed: bool = False) -> bool:
    open_to = 0 if closed else status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return status.st_uid == os.getuid() and not open_to
