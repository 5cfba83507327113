"""Facts about files that take seconds to find out, reused while the files are unchanged.

They are stored in the user's cache folder, under a name derived from the question, the files
(names, sizes, inodes and both times: unpacking and copying may preserve all but the last) and the
program: another release of run-recipe, of Python or of a package starts afresh.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

import msgspec

from runner.cache import folder
from runner.system import files as disk

T = TypeVar("T")
MOST, BYTES = 1_000, 256 << 20
"""So many findings are kept, and so many bytes of them; those not asked for longest go first."""
MOST_FILES = 5_000
"""A folder with more files in it is not looked through."""
ABANDONED = 3_600
"""Seconds after which nobody writes on a file any more."""
_Print = tuple[str, int, int, int, int]


def kept(question: object, places: Iterable[Path], find: Callable[[], T], kind: type[T]) -> T:
    """Return what `find` finds in files and folders, or found when they were the same.

    The answer is of a `kind` that msgspec can write as JSON. What changed in the last two seconds
    may change again without a new time: nothing of it is kept.
    """
    start = time.time_ns()
    before = _prints(places)
    file = _file(question, before) if before is not None else None
    if file is None or before is None:
        return find()
    with suppress(OSError, msgspec.DecodeError, msgspec.ValidationError):
        answer = msgspec.json.decode(folder.read(file), type=kind)
        os.utime(file)
        return answer
    answer = find()
    settled = all(max(times) < start - disk.RACE for _, _, _, *times in before)
    if settled and _prints(places) == before:
        with suppress(OSError, UnicodeEncodeError):
            folder.make(file.parent)
            disk.write_bytes(file, msgspec.json.encode(answer), lasting=False)
            _make_room(file.parent)
    return answer


def _file(question: object, prints: list[_Print]) -> Path | None:
    """Return where an answer is kept, None if nothing is."""
    place = folder.folder()
    if place is None:
        return None
    try:
        parts = json.dumps([repr(question), prints, _program()])
    except OSError:  # the program is gone while it runs
        return None
    return place / "kept" / _print(parts)


def _prints(places: Iterable[Path]) -> list[_Print] | None:
    """Return the prints of files, and of the files in folders; None where they are too many."""
    prints: list[_Print] = []
    for place in places:
        for path in sorted(place.iterdir()) if disk.is_folder(place) else [place]:
            with suppress(OSError):
                status = path.stat()
                times = status.st_mtime_ns, status.st_ctime_ns
                prints.append((str(path.resolve()), status.st_size, status.st_ino, *times))
            if len(prints) > MOST_FILES:
                return None
    return prints


@cache
def _program() -> str:
    """Return the print of what answers: Python, the packages it finds, and this program's files."""
    return _print(json.dumps([*_self()]))


def _self() -> Iterator[object]:
    yield sys.version
    checkout = disk.PACKAGE.parent if (disk.PACKAGE.parent / "pyproject.toml").exists() else None
    for path in map(Path, sys.path):  # of a checkout the files are looked at, below
        if path.is_dir() and path != checkout:
            yield str(path), path.stat().st_mtime_ns
    for part in (disk.PACKAGE, disk.shipped("schema")):
        for path in sorted((*Path(part).rglob("*.py"), *Path(part).rglob("*.json"))):
            status = path.stat()
            yield str(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _make_room(place: Path) -> None:
    """Remove the findings that are too many, and what a process that is gone left half written."""
    total = 0
    entries = sorted(((one.stat().st_mtime, one) for one in place.iterdir()), reverse=True)
    for number, (mtime, file) in enumerate(entries, start=1):
        total += file.stat().st_size
        torn = file.name.startswith(".") and mtime < time.time() - ABANDONED
        if torn or number > MOST or total > BYTES:
            file.unlink(missing_ok=True)


def _print(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
