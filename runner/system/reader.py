"""A path -> an opened file, or its content; anything but a regular file is refused.

Every file that somebody else may have written is opened here. A pipe, a device or a folder is never
opened, opening and reading never wait, and no more is read than the limit for its kind of file.
Every problem is an OSError whose strerror explains it, or a NotJsonError.
"""

import errno
import io
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.base.formatting import size_of
from runner.base.patterns import pattern

Json = dict[str, Any]
Named = str | Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of file: what it is called, and how many bytes such a file has at most."""

    what: str
    most: int


RECIPE = Kind(what="a recipe", most=2 << 20)
SCRIPT = Kind(what="a script", most=32 << 20)
CONFIG = Kind(what="a JSON file of a model", most=16 << 20)
TOKENIZER = Kind(what="a file of a tokenizer", most=256 << 20)
RECORD = Kind(what="a record of a run", most=256 << 20)
NOTE = Kind(what="a note", most=1 << 20)
LONGEST = 32 << 20
"""Bytes of a line; a longer one is not held."""

_SURROGATE = pattern(rb"\\u[dD][89a-fA-F]")
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotJsonError(ValueError):
    """The content of a file is not the JSON that it should be; the text says why."""


def open_file(path: Named) -> io.BufferedReader:
    """Open a regular file for reading. Raises OSError, also for what is none."""
    return io.BufferedReader(unbuffered(path))


def unbuffered(path: Named) -> io.FileIO:
    """Open a regular file for reading, without a buffer. Raises OSError, also for what is none."""
    try:
        _require_file(os.stat(path), path)  # noqa: PTH116  (what is no path of any system, too)
        return io.FileIO(path, "rb", opener=_open)
    except ValueError as error:  # a NUL, or what cannot be encoded
        raise OSError(errno.EINVAL, "no operating system accepts such a path", str(path)) from error


def _open(path: str, flags: int) -> int:
    handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    try:
        _require_file(os.fstat(handle), path)  # what was a file a moment ago may be another thing
    except OSError:
        os.close(handle)
        raise
    return handle


def read(path: Named, kind: Kind) -> bytes:
    """Return a file's content. Raises OSError, also for one that is larger than its kind is."""
    with open_file(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > kind.most:
            why = f"it is {size_of(size)}, and the limit for {kind.what} is {size_of(kind.most)}"
            raise OSError(errno.EFBIG, why, str(path))
        data = stream.read(size) or b""
        if stream.read(1):
            why = "it is longer than its size says: it is being written, or is not a regular file"
            raise OSError(errno.EINVAL, why, str(path))
    return data


def require(path: Named, kind: Kind) -> None:
    """Raise OSError if it is not a file or too large; another program will read it."""
    with open_file(path) as stream:
        size = os.fstat(stream.fileno()).st_size
    if size > kind.most:
        why = f"it is {size_of(size)}, and the limit for {kind.what} is {size_of(kind.most)}"
        raise OSError(errno.EFBIG, why, str(path))


def lines(stream: io.BufferedReader) -> Iterator[bytes]:
    """Yield the lines of an opened file. Raises OSError at one that is longer than `LONGEST`."""
    while line := stream.readline(LONGEST):
        if len(line) == LONGEST and not line.endswith(b"\n"):
            why = f"it has a line longer than {size_of(LONGEST)}"
            raise OSError(errno.EFBIG, why, str(stream.name))
        yield line


def read_text(path: Named, kind: Kind) -> str:
    """Return a file's text. Raises OSError, also for what is not UTF-8."""
    data = read(path, kind)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        why = f"byte 0x{data[error.start]:02x} at {error.start} is not UTF-8"
        raise OSError(errno.EILSEQ, why, str(path)) from error


def read_object(path: Named, kind: Kind) -> Json:
    """Return the JSON object a file holds, as Python's own json reads it, which mlx-lm uses.

    Raises OSError if the file cannot be read, NotJsonError where it holds something else.
    """
    return json_object(read(path, kind))


def read_record(path: Named) -> Json:
    """Return the JSON object of a record of ours. Raises OSError and NotJsonError.

    A half of a surrogate pair, which JSON can say and UTF-8 cannot, was not written by us.
    """
    data = read(path, RECORD)
    record = json_object(data)
    if _SURROGATE.search(data):
        try:
            json.dumps(record, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise NotJsonError("it contains half of a character") from error
    return record


def json_object(data: bytes) -> Json:
    """Return the JSON object that bytes are. Raises NotJsonError with the exact reason."""
    if not data.strip():
        raise NotJsonError("it is empty")
    if data.startswith(b"\xef\xbb\xbf"):
        raise NotJsonError(
            "it begins with a byte order mark, which is not JSON: save it without one"
        )
    try:
        value = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        why = f"it is not UTF-8: byte 0x{data[error.start]:02x} at {error.start}"
        raise NotJsonError(why) from error
    except json.JSONDecodeError as error:
        why = f"it is not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        raise NotJsonError(why) from error
    except RecursionError as error:
        raise NotJsonError("it is nested too deeply to read") from error
    except ValueError as error:
        raise NotJsonError("it contains a number with more digits than Python can read") from error
    if not isinstance(value, dict):
        raise NotJsonError(f"it contains {_type_name(value)}, not an object")
    return value


def reason(error: OSError | ValueError) -> str:
    """Return why a file was not read, as half a sentence."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _require_file(status: os.stat_result, path: Named) -> None:
    """Raise OSError for what is no regular file, and say what it is."""
    if stat.S_ISREG(status.st_mode):
        return
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    what = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
    raise OSError(errno.EINVAL, f"it is {what}, not a file", str(path))


def _type_name(value: object) -> str:
    if isinstance(value, list):
        return "a list"
    return "text" if isinstance(value, str) else "null" if value is None else "a single value"
