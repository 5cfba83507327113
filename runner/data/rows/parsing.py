"""A line of bytes -> the value that mlx-lm reads, or why it cannot read it."""

import json
import posixpath
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cache
from shlex import quote
from typing import Any

import msgspec
from msgspec import Struct

from runner.base.patterns import pattern
from runner.base.problems import Mark, Problem, as_yaml
from runner.data.rows.row import DATA, SPLITS, Flaw, RowError, dotted

Parse = Callable[[bytes], tuple[Any, str]]


@cache
def quick_parse() -> Parse:
    """Return what decodes a line as `parse` does, which has the last word on all that is not plain.

    msgspec refuses more than Python does (NaN, half a surrogate pair), and accepts nothing else.
    """
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
    """Return whether no key of a value can have stood twice in its line, whose colons are counted.

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
    result = dict(pairs)
    if len(result) < len(pairs):
        raise _TwiceError(_repeat(pairs))
    return result


def _repeat(pairs: Iterable[tuple[str, Any]]) -> str:
    """Return the first key that was there before."""
    keys: set[str] = set()
    for key, _ in pairs:
        if key in keys:
            break
        keys.add(key)
    return key


class _Twice(dict[str, Any]):
    """An object in which a key stood twice."""


def _mark_repeat(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    return _Twice({_repeat(pairs): None}) if len(result) < len(pairs) else result


_STRICT = json.JSONDecoder(parse_constant=_refuse, object_pairs_hook=_once_each)
_LOOSE = json.JSONDecoder(object_pairs_hook=_once_each)
_REPEAT_DECODER = json.JSONDecoder(object_pairs_hook=_mark_repeat)


def _twice(text: str, key: str) -> Flaw:
    """Return the flaw of a row with a key twice; its place, where the rest can be read."""
    path: tuple[str | int, ...] = ()
    with suppress(ValueError, RecursionError):
        path = _way(_REPEAT_DECODER.decode(text)) or ()
    inside = f" in {dotted(path[:-1])}" if len(path) > 1 else ""
    message = (
        f"has the key {as_yaml(key)} twice{inside}; mlx-lm reads the last one and drops the other"
    )
    return Flaw(
        rule="row-key-twice", message=message, hint="remove one of them, or rename one", path=path
    )


def _way(value: Any) -> tuple[str | int, ...] | None:
    """Return the path of the key that stands twice, None if none does."""
    if isinstance(value, _Twice):
        return tuple(value)
    pairs = value.items() if isinstance(value, dict) else ()
    for step, inner in enumerate(value) if isinstance(value, list) else pairs:
        rest = _way(inner)
        if rest is not None:
            return (step, *rest)
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
        raise RowError(Flaw(rule="row-not-json", message=f"cannot be read: {error}")) from error


def _carriage_return(body: bytes) -> Flaw:
    if not body.strip():
        return BLANK
    head = body[: body.index(b"\r")].decode(errors="replace")
    message = "contains a carriage return; mlx-lm would end the row there"
    return Flaw(
        rule="row-carriage-return",
        message=message,
        hint="end every row with one \\n",
        path=(),
        severity="error",
        column=len(head) + 1,
    )


def _not_utf8(body: bytes, error: UnicodeDecodeError) -> Flaw:
    utf16 = body.startswith((b"\xff\xfe", b"\xfe\xff"))
    hint = "the file looks like UTF-16; " * utf16 + "save it as UTF-8"
    column = len(body[: error.start].decode()) + 1
    return Flaw(
        rule="row-not-utf8",
        message=f"cannot be read: {error}",
        hint=hint,
        path=(),
        severity="error",
        column=column,
    )


def _not_json(body: bytes, error: json.JSONDecodeError) -> Flaw:
    if not body.strip():
        return BLANK
    if body.startswith(b"\xef\xbb\xbf"):
        message = "is not JSON: Unexpected UTF-8 BOM, and mlx-lm does not skip it"
        return Flaw(
            rule="row-byte-order-mark", message=message, hint="save the file as UTF-8 without a BOM"
        )
    message = f"is not JSON: {error.msg} at column {error.colno}"
    hint = (
        "write one JSON object per line"
        if error.msg == "Extra data" or body in {b"[", b"{"}
        else ""
    )
    if error.msg.startswith("Invalid \\escape"):
        hint = r"in JSON, write a backslash twice: \\"
    return Flaw(
        rule="row-not-json",
        message=message,
        hint=hint,
        path=(),
        severity="error",
        column=error.colno,
    )


BLANK = Flaw(rule="row-blank", message="is blank; mlx-lm cannot read past a blank line: remove it")


def constant_flaw(constant: str) -> Flaw:
    """Return the flaw of a row with a NaN or an Infinity."""
    message = (
        f"contains {constant}, which is not JSON; mlx-lm reads it, but other programs reject the "
        "file"
    )
    return Flaw(
        rule="row-constant",
        message=message,
        hint="write null or a number",
        path=(),
        severity="warning",
    )


def problem_of(flaw: Flaw, file: str, number: int, line: bytes) -> Problem:
    """Return the problem that a flaw is in this line of a file."""
    column = flaw.column or (column_of(line.decode(), flaw.path) if flaw.path else 1)
    mark = Mark(file=file, line=number, column=column)
    hint = flaw.hint.replace(DATA, quote(data_of(file))) if DATA in flaw.hint else flaw.hint
    return Problem(
        mark=mark,
        message=f"the row {flaw.message}",
        rule=flaw.rule,
        hint=hint,
        notes=(),
        severity=flaw.severity,
    )


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
    place, number, keyed = at, 0, text[at] == "{"
    if text[at] not in "{[":
        return at
    at = _skip(text, at + 1)
    while text[at] not in "}]":
        name: str | int = number
        if keyed:
            name, at = _DECODER.raw_decode(text, at)
            at = _skip(text, _skip(text, at) + 1)
        place = at if name == step else place
        _, at = _DECODER.raw_decode(text, at)
        at = _skip(text, at)
        at = _skip(text, at + 1) if text[at] == "," else at
        number += 1
    return place


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


_DECODER = json.JSONDecoder()


_SPACE = pattern(r"[ \t\r\n]*")


HEAD = 1 << 16
"""So much of a file says what it is."""

_ARRAY = pattern(r"\[\s*(?:\{|\Z)")
_HOLDER = pattern(r'\{\s*"(data|rows|examples|items|samples|records|train)"\s*:\s*\[\s*(?:\{|\Z)')
_CELL = pattern(r'"[^"]*"|[^\W\d]\w*(?:[ .-]\w+){0,2}')
_DELIMITERS = {",": "CSV", ";": "CSV", "\t": "TSV"}

_WIDE = {
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}

_OBJECTS = (
    'exec("import json\\nt = open(0, encoding=\\"utf-8-sig\\").read().strip()\\nn = 0\\n'
    "while n < len(t):\\n row, n = json.JSONDecoder().raw_decode(t, n)\\n"
    " [print(json.dumps(row))]\\n"
    ' while t[n:n + 1].isspace(): n += 1")'
)


class Other(Struct, frozen=True, kw_only=True):
    """What a file holds instead of rows, and the command that makes rows of it.

    `command` reads stdin and writes stdout; `whole` names its files itself.
    """

    what: str
    command: str = ""
    whole: str = ""


def _archive(by: str, module: str) -> Other:
    script = f"import {module}, shutil, sys; shutil.copyfileobj({module}.open(sys.stdin.buffer), "
    return Other(what=f"packed by {by}", command=f"python3 -c '{script}sys.stdout.buffer)'")


def _arrow(name: str, module: str) -> Other:
    script = (
        f"import json, sys, pyarrow.{module} as p; [print(json.dumps(row, default=str)) "
        "for row in p.read_table(sys.argv[1]).to_pylist()]"
    )
    whole = f"python3 -m pip install pyarrow && python3 -c '{script}' {{source}} > {{target}}"
    return Other(what=name, whole=whole)


_ZIP = b"PK\x03\x04"
_EXCEL = Other(what="an Excel workbook", whole="save it from Excel as CSV UTF-8")
_BEGINNINGS = {
    b"\x1f\x8b": _archive("gzip", "gzip"),
    b"BZh": _archive("bzip2", "bz2"),
    b"\xfd7zXZ\x00": _archive("xz", "lzma"),
    b"\x28\xb5\x2f\xfd": Other(what="packed by zstd", whole="zstd -d {source} -o {target}"),
    b"PAR1": _arrow("Parquet", "parquet"),
    b"ARROW1": _arrow("Arrow", "feather"),
    _ZIP: Other(what="a zip archive", whole="python3 -m zipfile -e {source} {folder}"),
    b"\xd0\xcf\x11\xe0": _EXCEL,
}


def foreign(head: bytes, file: str, target: str = "") -> Problem | None:
    """Return the problem of a file that is no .jsonl at all, None for one that is, or may be.

    Rows of it go to `target`, which is the file itself if nothing is said.
    """
    other = holding(head, file)
    if other is None:
        return None
    message = f"the file is {other.what}, but mlx-lm reads one JSON object per line"
    return Problem(
        mark=Mark(file=file, line=1, column=1),
        message=message,
        rule="split-not-jsonl",
        hint=way(other, file, target or file),
    )


def way(other: Other, source: str, target: str) -> str:
    """Return the command that makes rows of a file, in another or in its own place."""
    new = target if target != source else f"{source}.new"
    move = "" if target != source else f" && mv {quote(new)} {quote(target)}"
    folder = quote(source.rpartition("/")[0] or ".")
    if other.whole:
        command = other.whole.format(source=quote(source), target=quote(new), folder=folder)
        return command + move * ("{target}" in other.whole)
    return f"{other.command} < {quote(source)} > {quote(new)}{move}"


def holding(head: bytes, file: str) -> Other | None:
    """Return what a file that begins so holds instead of rows, None for rows."""
    other = _of_bytes(head)
    return _of_text(head, file) if other is None else other


def _of_bytes(head: bytes) -> Other | None:
    """Return what a file is that is no text of UTF-8 in lines, None for one that may be."""
    for start, other in _BEGINNINGS.items():
        if head.startswith(start):
            office = start == _ZIP and (b"xl/" in head or b"[Content_Types].xml" in head)
            return _EXCEL if office else other
    wide = _wide(head)
    if wide:
        script = f'import sys; sys.stdout.buffer.write(open(0, encoding="{wide}").read().encode())'
        return Other(what=f"text in {wide.upper()}", command=f"python3 -c '{script}'")
    if b"\0" in head and not head.lstrip().startswith(b"{"):
        return Other(what="no text", whole="write rows into it")
    if b"\r" in head.strip() and b"\n" not in head and len(head) < HEAD:
        return Other(
            what="of lines that end with a carriage return alone", command="tr '\\r' '\\n'"
        )
    return None


def _wide(head: bytes) -> str:
    """Return the name of an encoding with more than a byte a letter, '' for another."""
    for start, name in _WIDE.items():
        if head.startswith(start):
            return name
    for even, name in ((0, "utf-16-be"), (1, "utf-16-le")):
        if head[even:4:2] == b"\0\0" and b"\0" not in head[1 - even : 4 : 2]:
            return name
    return ""


def _of_text(head: bytes, file: str) -> Other | None:
    """Return what a text holds instead of rows: an array, a table, or objects over many lines."""
    encoding = "utf-8-sig" if _is_utf8(head) else "cp1252"
    lines = [line.strip() for line in head.decode(encoding, "replace").split("\n")]
    lines = [line for line in lines if line]
    if not lines:
        return None
    if _is_array(lines):
        return _table("a JSON array", "json.load(rows)", encoding)
    if inside := _inside(lines):
        value = f'json.load(rows)["{inside}"]'
        return _table(f"one JSON object with rows in '{inside}'", value, encoding)
    if _is_spread(lines):
        return Other(
            what="JSON objects over several lines each", command=f"python3 -c '{_OBJECTS}'"
        )
    delimiter = _delimiter(lines[0]) or _delimiter_of(file, lines[0])
    if delimiter:
        more = "" if delimiter == "," else f", delimiter={delimiter!r}".replace("'", '"')
        return _table(_DELIMITERS[delimiter], f"csv.DictReader(rows{more})", encoding)
    return None


def _table(what: str, value: str, encoding: str) -> Other:
    script = (
        f'import csv, json; rows = open(0, encoding="{encoding}", newline=""); '
        f"[print(json.dumps(row)) for row in {value}]"
    )
    other = "" if encoding == "utf-8-sig" else ", not in UTF-8 (Windows-1252 is assumed)"
    return Other(what=f"{what}{other}", command=f"python3 -c '{script}'")


def _is_utf8(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return len(head) >= HEAD and error.start > len(head) - 4
    return True


def _is_array(lines: list[str]) -> bool:
    """Return whether these lines begin one array of objects, and are not an array each."""
    with suppress(ValueError, RecursionError):
        whole = json.loads(lines[0])
        return len(lines) == 1 and isinstance(whole, list) and bool(_ARRAY.match(lines[0]))
    return bool(_ARRAY.match("\n".join(lines[:2])))


def _inside(lines: list[str]) -> str:
    """Return the key of one object that holds all rows as a list, '' for anything else."""
    match = _HOLDER.match("\n".join(lines[:4]))
    return match[1] if match else ""


def _is_spread(lines: list[str]) -> bool:
    """Return whether the first object goes over several lines, or a line holds several objects."""
    if not lines[0].startswith("{"):
        return False
    with suppress(ValueError, RecursionError):
        _, end = json.JSONDecoder().raw_decode(lines[0])
        return len(lines) == 1 and lines[0][end:].lstrip().startswith("{")
    with suppress(ValueError, RecursionError):
        json.JSONDecoder().raw_decode("\n".join(lines))  # whole, once more lines are taken to it
        return True
    return lines[0] == "{"


def _delimiter_of(file: str, line: str) -> str:
    """Return the delimiter of a table that only its name tells, '' for none."""
    if file.endswith(".tsv"):
        return "\t"
    return (";" if line.count(";") > line.count(",") else ",") if file.endswith(".csv") else ""


def _delimiter(line: str) -> str:
    """Return what stands between the names in a table's first line, '' for no table."""
    for delimiter in _DELIMITERS:
        cells = line.split(delimiter)
        if len(cells) > 1 and all(_CELL.fullmatch(cell.strip()) for cell in cells):
            return delimiter
    return ""
