"""The positions of rows in a file; and rows read back in another order, as a new file."""

from __future__ import annotations

import os
from array import array
from bisect import bisect
from contextlib import ExitStack
from functools import partial
from operator import itemgetter, sub
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, field

from runner.data.replace_folder import sync_file, write
from runner.system.reader import open_file
from runner.system.workers import Crew

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from runner.data.reader import Reader
    from runner.data.rows import Row

PART = 1 << 15
"""So many rows are written at a time."""


class Index(Struct, kw_only=True):
    """Where each row of one file starts, and where the last one ends."""

    file: Path
    kind: str = ""
    offsets: array[int] = field(default_factory=lambda: array("Q", [0]))
    last: bytes = b"\n"
    end: int = 0

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.offsets) - 1

    def take(self, line: bytes, row: Row) -> None:
        """Remember the place of the next row."""
        self.kind = row.format
        self.end += len(line)
        self.offsets.append(self.end)
        self.last = line

    def merge(self, later: Index) -> None:
        """Take over the rows of the piece that follows."""
        self.kind = self.kind or later.kind
        self.last = later.last if later.end else self.last
        self.offsets.extend(map(self.end.__add__, later.offsets[1:]))
        self.end += later.end


class IndexPart(NamedTuple):
    """Rows of files laid end to end: where they start, their sizes, where they go, their bytes."""

    starts: array[int]
    sizes: array[int]
    place: int
    size: int


def write_rows(file: Path, indexes: Sequence[Index], numbers: array[int], reader: Reader) -> None:
    """Write rows to a new file, and wait until the disk has them.

    They are numbered through all indexes; each ends with a newline. Many are written by the crew.
    """
    write(file, ())
    crew = reader.crew if len(numbers) > 2 * PART else Crew()
    rows, size = (sum(of) for of in zip(*((len(i), i.offsets[-1]) for i in indexes), strict=True))
    done, total = 0, size * len(numbers) // max(rows, 1)
    for amount in crew.each(partial(_fill, file, _bases(indexes)), parts(indexes, numbers)):
        done += amount
        if reader.meter:
            reader.meter(min(done, total), total, f"writing {file.name}")
    sync_file(file)


def _bases(indexes: Sequence[Index]) -> list[tuple[int, Path]]:
    """Return each file, and where it starts when all are laid end to end."""
    bases, end = [], 0
    for index in indexes:
        bases.append((end, index.file))
        end += index.offsets[-1]
    return bases


def parts(indexes: Sequence[Index], numbers: array[int]) -> Iterator[IndexPart]:
    """Yield rows, numbered through all indexes, in parts."""
    starts, sizes, unended = array("Q"), array("I"), []
    for (base, _), index in zip(_bases(indexes), indexes, strict=True):
        begun = index.offsets[:-1]
        starts.extend(map(base.__add__, begun) if base else begun)
        sizes.extend(map(sub, index.offsets[1:], begun))
        unended += [] if index.last.endswith(b"\n") else [len(starts) - 1]
    place = 0
    for first in range(0, len(numbers), PART):
        # One number more makes a tuple of one, too.
        pick = itemgetter(*numbers[first : first + PART], 0)
        row_sizes = array("I", pick(sizes)[:-1])
        more = sum(numbers[first : first + PART].count(row) for row in unended)
        part = IndexPart(array("Q", pick(starts)[:-1]), row_sizes, place, sum(row_sizes) + more)
        yield part
        place += part.size


def _fill(file: Path, bases: Sequence[tuple[int, Path]], part: IndexPart) -> int:
    """Write a part at its place in a file; return its bytes."""
    with file.open("r+b", buffering=1 << 20) as stream:
        stream.seek(part.place)
        stream.writelines(lines_of(bases, part))
    return part.size


def lines_of(bases: Sequence[tuple[int, Path]], part: IndexPart) -> Iterator[bytes]:
    """Yield the rows of a part, each with a newline at its end."""
    read, firsts, more = os.pread, [base for base, _ in bases], part.size - sum(part.sizes)
    with ExitStack() as stack:
        files = [stack.enter_context(open_file(path)).fileno() for _, path in bases]
        for start, size in zip(part.starts, part.sizes, strict=True):
            which = bisect(firsts, start) - 1
            line = read(files[which], size, start - firsts[which])
            yield line + b"\n" if more and line[-1:] != b"\n" else line
