"""Digests of files and folders, hashed once and then recognised by size, time and inode."""

import errno
import hashlib
import json
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from runner.system import files as disk
from runner.system import reader

Json = dict[str, Any]
Progress = Callable[[int, int], None]
CHUNK = 1 << 18
# Fewer bytes than these are read before anybody wonders.
WORTH = 1 << 28
_NOWHERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
# What no tool reads: the Finder's notes, and the card and notes that an upload leaves in a folder.
UNREAD = frozenset({".DS_Store", ".localized", ".cache", "README.md"})


def prints(
    path: Path,
    before: Mapping[str, Any] | None = None,
    *,
    lasting: bool = False,
    progress: Progress | None = None,
) -> Json:
    """Return size, times, inode and SHA-256 of each file below `path`, by its path inside.

    A file that is alike in all that `before` says of it is not read again: what may be moved has no
    ctime there, which moving changes. With `lasting` each
    file that is read is on the disk, not only in memory, before its print is returned. `progress`
    hears the bytes read and those to read.
    """
    before = before or {}
    rows = [*_files(path)]
    files = {name: file for name, file, _ in rows}
    stats = {name: status for name, _, status in rows}
    stale = [name for name, status in stats.items() if not _alike(before.get(name, {}), status)]
    meter = _Meter(sum(stats[name]["size"] for name in stale), progress)

    def digest_of(name: str) -> str:
        return sha256(Path(files[name]), meter, lasting=lasting)

    if not stale:
        return {
            name: {**status, "sha256": before[name]["sha256"]} for name, status in stats.items()
        }
    from concurrent.futures import ThreadPoolExecutor  # what is known needs none

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        try:
            fresh = dict(zip(stale, pool.map(digest_of, stale), strict=True))
        except BaseException:
            meter.stopped = True  # else a large file would be read to its end first
            raise
    return {
        name: {**status, "sha256": fresh.get(name) or before[name]["sha256"]}
        for name, status in stats.items()
    }


class _Meter:
    """Counts the bytes that several threads read, and stops them."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total = total
        self._progress = progress
        self._done = 0
        self._lock = threading.Lock()
        self.stopped = False

    def __call__(self, count: int) -> None:
        if self.stopped:
            raise InterruptedError
        if self._progress is not None and self._total >= WORTH:
            with self._lock:
                self._done += count
                self._progress(self._done, self._total)


class Memory:
    """Prints of what was read before, kept beside the runs, so that a model is hashed once.

    A file changed less than two seconds before it was read is not remembered: on a coarse clock it
    could change again and look the same.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._prints = {
            n: rows for n, rows in (disk.read_json(path) or {}).items() if _prints(rows)
        }
        self._new = False

    def prints(self, path: Path, progress: Progress | None = None) -> Json:
        """Return the prints of a path, reading only what is not known."""
        name, now = str(path.resolve()), time.time_ns()
        before = self._prints.get(name, {})
        result = prints(path, before, progress=progress)
        lasting = {
            inside: row
            for inside, row in result.items()
            if max(row["mtime"], row["ctime"]) < now - disk.RACE
        }
        if lasting != before:
            self._prints[name] = lasting
            self._new = True
        return result

    def save(self) -> None:
        """Keep what is known of paths that are still there; without a place for it, do without."""
        if self._new:
            here = {name: rows for name, rows in self._prints.items() if Path(name).exists()}
            with suppress(OSError):
                disk.write(self.path, json.dumps(here), lasting=False)
            self._new = False


def _prints(value: Any) -> bool:
    """Return whether a value is prints of a path, as this release remembers them."""
    rows = value.values() if isinstance(value, dict) else (None,)
    return all(isinstance(row, dict) and isinstance(row.get("sha256"), str) for row in rows)


def digest(files: Mapping[str, Any]) -> str:
    """Return one digest for the prints of a path."""
    text = "\n".join(f"{name} {files[name]['sha256']}" for name in sorted(files))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def difference(path: Path, before: Mapping[str, Any]) -> str:
    """Return what is no longer as in `before` below `path`, '' if all is.

    It reads a file only where its size or times leave a doubt.
    """
    if not path.exists():
        return f"{path} is gone"
    now = prints(path, before)
    for name in sorted(before.keys() | now.keys()):
        if name not in now:
            return f"{path / name} is gone"
        if name not in before:
            return f"{path / name} is new"
        if now[name]["sha256"] != before[name]["sha256"]:
            return f"{path / name} changed"
    return ""


def sha256(path: Path, meter: Callable[[int], None] | None = None, *, lasting: bool = False) -> str:
    """Return the SHA-256 of a file; `meter` hears of each chunk; with `lasting` the disk has it."""
    digest = hashlib.sha256()
    with reader.unbuffered(path) as file:
        if lasting:
            with suppress(OSError):  # a file system that cannot
                os.fsync(file.fileno())
        # One small piece of memory for all of it: new ones for large chunks cost a tenth more.
        chunk = memoryview(bytearray(CHUNK))
        while count := file.readinto(chunk):
            digest.update(chunk[:count])
            if meter is not None:
                meter(count)
    return digest.hexdigest()


def git_digest(path: Path) -> str:
    """Return the SHA-1 by which git names the content of a file."""
    size = path.stat().st_size
    digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with reader.unbuffered(path) as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _files(path: Path) -> Iterator[tuple[str, str, Json]]:
    """Yield each file below a path: how it is called from there, its whole path, its stat.

    Of thousands of files a Path each would take longer than the rest.
    """
    top = str(path)
    status = _stat(top)
    if status:
        yield ".", top, status
        return
    for folder, below, names in os.walk(top, onerror=_raise):
        below[:] = [name for name in below if name not in UNREAD]
        for name in names:
            file = os.path.join(folder, name)  # noqa: PTH118
            status = {} if name in UNREAD or name.startswith("._") else _stat(file)
            if status:
                yield file[len(top) :].lstrip(os.sep).replace(os.sep, "/"), file, status


def _raise(error: OSError) -> None:
    raise error


def _stat(path: str) -> Json:
    """Return what a file is recognised by; nothing of what is not a file, or a link to nowhere."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError as error:
        if error.errno in _NOWHERE:
            return {}
        raise
    if not stat.S_ISREG(status.st_mode):
        return {}
    times = {"mtime": status.st_mtime_ns, "ctime": status.st_ctime_ns}
    return {"size": status.st_size, **times, "inode": status.st_ino}


def _alike(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Return whether a file is the one that is known, so far as can be seen without reading it."""
    sure = before.keys() >= {"size", "mtime", "inode", "sha256"}
    return sure and all(before.get(name, value) == value for name, value in now.items())
