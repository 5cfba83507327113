"""A large file of lines, read piece by piece."""

import io
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from runner.system import reader
from runner.system.reader import LONGEST
from runner.system.workers import Crew

if TYPE_CHECKING:
    from runner.system.cells import Cells

T = TypeVar("T")
PIECE = 4 << 20
"""What is read at a time; a longer line makes a longer piece."""

ENDLESS = 256 << 20
"""Bytes after which the end of a line is given up, and the file with it."""


class Piece(Struct, frozen=True, kw_only=True):
    """Complete lines of a file: their position, their bytes, and the number of the first.

    `long` is the size of a following line that is too long to read; with `endless` its end was not
    found, and it is the last known part of the file.
    """

    start: int
    size: int
    line: int
    long: int = 0
    endless: bool = False


def pieces(file: Path, size: int = PIECE, longest: int = LONGEST) -> Generator[Piece, None, None]:
    """Cut a file into pieces of whole lines."""
    with reader.open_file(file) as stream:
        start, line = 0, 1
        while block := stream.read(size):
            tail = b"" if block.endswith(b"\n") else stream.readline(longest)
            count = block.count(b"\n") + tail.endswith(b"\n")
            length, long, endless = len(block) + len(tail), 0, False
            if len(tail) == longest and not tail.endswith(b"\n"):
                whole = block.rfind(b"\n") + 1
                rest, endless = _rest(stream, size)
                long, length = length - whole + rest, whole
                count += 1
            yield Piece(start=start, size=length, line=line, long=long, endless=endless)
            if endless:
                return
            start, line = start + length + long, line + count


def _rest(stream: io.BufferedReader, size: int) -> tuple[int, bool]:
    """Read to the end of the line; return how much that was, and whether the end was not found."""
    read = 0
    while part := stream.readline(size):
        read += len(part)
        if part.endswith(b"\n"):
            break
        if read > ENDLESS:
            return read, True
    return read, False


def lines(file: Path, piece: Piece) -> Iterator[bytes]:
    """Return the lines of a piece."""
    with reader.open_file(file) as stream:
        stream.seek(piece.start)
        return io.BytesIO(stream.read(piece.size))


def each(work: Callable[..., T], file: Path, crew: "Crew | Cells", done: int = 0) -> Iterator[T]:
    """Yield what `work` makes of each piece but the first `done`, in order.

    Only a large file is for a whole crew; cells do any.
    """
    few = isinstance(crew, Crew) and file.stat().st_size <= 4 * PIECE
    with closing(pieces(file)) as cut:
        yield from (Crew() if few else crew).each(work, islice(cut, done, None))
