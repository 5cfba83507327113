"""One line of JSON and the path of a member -> the column where it starts; a flaw -> a problem."""

import json
import posixpath
import re
from collections.abc import Sequence
from shlex import quote

from runner.core.problem import Mark, Problem
from runner.core.rows.flaw import DATA, Flaw
from runner.core.rows.use import SPLITS


def problem_of(flaw: Flaw, file: str, number: int, line: bytes) -> Problem:
    """Return the problem that a flaw is in this line of a file."""
    column = flaw.column or (column_of(line.decode(), flaw.path) if flaw.path else 1)
    mark = Mark(file, number, column)
    hint = flaw.hint.replace(DATA, quote(data_of(file))) if DATA in flaw.hint else flaw.hint
    return Problem(mark, f"the row {flaw.message}", flaw.rule, hint, (), flaw.severity)


def data_of(file: str) -> str:
    """Return the data set that a file is of: its folder where it is a split, else the file."""
    folder, name = posixpath.split(file)
    return folder or "." if name.removesuffix(".jsonl") in SPLITS else file


def column_of(text: str, path: Sequence[str | int]) -> int:
    """Return the column, from 1, of a member inside one line of JSON."""
    at = _skip(text, 0)
    for step in path:
        at = _member(text, at, step)
    return at + 1


def _member(text: str, at: int, step: str | int) -> int:
    """Return where the member `step` starts of what starts at `at`; `at` itself if it has none."""
    found, number, keyed = at, 0, text[at] == "{"
    if text[at] not in "{[":
        return at
    at = _skip(text, at + 1)
    while text[at] not in "}]":
        name: str | int = number
        if keyed:
            name, at = _DECODER.raw_decode(text, at)
            at = _skip(text, _skip(text, at) + 1)
        found = at if name == step else found
        _, at = _DECODER.raw_decode(text, at)
        at = _skip(text, at)
        at = _skip(text, at + 1) if text[at] == "," else at
        number += 1
    return found


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


_DECODER = json.JSONDecoder()


_SPACE = re.compile(r"[ \t\r\n]*")
