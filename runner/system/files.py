"""Files: shipped ones, a user's recipes, and durable writes."""

import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from runner.base.constants import BUILTIN, SUFFIXES
from runner.system import reader

Json = dict[str, Any]
PACKAGE = Path(__file__).parent.parent
RACE = 2_000_000_000
"""What changed so shortly before (ns) may change again and look the same on a coarse clock."""


@cache
def shipped(name: str) -> Path:
    """Return the folder ``schema`` or ``recipes``: in a wheel's package, beside a checkout's."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name


def read(file: str) -> bytes:
    """Return a recipe's bytes; ``builtin:NAME`` is a shipped one. Raises OSError."""
    if file.startswith(BUILTIN):
        name = file.removeprefix(BUILTIN)
        whole = name if name.endswith(SUFFIXES) else f"{name}.yaml"
        return reader.read(shipped("recipes") / whole, reader.RECIPE)
    return reader.read(file, reader.RECIPE)


def beside(file: str) -> tuple[str, ...]:
    """Return the names of recipes near a path, as a recipe would say them."""
    if file.startswith(BUILTIN):
        root = shipped("recipes")
        paths = (path.relative_to(root).with_suffix("") for path in root.rglob("*.yaml"))
        return tuple(sorted(f"{BUILTIN}{path.as_posix()}" for path in paths if not path.suffix))
    folder = Path(file).parent
    names = (path for path in folder.iterdir()) if folder.is_dir() else ()
    return tuple(sorted(path.as_posix() for path in names if path.suffix in SUFFIXES))


def is_folder(path: Path) -> bool:
    """Return whether a folder is there; a path that no system takes is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def is_there(path: Path) -> bool:
    """Return whether a path is there; one that no system takes is not."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def write(path: Path, text: str, *, lasting: bool = True) -> None:
    """Write a file so that it is whole or not there: beside, flushed, then moved into place.

    What is not `lasting` may be the old one after the power is cut; it is made again then.
    """
    # A name that is no UTF-8 is written as the bytes it has.
    write_bytes(path, text.encode("utf-8", "surrogateescape"), lasting=lasting)


def write_bytes(path: Path, data: bytes, *, lasting: bool = True) -> None:
    """Write bytes as `write` writes text; the umask says who may read them."""
    beside = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        with beside.open("xb") as file:
            file.write(data)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    if lasting:
        sync(path.parent)


def sync(path: Path) -> None:
    """Wait until the disk has a file, or which files a folder holds, where its system can."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)


def read_json(path: Path) -> Json | None:
    """Return a JSON object from a record of ours, None if there is none that can be read."""
    try:
        return reader.read_record(path)
    except (OSError, reader.NotJsonError):
        return None
