"""The text of a NAME.lock in, what hub names and remote parents stand for out, and back.

It stands beside its recipe, is written by ``run-recipe lock``, and is read in reviews: sorted, one
fact a line.
"""

import posixpath
from collections.abc import Iterator, Mapping

from msgspec import Struct, field

from runner.base.constants import BUILTIN
from runner.base.formatting import encode
from runner.base.patterns import pattern
from runner.base.problems import Mark, Problem
from runner.base.values import read_as
from runner.recipe.node import Node
from runner.recipe.yaml import parse
from runner.recipe.yaml_scalars import scalar

SUFFIX = ".lock"
SECTIONS = {"model": "models", "dataset": "datasets", "base": "bases"}
"""The kinds of what is locked, and what the file calls all of a kind."""
COMMIT = pattern(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_PLAIN = pattern(r"[A-Za-z0-9_][\w./@+-]*\Z")
_DIGEST = pattern(r"(?:sha256:[0-9a-f]{64}|git:[0-9a-f]{40})\Z")


class FileDigest(Struct, frozen=True, kw_only=True):
    """A file of a repository: its bytes, and ``sha256:…`` or, as git has it, ``git:…``."""

    size: int
    digest: str


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The commit that a name stands for, and the files that are loaded of it."""

    commit: str
    files: Mapping[str, FileDigest] = field(default_factory=dict)


Entries = Mapping[tuple[str, str], Entry]
"""What is locked, by its kind and its name: ``org/name``, ``org/name@REV``, ``git+https://…``."""


class LockFile(Struct, frozen=True, kw_only=True):
    """A lock that was read: its entries, and where each of them stands."""

    file: str
    entries: Entries
    marks: Mapping[tuple[str, str], Mark] = field(default_factory=dict)


class _Whole(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A lock as it is written."""

    version: int
    models: Mapping[str, Entry] = field(default_factory=dict)
    datasets: Mapping[str, Entry] = field(default_factory=dict)
    bases: Mapping[str, Entry] = field(default_factory=dict)


def beside(recipe: str) -> str | None:
    """Return the lock of a recipe, whether it is there or not; a shipped recipe has none."""
    return None if recipe.startswith(BUILTIN) else f"{posixpath.splitext(recipe)[0]}{SUFFIX}"


def read(data: bytes, file: str) -> tuple[LockFile | None, list[Problem]]:
    """Return a lock, None with the problem where the text is none that this release writes."""
    document = parse(data, file)
    root = document.root
    if document.problems or root is None:
        return None, document.problems or [_problem(file, root, "it is empty")]
    try:
        whole = read_as(root.plain(), _Whole)
    except ValueError as error:
        return None, [_problem(file, root, str(error))]
    entries = {
        (kind, name): entry
        for kind, section in SECTIONS.items()
        for name, entry in getattr(whole, section).items()
    }
    wrong = next(_wrong(whole.version, entries), "")
    if wrong:
        return None, [_problem(file, root, wrong)]
    marks = {
        (kind, name): child.key_mark
        for kind, section in SECTIONS.items()
        for name, child in _children(root.get(section))
    }
    return LockFile(file=file, entries=entries, marks=marks), []


def _wrong(version: int, entries: Entries) -> Iterator[str]:
    if version != 1:
        yield f"its version is {version}, and this run-recipe reads version 1"
    for (_, name), entry in entries.items():
        if not COMMIT.match(entry.commit):
            yield f"the commit of {name} is not 40 or 64 hexadecimal digits"
        for path, one in entry.files.items():
            if not _DIGEST.match(one.digest):
                yield f"the digest of {path} in {name} is neither sha256:… nor git:…"


def _children(section: Node | None) -> Iterator[tuple[str, Node]]:
    if section is not None and isinstance(section.value, dict):
        yield from section.value.items()


def _problem(file: str, root: Node | None, why: str) -> Problem:
    mark = root.mark if root is not None else Mark(file=file, line=1, column=1)
    hint = "restore it from git, or delete it and lock the recipe again: run-recipe lock RECIPE"
    message = f"this lock cannot be read: {why}"
    return Problem(mark=mark, message=message, rule="bad-lock", hint=hint)


def text(entries: Entries) -> str:
    """Return a lock's text; the same entries give the same text."""
    return "\n".join([*_lines(entries), ""])


def _lines(entries: Entries) -> Iterator[str]:
    yield "# Written by run-recipe lock. Commit it, and review what moves."
    yield "version: 1"
    for kind, section in SECTIONS.items():
        names = sorted(name for of, name in entries if of == kind)
        if names:
            yield f"{section}:"
        for name in names:
            entry = entries[kind, name]
            yield f"  {_key(name)}:"
            yield f"    commit: {encode(entry.commit)}"
            if entry.files:
                yield "    files:"
            for path, one in sorted(entry.files.items()):
                yield f"      {_key(path)}: {{size: {one.size}, digest: {encode(one.digest)}}}"


def _key(name: str) -> str:
    """Return a key of YAML that is read back as this text."""
    return name if _PLAIN.match(name) and isinstance(scalar(name), str) else encode(name)
