"""What a recipe is made of outside of itself, each thing remembered with its print as it is read.

The core is pure: a plan, and what is found in it, depend on nothing but files, names of files,
variables, and the places on this disk that it names. Where all their prints are the same again, so
is what was made of them.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from runner.system import files as disk
from runner.system import hub

Input = tuple[str, str]
_Stat = tuple[str, int, int, tuple[int, int]]
MOST = 5_000
"""A place with more files in it is not looked through."""


class UnseenError(Exception):
    """A place is too large to say whether it is what it was."""


class World:
    """Reads for a compile, and remembers: `inputs` is what was read, by kind and name.

    `start` is when it began to look, in ns since 1970; `whole` whether it could look at everything.
    """

    def __init__(self) -> None:
        self.start = time.time_ns()
        self.whole = True
        self.inputs: dict[Input, str] = {("secrets", ""): look("secrets", "")}
        self.environ: Mapping[str, str] = _Variables(self.inputs)

    def read(self, file: str) -> bytes:
        """Return a recipe's bytes. Raises OSError."""
        data = disk.read(file)
        self.inputs["file", file] = _print(data)
        return data

    def beside(self, file: str) -> Iterable[str]:
        """Return the names of recipes near a path."""
        names = disk.beside(file)
        self.inputs["beside", file] = _print(os.fsencode("\n".join(names)))
        return names

    def places(self, places: Iterable[Input]) -> None:
        """Remember how places of this disk are now: each ``place`` or ``folder``, and its path."""
        try:
            self.inputs |= {(kind, path): look(kind, path) for kind, path in places}
        except UnseenError:
            self.whole = False


def look(kind: str, name: str) -> str:
    """Return the print of something as it is now. Raises OSError or UnseenError."""
    if kind == "file":
        return _print(disk.read(name))
    if kind == "beside":
        return _print(os.fsencode("\n".join(disk.beside(name))))
    if kind == "variable":
        value = os.environ.get(name)
        return "" if value is None else _print(value.encode("utf-8", "surrogateescape"))
    if kind == "variables":
        return _print("\n".join(sorted(os.environ)).encode("utf-8", "surrogateescape"))
    if kind == "secrets":
        return _print("\n".join(sorted(hub.secrets(os.environ))).encode("utf-8", "surrogateescape"))
    return _place(name, deep=kind == "place")


def has_changed(kind: str, path: str, since: int) -> bool:
    """Say whether something in a place changed since a time, in ns. Raises UnseenError."""
    return any(max(times) > since for *_, times in _stats(Path(path), deep=kind == "place"))


class _Variables(Mapping[str, str]):
    """The environment; which variables are read, and which there are, is remembered."""

    def __init__(self, inputs: dict[Input, str]) -> None:
        self._inputs = inputs

    def __getitem__(self, name: str) -> str:
        self._inputs["variable", name] = look("variable", name)
        return os.environ[name]

    def __iter__(self) -> Iterator[str]:
        self._inputs["variables", ""] = look("variables", "")
        return iter(os.environ)

    def __len__(self) -> int:
        return len(os.environ)


def _print(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()


def _place(path: str, *, deep: bool) -> str:
    """Return the print of a file, or of the files in a folder, with `deep` of all below it.

    These are names, sizes, inodes and both times: unpacking and copying may keep all but the last.
    """
    try:
        rows = sorted(_stats(Path(path), deep=deep))
    except ValueError:  # a path that no system takes
        return ""
    return _print(repr(rows).encode("utf-8", "surrogateescape")) if rows else ""


def _stats(path: Path, *, deep: bool) -> Iterator[_Stat]:
    with suppress(OSError):
        yield _stat(".", path)
    count = 0
    for folder, below, files in os.walk(path):
        count += len(below) + len(files)
        if count > MOST:
            raise UnseenError(path)
        for name in (*below, *files):
            file = Path(folder, name)
            with suppress(OSError):
                yield _stat(str(file), file)
        if not deep:
            break


def _stat(name: str, path: Path) -> _Stat:
    status = path.stat()
    return name, status.st_size, status.st_ino, (status.st_mtime_ns, status.st_ctime_ns)
