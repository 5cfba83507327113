"""The beginning of a file -> what it is instead of rows of JSON, and how rows are made of it."""

import json
import re
from contextlib import suppress
from shlex import quote
from typing import NamedTuple

from runner.core.problem import Mark, Problem

HEAD = 1 << 16
"""So much of a file says what it is."""

_ARRAY = re.compile(r"\[\s*(?:\{|\Z)")
_HOLDER = re.compile(
    r'\{\s*"(data|rows|examples|items|samples|records|train)"\s*:\s*\[\s*(?:\{|\Z)'
)
_CELL = re.compile(r'"[^"]*"|[^\W\d]\w*(?:[ .-]\w+){0,2}')
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


class Other(NamedTuple):
    """What a file holds instead of rows, and the command that makes rows of it.

    `command` reads stdin and writes stdout; `whole` names its files itself.
    """

    what: str
    command: str = ""
    whole: str = ""


def _packed(by: str, module: str) -> Other:
    script = f"import {module}, shutil, sys; shutil.copyfileobj({module}.open(sys.stdin.buffer), "
    return Other(f"packed by {by}", f"python3 -c '{script}sys.stdout.buffer)'")


def _arrow(name: str, module: str) -> Other:
    script = (
        f"import json, sys, pyarrow.{module} as p; [print(json.dumps(row, default=str)) "
        "for row in p.read_table(sys.argv[1]).to_pylist()]"
    )
    whole = f"python3 -m pip install pyarrow && python3 -c '{script}' {{source}} > {{target}}"
    return Other(name, whole=whole)


_ZIP = b"PK\x03\x04"
_EXCEL = Other("an Excel workbook", whole="save it from Excel as CSV UTF-8")
_BEGINNINGS = {
    b"\x1f\x8b": _packed("gzip", "gzip"),
    b"BZh": _packed("bzip2", "bz2"),
    b"\xfd7zXZ\x00": _packed("xz", "lzma"),
    b"\x28\xb5\x2f\xfd": Other("packed by zstd", whole="zstd -d {source} -o {target}"),
    b"PAR1": _arrow("Parquet", "parquet"),
    b"ARROW1": _arrow("Arrow", "feather"),
    _ZIP: Other("a zip archive", whole="python3 -m zipfile -e {source} {folder}"),
    b"\xd0\xcf\x11\xe0": _EXCEL,
}


def foreign(head: bytes, file: str, target: str = "") -> Problem | None:
    """Return the problem of a file that is no .jsonl at all, None for one that is, or may be.

    Rows of it go to `target`, which is the file itself where nothing is said.
    """
    found = holding(head, file)
    if found is None:
        return None
    message = f"the file is {found.what}, and mlx-lm reads one JSON object a line"
    return Problem(Mark(file, 1, 1), message, "split-not-jsonl", way(found, file, target or file))


def way(found: Other, source: str, target: str) -> str:
    """Return the command that makes rows of a file, in another or in its own place."""
    new = target if target != source else f"{source}.new"
    move = "" if target != source else f" && mv {quote(new)} {quote(target)}"
    folder = quote(source.rpartition("/")[0] or ".")
    if found.whole:
        command = found.whole.format(source=quote(source), target=quote(new), folder=folder)
        return command + move * ("{target}" in found.whole)
    return f"{found.command} < {quote(source)} > {quote(new)}{move}"


def holding(head: bytes, file: str) -> Other | None:
    """Return what a file that begins so holds instead of rows, None for rows."""
    found = _of_bytes(head)
    return _of_text(head, file) if found is None else found


def _of_bytes(head: bytes) -> Other | None:
    """Return what a file is that is no text of UTF-8 in lines, None for one that may be."""
    for start, other in _BEGINNINGS.items():
        if head.startswith(start):
            office = start == _ZIP and (b"xl/" in head or b"[Content_Types].xml" in head)
            return _EXCEL if office else other
    wide = _wide(head)
    if wide:
        script = f'import sys; sys.stdout.buffer.write(open(0, encoding="{wide}").read().encode())'
        return Other(f"text in {wide.upper()}", f"python3 -c '{script}'")
    if b"\0" in head and not head.lstrip().startswith(b"{"):
        return Other("no text", whole="write rows of text into it")
    if b"\r" in head.strip() and b"\n" not in head and len(head) < HEAD:
        return Other("of lines that end with a carriage return alone", "tr '\\r' '\\n'")
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
    said = [line.strip() for line in head.decode(encoding, "replace").split("\n")]
    said = [line for line in said if line]
    if not said:
        return None
    if _is_array(said):
        return _table("a JSON array", "json.load(rows)", encoding)
    if inside := _inside(said):
        value = f'json.load(rows)["{inside}"]'
        return _table(f"one JSON object, with rows in '{inside}'", value, encoding)
    if _spread(said):
        return Other("JSON objects over several lines each", f"python3 -c '{_OBJECTS}'")
    delimiter = _delimiter(said[0]) or _named(file, said[0])
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
    return Other(f"{what}{other}", f"python3 -c '{script}'")


def _is_utf8(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return len(head) >= HEAD and error.start > len(head) - 4
    return True


def _is_array(said: list[str]) -> bool:
    """Say whether these lines begin one array of objects, and are not an array each."""
    with suppress(ValueError, RecursionError):
        whole = json.loads(said[0])
        return len(said) == 1 and isinstance(whole, list) and bool(_ARRAY.match(said[0]))
    return bool(_ARRAY.match("\n".join(said[:2])))


def _inside(said: list[str]) -> str:
    """Return the key of one object that holds all rows as a list, '' for anything else."""
    match = _HOLDER.match("\n".join(said[:4]))
    return match[1] if match else ""


def _spread(said: list[str]) -> bool:
    """Say whether the first object goes over several lines, or a line holds several objects."""
    if not said[0].startswith("{"):
        return False
    with suppress(ValueError, RecursionError):
        _, end = json.JSONDecoder().raw_decode(said[0])
        return len(said) == 1 and said[0][end:].lstrip().startswith("{")
    with suppress(ValueError, RecursionError):
        json.JSONDecoder().raw_decode("\n".join(said))  # whole, once more lines are taken to it
        return True
    return said[0] == "{"


def _named(file: str, line: str) -> str:
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
