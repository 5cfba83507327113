"""What was found sound before, kept in the user's cache folder: a hint, never a need.

The file is named after what judges: another release of ours or of jsonschema begins a new one.
"""

import functools
import hashlib
import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from runner.base.version import __version__
from runner.cache import folder
from runner.catalog import validator

MOST = 1 << 20


@contextmanager
def memory() -> Iterator[None]:
    """Let the validator know what was found sound before, and keep what it learns meanwhile."""
    _remember(_file())
    yield
    _keep(validator.new_marks(), _file())


@functools.cache
def _remember(file: Path | None) -> None:
    with suppress(OSError, ValueError):
        validator.remember(folder.read(file).decode("ascii").split() if file else ())


def _keep(marks: Sequence[str], file: Path | None) -> None:
    """Add marks to a file; one that cannot be written keeps none."""
    if not marks or file is None:
        return
    with suppress(OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        full = file.exists() and file.stat().st_size > MOST
        with file.open("w" if full else "a", encoding="ascii") as out:
            out.write("".join(f"{mark}\n" for mark in marks))


def _file() -> Path | None:
    place = folder.folder()
    spec = importlib.util.find_spec("jsonschema")
    if place is None or spec is None or spec.origin is None:
        return None
    judge = f"{__version__} {spec.origin} {Path(spec.origin).stat().st_mtime_ns}"
    return place / f"sound-{hashlib.blake2b(judge.encode(), digest_size=8).hexdigest()}"
