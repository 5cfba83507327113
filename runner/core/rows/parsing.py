"""A line of bytes -> the value that mlx-lm reads, or why it cannot read it."""

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Any

from runner.core.problem import shown
from runner.core.rows.flaw import Flaw, RowError, dotted

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
                value = decode(line)
                if _once(line, value):
                    return value, ""
            except errors:
                pass
        return parse(line)

    return read


def _once(line: bytes, value: Any) -> bool:
    """Say whether no key of a value can have stood twice in its line, whose colons are counted.

    There is one for each key that was written, and those inside of texts. Where they are no more
    than the keys that were read, and the colons of the texts that were read, none was lost. A colon
    that is written as an escape is the one thing that would hide a lost one.
    """
    keys, inside = _colons(value)
    return line.count(b":") == keys + inside and (not inside or b"\\u003" not in line)


def _colons(value: Any) -> tuple[int, int]:
    """Count the keys of a row and of all inside, and the colons in the texts that are no keys."""
    keys = inside = 0
    waiting = [value]
    for one in waiting:  # it grows while it is walked
        values = one
        if type(one) is dict:
            keys += len(one)
            values = one.values()
        elif type(one) is str:
            values = (one,)
        elif type(one) is not list:
            continue
        for inner in values:
            if type(inner) is str:
                inside += inner.count(":")
            elif type(inner) is dict or type(inner) is list:
                waiting.append(inner)
    return keys, inside


def decode(text: str) -> tuple[Any, str]:
    """Read JSON; and beside the value the NaN in it that Python accepts, although JSON has none.

    This says what a row is: what `quick_parse` returns accepts and refuses exactly what this does.
    An object with a key twice is a RowError: JSON's readers keep the last value, and mlx-lm's is
    one of them.
    """
    try:
        try:
            return _STRICT.decode(text), ""
        except _ConstantError as constant:
            return _LOOSE.decode(text), str(constant)
    except _TwiceError as twice:
        raise RowError(_twice(text, str(twice))) from twice


class _ConstantError(ValueError):
    """A constant that is not JSON."""


class _TwiceError(ValueError):
    """A key that stands twice in an object."""


def _refuse(constant: str) -> None:
    raise _ConstantError(constant)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise _TwiceError(_repeated(pairs))
    return made


def _repeated(pairs: Iterable[tuple[str, Any]]) -> str:
    """Return the first key that was there before."""
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            break
        seen.add(key)
    return key


class _Twice(dict[str, Any]):
    """An object in which a key stood twice."""


def _marked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    return _Twice({_repeated(pairs): None}) if len(made) < len(pairs) else made


_STRICT = json.JSONDecoder(parse_constant=_refuse, object_pairs_hook=_once_each)
_LOOSE = json.JSONDecoder(object_pairs_hook=_once_each)
_MARKED = json.JSONDecoder(object_pairs_hook=_marked)


def _twice(text: str, key: str) -> Flaw:
    """Return the flaw of a row with a key twice; its place, where the rest can be read."""
    path: tuple[str | int, ...] = ()
    with suppress(ValueError, RecursionError):
        path = _way(_MARKED.decode(text)) or ()
    inside = f" in {dotted(path[:-1])}" if len(path) > 1 else ""
    message = (
        f"has the key {shown(key)} twice{inside}; mlx-lm reads the last, and the other is lost"
    )
    return Flaw("row-key-twice", message, "leave one of them, or rename one", path)


def _way(value: Any) -> tuple[str | int, ...] | None:
    """Return the path of the key that stands twice, None where none does."""
    if isinstance(value, _Twice):
        return tuple(value)
    pairs = value.items() if isinstance(value, dict) else ()
    for step, inner in enumerate(value) if isinstance(value, list) else pairs:
        found = _way(inner)
        if found is not None:
            return (step, *found)
    return None


def parse(line: bytes) -> tuple[Any, str]:
    """Decode one line as mlx-lm reads it; a line that it cannot read is a RowError."""
    body = line.removesuffix(b"\n").removesuffix(b"\r")
    if b"\r" in body:
        raise RowError(_carriage_return(body))
    try:
        return decode(body.decode())
    except RowError:
        raise
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
    if error.msg.startswith("Invalid \\escape"):
        hint = r"in JSON a backslash is written twice: \\"
    return Flaw("row-not-json", message, hint, (), "error", error.colno)


BLANK = Flaw("row-blank", "is blank; mlx-lm cannot read past a blank line, remove it")


def constant_flaw(found: str) -> Flaw:
    """Return the flaw of a row with a NaN or an Infinity."""
    message = f"holds {found}, which is not JSON; mlx-lm reads it, other programs refuse the file"
    return Flaw("row-constant", message, "write null or a number", (), "warning")
