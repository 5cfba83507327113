"""A file or folder -> its copy, which shares its blocks of the disk where that is possible."""

import errno
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from runner.system import reader

FICLONE = 0x40049409
"""Linux's request that makes one file share the blocks of another, as ``cp --reflink`` does."""


def copy(source: Path, target: Path, may_link: Callable[[str], bool]) -> None:
    """Copy a file or a folder; a change of one never changes the other.

    A clone where the file system has it; else a hard link for a file of which `may_link` says by
    its name that nobody writes in it; else its bytes. A link inside stays a link. Raises OSError.
    """

    def one(path: str, place: str) -> str:
        _file(path, place, may_link=may_link(path))
        return place

    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, copy_function=one, dirs_exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        one(str(source), str(target))


def _file(source: str, target: str, *, may_link: bool) -> None:
    if _clone(source, target):
        return
    if may_link and not Path(source).is_symlink():
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENOSPC, errno.EDQUOT}:
                raise
        else:
            return
    shutil.copy2(source, target)


def _clone(source: str, target: str) -> bool:
    """Make a file that shares another's blocks until one is written; say whether that worked."""
    if sys.platform == "darwin":
        import ctypes  # only where files are cloned

        library = ctypes.CDLL(None)
        return bool(
            library.clonefile(os.fsencode(os.path.realpath(source)), os.fsencode(target), 0) == 0
        )
    import fcntl  # not on every system

    try:
        with reader.unbuffered(source) as old, Path(target).open("xb") as new:
            fcntl.ioctl(new.fileno(), FICLONE, old.fileno())
    except OSError as error:
        if error.errno != errno.EEXIST:
            with suppress(OSError):
                Path(target).unlink()
        return False
    shutil.copystat(source, target)
    return True
