"""The digests of a model folder: read once, recognised afterwards."""

import sys
from collections.abc import Iterator

from benchmarks.harness import MIB, Command
from benchmarks.peers import TOP, WORK
from benchmarks.row import Goal, Row

SIZE = 2048 * MIB
FILES = 4
FIRST = """
import sys, pathlib
from runner.runs.digests import Memory
memory = Memory(pathlib.Path(sys.argv[2]))
memory.prints(pathlib.Path(sys.argv[1]))
memory.save()
"""
ONE_THREAD = """
import hashlib, pathlib, sys
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    with path.open('rb') as file:
        print(path.name, hashlib.file_digest(file, 'sha256').hexdigest())
"""
STAT = """
import pathlib, sys
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    path.stat()
"""


def rows() -> Iterator[Row]:
    """Yield the rows."""
    folder = WORK / "digests"
    model, known = folder / "model", folder / "known.json"
    _make(folder)
    one = _python("one-thread SHA-256", ONE_THREAD, model)
    stat = _python("stat of each file", STAT, model)
    first = _python("digests, first time", FIRST, model, known, fresh=known)
    yield Row("digests of a 2 GB folder", first, (one,), (stat,), (Goal(0.55, one.name),), rounds=4)
    again = _python("digests, known", FIRST, model, known)
    yield Row(
        "digests of the same folder again", again, (one,), (stat,), (Goal(0.1, one.name),), rounds=4
    )


def _python(name: str, code: str, *paths: object, fresh: object = None) -> Command:
    argv = [sys.executable, "-c", code, *map(str, paths)]
    return Command(name, argv, TOP, fresh=(fresh,) if fresh else ())


def _make(folder) -> None:
    model = folder / "model"
    model.mkdir(parents=True, exist_ok=True)
    part = SIZE // FILES
    for number in range(FILES):
        path = model / f"model-{number}.safetensors"
        if path.exists() and path.stat().st_size == part:
            continue
        block = bytes((number + i * 7) % 256 for i in range(MIB))
        with path.open("wb") as file:
            for _ in range(part // MIB):
                file.write(block)
