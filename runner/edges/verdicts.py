"""What was found sound before, kept in the user's cache folder: a hint, never a need.

The file is named after what judges: another release of ours or of jsonschema begins a new one.
``RUN_RECIPE_CACHE`` names another folder; set to nothing, nothing is kept.
"""

import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from runner import __version__
from runner.core import strict

VARIABLE = "RUN_RECIPE_CACHE"
MOST = 1 << 20


@contextmanager
def remembered() -> Iterator[None]:
    """Let the validator know what was found sound before, and keep what it learns meanwhile."""
    _remember(_file())
    yield
    _keep(strict.learned(), _file())


@cache
def _remember(file: Path | None) -> None:
    with suppress(OSError, ValueError):
        strict.remember(file.read_text(encoding="ascii").split() if file else ())


def _keep(marks: Sequence[str], file: Path | None) -> None:
    """Add marks to a file; one that cannot be written keeps none."""
    if not marks or file is None:
        return
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        full = file.exists() and file.stat().st_size > MOST
        with file.open("w" if full else "a", encoding="ascii") as out:
            out.write("".join(f"{mark}\n" for mark in marks))


def _file() -> Path | None:
    folder = _folder()
    found = importlib.util.find_spec("jsonschema")
    if folder is None or found is None or found.origin is None:
        return None
    judge = f"{__version__} {found.origin} {Path(found.origin).stat().st_mtime_ns}"
    return folder / f"sound-{hashlib.blake2b(judge.encode(), digest_size=8).hexdigest()}"


def _folder() -> Path | None:
    said = os.environ.get(VARIABLE)
    if said is not None:
        return Path(said) if said else None
    with suppress(RuntimeError):  # a user without a home
        home = Path.home()
        caches = home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"
        return Path(os.environ.get("XDG_CACHE_HOME") or caches) / "run-recipe"
    return None
