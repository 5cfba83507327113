"""Answers given before, each with what it was made of: given again while all of that is as it was.

An answer is kept in the user's cache folder, where nothing was wrong with what it is about. It is
named after the question and after what answers it: another release of ours, of Python or of a
package begins anew. Nothing is believed: before an answer is given again, every file, name,
variable and place it was made of is looked at.
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import runner
from runner.edges import disk
from runner.edges.cache import folder
from runner.edges.world import UnseenError, World, changed, look

MOST = 256
"""So many answers are kept; the oldest go first."""
LARGEST = 16 << 20
RACE = 2_000_000_000
"""What changed so shortly before (ns) may change again and look the same on a coarse clock."""

# Where the hub's client and this program keep things: they are part of every question.
_PACKAGES = frozenset({"site-packages", "dist-packages"})
_VARIABLES = ("HOME", "HF_HOME", "HF_HUB_CACHE", "HF_TOKEN_PATH", "XDG_CACHE_HOME")


def recall(question: Sequence[object]) -> str | None:
    """Return what was answered before, None where that is not known to be so still."""
    file = _file(question)
    try:
        head, _, text = file.read_bytes().partition(b"\n") if file else (b"", b"", b"")
        seen = json.loads(head)
        if seen and all(look(kind, name) == known for kind, name, known in seen):
            return text.decode("utf-8", "surrogatepass")
    except (OSError, ValueError, TypeError, UnseenError):
        pass
    return None


def keep(question: Sequence[object], world: World, text: str) -> None:
    """Keep an answer, made of what `world` has seen; one that cannot be kept is not."""
    file = _file(question)
    if file is None or not world.whole or len(text) > LARGEST:
        return
    seen = [[kind, name, known] for (kind, name), known in world.seen.items()]
    with suppress(OSError, UnseenError):
        if any(changed(name, world.begun - RACE) for kind, name, _ in seen if kind == "place"):
            return
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # prints of secrets, too
        head = json.dumps(seen).encode("ascii")
        disk.write_bytes(file, head + b"\n" + text.encode("utf-8", "surrogatepass"), lasting=False)
        _make_room(file.parent)


def _file(question: Sequence[object]) -> Path | None:
    place = folder()
    if place is None:
        return None
    said = [question, str(Path.cwd()), [os.environ.get(name) for name in _VARIABLES], [*_self()]]
    name = blake2b(json.dumps(said).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return place / "answers" / name


def _self() -> Iterator[object]:
    """Yield what answers: Python, the packages beside this program, and its own files."""
    yield sys.version
    for path in (Path(one) for one in sys.path):
        if path.name in _PACKAGES and path.is_dir():
            yield str(path), path.stat().st_mtime_ns
    for part in (Path(runner.__file__).parent, disk.shipped("schema")):
        yield from _files(str(part))


def _files(part: str) -> Iterator[object]:
    for entry in sorted(os.scandir(part), key=lambda one: one.name):
        if entry.is_dir() and entry.name != "__pycache__":
            yield from _files(entry.path)
        elif entry.name.endswith((".py", ".json")):
            said = entry.stat()
            yield entry.path, said.st_size, said.st_mtime_ns


def _make_room(place: Path) -> None:
    files = [file for file in place.iterdir() if not file.name.startswith(".")]
    if len(files) > MOST:
        for file in sorted(files, key=lambda one: one.stat().st_mtime)[: MOST // 4]:
            file.unlink(missing_ok=True)
