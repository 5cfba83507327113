"""Rows of data on disk: checked while they are read, and found again by their places."""

from __future__ import annotations

import json
import os
from array import array
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from runner.core.problem import picture
from runner.core.rows import (
    CHECKS,
    SLUGS,
    SPLITS,
    Features,
    Flaw,
    RowError,
    Use,
    parse,
    problem_of,
    require_format,
)
from runner.tools.error import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    Meter = Callable[[int, int, str], None]

STEP = 2000
"""Rows between two words on how far it is."""

MISSING = object()


class Line(NamedTuple):
    """A row as it stands in a file."""

    number: int
    line: bytes
    value: Mapping[str, Any]
    format: str


@dataclass(frozen=True)
class Reader:
    """How rows are read: their keys, whether each field is looked at, who hears of progress."""

    features: Features = field(default_factory=Features)
    deep: bool = False
    meter: Meter | None = None

    def rows(self, file: Path) -> Iterator[Line]:
        """Yield every row; what mlx-lm cannot train on, or mixes formats, is a ToolError."""
        total, done, kind = file.stat().st_size, 0, ""
        use = Use(self.features)
        with file.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                try:
                    value, _ = parse(line)
                    found = require_format(value, self.features)[0]
                except RowError as error:
                    raise refusal(error.flaw, file, number, line) from error
                if found != kind:
                    kind = kind or found
                    require_equal((kind, f"{file}:1"), (found, f"{file}:{number}"))
                if self.deep:
                    for flaw in CHECKS[found](value, use):
                        # Roles are the chat template's business, and no tool reads them.
                        if flaw.severity == "error" and flaw.rule != "row-unknown-role":
                            raise refusal(flaw, file, number, line)
                yield Line(number, line, value, found)
                done += len(line)
                if self.meter and not number % STEP:
                    self.meter(done, total, f"reading {file.name}")


def refusal(flaw: Flaw, file: Path, number: int, line: bytes) -> ToolError:
    """Return the error of a row, with its place and how to find all others."""
    said = picture(problem_of(flaw, str(file), number, line), {})
    every = f"\n    every such row: run-recipe data check {file.parent}" * (flaw.rule in SLUGS)
    return ToolError(said + every)


def require_equal(first: tuple[str, str], other: tuple[str, str]) -> None:
    """Refuse two formats; each comes with a place where it was seen."""
    if first[0] and other[0] and first[0] != other[0]:
        raise ToolError(
            f"{first[1]} is {first[0]} and {other[1]} is {other[0]}; "
            "mlx-lm reads all rows in the format of the first, so they must be the same"
        )


def splits_of(data: Path) -> dict[str, Path]:
    """Return the splits of a data folder; a file of rows is a train split."""
    if data.is_file():
        return {"train": data}
    if not data.is_dir():
        raise ToolError(f"there is no {data}; name a folder of train.jsonl, or a .jsonl file")
    found = {split: data / f"{split}.jsonl" for split in SPLITS}
    found = {split: file for split, file in found.items() if file.exists()}
    if "train" not in found:
        raise ToolError(f"there is no {data}/train.jsonl")
    return found


def member(row: Line, name: str, file: Path, why: str) -> Any:
    """Return the plain value of a field, also inside objects as in ``meta.kind``.

    A row without one is a ToolError; `why` says who needs it.
    """
    value = find(row.value, name)
    if value is MISSING:
        flaw = Flaw("row-without-field", f"has no '{name}'", f"{why} needs it in every row")
        raise refusal(flaw, file, row.number, row.line)
    if isinstance(value, list | dict):
        message = f"has {'a list' if isinstance(value, list) else 'an object'} as '{name}'"
        flaw = Flaw("row-field-type", message, f"{why} needs text, a number, true, false or null")
        raise refusal(flaw, file, row.number, row.line)
    return value


def find(value: Any, name: str) -> Any:
    """Return the member called `name`, or the one at the end of a dotted path; else MISSING."""
    if isinstance(value, dict) and name in value:
        return value[name]
    head, dot, rest = name.partition(".")
    if not dot or not isinstance(value, dict) or head not in value:
        return MISSING
    return find(value[head], rest)


def label(value: Any) -> str:
    """Return a field's value as the key of a class: a text as it is, others as JSON says them."""
    return value if isinstance(value, str) else json.dumps(value)


class Index:
    """Where each row of one file starts, and where the last one ends."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.format = ""
        self.offsets = array("Q", [0])

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.offsets) - 1

    def add(self, row: Line) -> None:
        """Remember the next row."""
        self.format = row.format
        self.offsets.append(self.offsets[-1] + len(row.line))

    @contextmanager
    def opened(self) -> Iterator[Callable[[int], bytes]]:
        """Yield what reads the row of a number, counted from 0, with one newline at its end."""
        offsets = self.offsets
        with self.file.open("rb") as stream:
            handle = stream.fileno()

            def row(number: int) -> bytes:
                start = offsets[number]
                line = os.pread(handle, offsets[number + 1] - start, start)
                return line if line.endswith(b"\n") else line + b"\n"

            yield row


def index(file: Path, reader: Reader) -> Index:
    """Check every row of a file and remember where each one starts."""
    found = Index(file)
    for row in reader.rows(file):
        found.add(row)
    return found


def picked(found: Index, numbers: Iterable[int]) -> Iterator[bytes]:
    """Yield the rows of these numbers, in their order."""
    with found.opened() as row:
        yield from map(row, numbers)


def chunks(file: Path, size: int = 1 << 20) -> Iterator[bytes]:
    """Yield a file as it is."""
    with file.open("rb") as stream:
        while chunk := stream.read(size):
            yield chunk
