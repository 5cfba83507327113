"""Digests of files and folders, hashed once and then recognised by size, time and inode."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

Json = dict[str, Any]
# What no tool reads: the Finder's notes, and the card and notes that an upload leaves in a folder.
UNREAD = frozenset({".DS_Store", ".localized", ".cache", "README.md"})


def prints(path: Path, known: Mapping[str, Any] | None = None) -> Json:
    """Return size, mtime, inode and SHA-256 of each file below `path`, by its path inside.

    A file whose size, mtime and inode are those in `known` is not read again.
    """
    known = known or {}
    files = dict(_files(path))
    stats = {name: _stat(file) for name, file in files.items()}
    stale = [name for name, stat in stats.items() if _stamp(known.get(name, {})) != _stamp(stat)]
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        hashed = dict(zip(stale, pool.map(lambda name: sha256(files[name]), stale), strict=True))
    return {
        name: {**stat, "sha256": hashed.get(name) or known[name]["sha256"]}
        for name, stat in stats.items()
    }


def digest(found: Mapping[str, Any]) -> str:
    """Return one digest for the prints of a path."""
    text = "\n".join(f"{name} {found[name]['sha256']}" for name in sorted(found))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def difference(path: Path, known: Mapping[str, Any]) -> str:
    """Return what is no longer as in `known` below `path`, '' where all is; reads on doubt only."""
    if not path.exists():
        return f"{path} is gone"
    now = prints(path, known)
    for name in sorted(known.keys() | now.keys()):
        if name not in now:
            return f"{path / name} is gone"
        if name not in known:
            return f"{path / name} is new"
        if now[name]["sha256"] != known[name]["sha256"]:
            return f"{path / name} was changed"
    return ""


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    if path.is_file():
        yield ".", path
        return
    for folder, below, names in os.walk(path, onerror=_raise):
        below[:] = [name for name in below if name not in UNREAD]
        for name in names:
            file = Path(folder) / name
            if file.is_file() and name not in UNREAD and not name.startswith("._"):
                yield file.relative_to(path).as_posix(), file


def _raise(error: OSError) -> None:
    raise error


def _stat(path: Path) -> Json:
    said = path.stat()
    return {"size": said.st_size, "mtime": said.st_mtime_ns, "inode": said.st_ino}


def _stamp(said: Mapping[str, Any]) -> tuple[Any, ...]:
    return said.get("size"), said.get("mtime"), said.get("inode")
