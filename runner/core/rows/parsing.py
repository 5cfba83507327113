"""A line of bytes -> the value that mlx-lm reads, or why it cannot read it."""

import json
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from runner.core.rows.flaw import Flaw, RowError

Parse = Callable[[bytes], tuple[Any, str]]
MANY = 1 << 20
"""So many bytes are worth the import of a faster parser, 20 ms."""


def parse_for(size: int) -> Parse:
    """Return what reads so many bytes of lines: `parse`, or what does the same in less time."""
    return quick_parse() if size >= MANY else parse


@cache
def quick_parse() -> Parse:
    """Return what decodes a line as `parse` does, which has the last word on all that is not plain.

    It is `parse` itself where msgspec is not installed. That refuses more than Python does (NaN,
    half a surrogate pair), and accepts nothing else.
    """
    try:
        msgspec: Any = import_module("msgspec")
    except ImportError:
        return parse
    errors = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
    decode = msgspec.json.Decoder().decode

    def read(line: bytes) -> tuple[Any, str]:
        if b"\r" not in line:
            try:
                return decode(line), ""
            except errors:
                pass
        return parse(line)

    return read


def decode(text: str) -> tuple[Any, str]:
    """Read JSON; and beside the value the NaN in it that Python accepts, although JSON has none.

    This says what a row is: what `quick_parse` returns accepts and refuses exactly what this does.
    """
    try:
        return _STRICT.decode(text), ""
    except _ConstantError as constant:
        return json.loads(text), str(constant)


class _ConstantError(ValueError):
    """A constant that is not JSON."""


def _refuse(constant: str) -> None:
    raise _ConstantError(constant)


_STRICT = json.JSONDecoder(parse_constant=_refuse)


def parse(line: bytes) -> tuple[Any, str]:
    """Decode one line as mlx-lm reads it; a line that it cannot read is a RowError."""
    body = line.removesuffix(b"\n").removesuffix(b"\r")
    if b"\r" in body:
        raise RowError(_carriage_return(body))
    try:
        return decode(body.decode())
    except UnicodeDecodeError as error:
        raise RowError(_not_utf8(body, error)) from error
    except json.JSONDecodeError as error:
        raise RowError(_not_json(body, error)) from error
    except (ValueError, RecursionError) as error:
        raise RowError(Flaw("row-not-json", f"cannot be read: {error}")) from error


def _carriage_return(body: bytes) -> Flaw:
    if not body.strip():
        return BLANK
    head = body[: body.index(b"\r")].decode(errors="replace")
    message = "has a carriage return inside; mlx-lm would end the row there"
    return Flaw(
        "row-carriage-return", message, "end every row with one \\n", (), "error", len(head) + 1
    )


def _not_utf8(body: bytes, error: UnicodeDecodeError) -> Flaw:
    utf16 = body.startswith((b"\xff\xfe", b"\xfe\xff"))
    hint = "the file looks like UTF-16; " * utf16 + "save it as UTF-8"
    column = len(body[: error.start].decode()) + 1
    return Flaw("row-not-utf8", f"cannot be read: {error}", hint, (), "error", column)


def _not_json(body: bytes, error: json.JSONDecodeError) -> Flaw:
    if not body.strip():
        return BLANK
    if body.startswith(b"\xef\xbb\xbf"):
        message = "is not JSON: Unexpected UTF-8 BOM, and mlx-lm does not skip it"
        return Flaw("row-byte-order-mark", message, "save the file as UTF-8 without a BOM")
    message = f"is not JSON: {error.msg} at column {error.colno}"
    hint = "one JSON object a line" if error.msg == "Extra data" or body in {b"[", b"{"} else ""
    return Flaw("row-not-json", message, hint, (), "error", error.colno)


BLANK = Flaw("row-blank", "is blank; mlx-lm cannot read past a blank line, remove it")


def constant_flaw(found: str) -> Flaw:
    """Return the flaw of a row with a NaN or an Infinity."""
    message = f"holds {found}, which is not JSON; mlx-lm reads it, other programs refuse the file"
    return Flaw("row-constant", message, "write null or a number", (), "warning")
