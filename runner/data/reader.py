"""Rows of data on disk: checked while they are read, and read again by their positions."""

from __future__ import annotations

import json
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from msgspec import Struct, field

from runner.base.errors import ToolError
from runner.base.problems import picture
from runner.data.pieces import Piece, each, lines
from runner.data.rows import (
    SLUGS,
    SPLITS,
    Features,
    Flaw,
    Row,
    RowError,
    RowUse,
    look,
    parse,
    problem_of,
    quick_parse,
    require_format,
    strings,
)
from runner.recipe.find import rows_hint
from runner.system.reader import LONGEST, open_file
from runner.system.workers import Crew

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from runner.system.cells import Bounds, Cells

    Meter = Callable[[int, int, str], None]

MISSING = object()


class Taking(Protocol):
    """What is learned of rows, taken one after the other; of two pieces of a file it is merged."""

    def take(self, line: bytes, row: Row) -> None:
        """Take the next row. Raises RowError."""

    def merge(self, later: Self) -> None:
        """Take over what was learned of the rows that follow."""


T = TypeVar("T", bound=Taking)


class Reader(Struct, frozen=True, kw_only=True):
    """How rows are read: their keys, who helps, and who hears how far it is."""

    features: Features = field(default_factory=Features)
    crew: Crew = field(default_factory=Crew)
    meter: Meter | None = None

    def learn(
        self, file: Path, new: Callable[[], T], *, deep: bool = False, cells: Cells | None = None
    ) -> T:
        """Return what `new()` learned of every row.

        A row that mlx-lm cannot read, or of another format than the first, is a ToolError. Only a
        `deep` look finds flaws in the fields, and the strings of a row. In `cells` each row has its
        bounds; raises StoppedError at the one that takes too much.
        """
        total, done = file.stat().st_size, 0
        with open_file(file) as stream:
            first = stream.readline(LONGEST)
        kind = _format(first, self.features, file) if first else ""
        work = partial(_piece, file, self.features, kind, new, deep)
        whole = new()
        for part, size in each(work, file, cells or self.crew):
            whole.merge(part)
            done += size
            if self.meter:
                self.meter(done, total, f"reading {file.name}")
        return whole


def _piece(
    file: Path,
    features: Features,
    kind: str,
    new: Callable[[], T],
    deep: bool,
    piece: Piece,
    bounds: Bounds | None = None,
) -> tuple[T, int]:
    """Return what is learned of a piece of a file, and its size."""
    result, parse, use = new(), quick_parse(), RowUse(features=features)
    take, number, line = result.take, piece.line, b""
    try:
        for number, line in enumerate(lines(file, piece), piece.line):
            row = parse(line)[0]
            other = require_format(row, features)[0]
            if other != kind:
                require_equal((kind, f"{file}:1"), (other, f"{file}:{number}"))
            with bounds.step(number, len(line)) if bounds else nullcontext():
                take(
                    line, Row(value=row, format=kind, parts=_texts(row, kind, use) if deep else [])
                )
    except RowError as error:
        raise refusal(error.flaw, file, number, line) from error
    require_short(piece, file, number)
    return result, piece.size


def require_short(piece: Piece, file: Path, last: int) -> None:
    """Refuse a piece with a line after its `last` that is too long to be held."""
    if piece.long:
        message = f"is {piece.long / 1e6:.0f} MB long; mlx-lm cuts it after max_seq_length"
        number = last + (piece.size > 0)
        raise refusal(
            Flaw(rule="row-too-long", message=message, hint="split it"), file, number, b""
        )


def _format(line: bytes, features: Features, file: Path) -> str:
    try:
        return require_format(parse(line)[0], features)[0]
    except RowError as error:
        raise refusal(error.flaw, file, 1, line) from error


def _texts(row: Mapping[str, Any], kind: str, use: RowUse) -> list[str]:
    texts, flaws = look(row, kind, use)
    for flaw in flaws:
        # Roles are the chat template's business, and no tool reads them.
        if flaw.severity == "error" and flaw.rule != "row-unknown-role":
            raise RowError(flaw)
    return strings(row, kind, use.features) if texts is None else texts


def refusal(flaw: Flaw, file: Path, number: int, line: bytes) -> ToolError:
    """Return the error of a row, with its place and how to find all others."""
    problem = problem_of(flaw, str(file), number, line)
    every = f"\n    {rows_hint(str(file.parent))}" * (flaw.rule in SLUGS)
    return ToolError(picture(problem, {}) + every, problem=problem)


def require_equal(first: tuple[str, str], other: tuple[str, str]) -> None:
    """Refuse two formats; each comes with a place where it was seen."""
    if first[0] and other[0] and first[0] != other[0]:
        raise ToolError(
            f"{first[1]} is {first[0]} and {other[1]} is {other[0]}; mlx-lm reads all rows in "
            "the format of the first, so they must match"
        )


def splits_of(data: Path) -> dict[str, Path]:
    """Return the splits of a data folder; a file of rows is a train split."""
    if data.is_file():
        return {"train": data}
    if not data.is_dir():
        raise ToolError(f"{data} does not exist; name a folder with train.jsonl, or a .jsonl file")
    files = {split: data / f"{split}.jsonl" for split in SPLITS}
    files = {split: file for split, file in files.items() if file.exists()}
    if "train" not in files:
        raise ToolError(f"{data}/train.jsonl does not exist")
    return files


def member(row: Mapping[str, Any], name: str, why: str) -> Any:
    """Return the plain value of a field, also inside objects as in ``meta.kind``.

    A row without one is a RowError; `why` says who needs it.
    """
    value = find(row, name)
    if value is MISSING:
        raise RowError(
            Flaw(
                rule="row-without-field",
                message=f"has no '{name}'",
                hint=f"{why} needs it in every row",
            )
        )
    if isinstance(value, list | dict):
        message = f"has {'a list' if isinstance(value, list) else 'an object'} as '{name}'"
        hint = f"{why} needs text, a number, true, false or null"
        raise RowError(Flaw(rule="row-field-type", message=message, hint=hint))
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


def chunks(file: Path, size: int = 1 << 20) -> Iterator[bytes]:
    """Yield a file as it is."""
    with open_file(file) as stream:
        while chunk := stream.read(size):
            yield chunk
