"""Answers given before, each with what it was made of: given again while all of that is as it was.

An answer is kept in the user's cache folder, where nothing was wrong with what it is about. It is
named after the question and after what answers it: another release of ours, of Python or of a
package begins anew. Nothing is believed: before an answer is given again, every file, name,
variable and place it was made of is looked at, and whose it is.
"""

import functools
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from runner.cache import folder
from runner.cache.inputs import UnseenError, World, has_changed, look
from runner.system import files as disk
from runner.system.files import PACKAGE

MOST, BYTES = 1_000, 256 << 20
"""So many answers are kept, and so many bytes of them; those not asked for longest go first."""
LARGEST = 16 << 20
ABANDONED = 3_600
"""Seconds after which nobody writes on a file any more."""

# Where the hub's client and this program keep things: they are part of every question.
_VARIABLES = ("HOME", "HF_HOME", "HF_HUB_CACHE", "HF_TOKEN_PATH", "XDG_CACHE_HOME")
_PLACES = ("place", "folder")


def ask(*question: object) -> Path | None:
    """Return where the answer to a question is kept, None where nothing is; ask before you look."""
    try:
        place = folder.folder()
        parts = [
            question,
            str(Path.cwd()),
            [os.environ.get(name) for name in _VARIABLES],
            program(),
        ]
    except OSError:  # the working directory is gone, or the program while it runs
        return None
    return place / "answers" / _print(json.dumps(parts)) if place else None


def recall(file: Path | None) -> str | None:
    """Return what was answered before, None where that is not known to be so still."""
    try:
        if file is None:
            return None
        head, _, body = folder.read(file).partition(b"\n")
        text = body.decode("utf-8", "surrogatepass")
        whole, inputs = json.loads(head)
        if whole == _print(text) and _is_current(inputs):
            os.utime(file)
            return text
    except (OSError, ValueError, TypeError, UnseenError):
        pass
    return None


def keep(file: Path | None, world: World, text: str) -> None:
    """Keep an answer, made of what `world` has seen; one that cannot be kept is not."""
    if file is None or not world.whole or len(text) > LARGEST:
        return
    inputs = [[kind, name, digest] for (kind, name), digest in world.inputs.items()]
    with suppress(OSError, UnseenError):
        since = world.start - disk.RACE
        if any(has_changed(kind, name, since) for kind, name, _ in inputs if kind in _PLACES):
            return
        folder.make(file.parent)  # prints of secrets, too
        head = json.dumps([_print(text), inputs]).encode("ascii")
        disk.write_bytes(file, head + b"\n" + text.encode("utf-8", "surrogatepass"), lasting=False)
        _make_room(file.parent)


def _is_current(inputs: Sequence[tuple[str, str, str]]) -> bool:
    """Say whether all that an answer was made of is as it was; one made of no file is none."""
    files = [name for kind, name, _ in inputs if kind == "file"]
    return bool(files) and all(look(kind, name) == was for kind, name, was in inputs)


@functools.cache
def program() -> str:
    """Return the print of what answers: Python, the packages it finds, and this program's files."""
    return _print(json.dumps([*_self()]))


def _self() -> Iterator[object]:
    yield sys.version
    checkout = PACKAGE.parent if (PACKAGE.parent / "pyproject.toml").exists() else None
    for path in map(Path, sys.path):  # of a checkout the files are looked at, below
        if path.is_dir() and path != checkout:
            yield str(path), path.stat().st_mtime_ns
    for part in (PACKAGE, disk.shipped("schema")):
        yield from _files(str(part))


def _files(part: str) -> Iterator[object]:
    for entry in sorted(os.scandir(part), key=lambda one: one.name):
        if entry.is_dir() and entry.name != "__pycache__":
            yield from _files(entry.path)
        elif entry.name.endswith((".py", ".json")):
            status = entry.stat()
            yield entry.path, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _make_room(place: Path) -> None:
    """Remove the answers that are too many, and what a process that is gone left half written."""
    total = 0
    entries = sorted(((one.stat().st_mtime, one) for one in place.iterdir()), reverse=True)
    for number, (mtime, file) in enumerate(entries, start=1):
        total += file.stat().st_size
        torn = file.name.startswith(".") and mtime < time.time() - ABANDONED
        if torn or number > MOST or total > BYTES:
            file.unlink(missing_ok=True)


def _print(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
