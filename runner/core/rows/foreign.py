"""The beginning of a file -> what it is instead of rows of JSON, and how rows are made of it."""

import json
import re
from contextlib import suppress

from runner.core.problem import Mark, Problem

HEAD = 1 << 16
"""So much of a file says what it is."""

_ARRAY = re.compile(r"\[\s*(?:\{|\Z)")
_CELL = re.compile(r'"[^"]*"|[^\W\d]\w*(?:[ .-]\w+){0,2}')
_DELIMITERS = {",": "CSV", ";": "CSV", "\t": "TSV"}


def foreign(head: bytes, file: str) -> Problem | None:
    """Return the problem of a file that is no .jsonl at all, None for one that is, or may be."""
    lines = head.decode("utf-8-sig", "replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    if not said:
        return None
    if _is_array(said):
        what, value = "a JSON array", "json.load(rows)"
    elif delimiter := _delimiter(said[0]):
        what = _DELIMITERS[delimiter]
        more = "" if delimiter == "," else f", delimiter={delimiter!r}".replace("'", '"')
        value = f"csv.DictReader(rows{more})"
    else:
        return None
    script = (
        'import csv, json; rows = open(0, encoding="utf-8-sig"); '
        f"[print(json.dumps(row)) for row in {value}]"
    )
    message = f"the file is {what}, and mlx-lm reads one JSON object a line"
    hint = f"python3 -c '{script}' < {file} > rows.jsonl makes such lines of it"
    return Problem(Mark(file, 1, 1), message, "split-not-jsonl", hint)


def _is_array(said: list[str]) -> bool:
    """Say whether these lines begin one array of objects, and are not an array each."""
    with suppress(ValueError, RecursionError):
        whole = json.loads(said[0])
        return len(said) == 1 and isinstance(whole, list) and bool(_ARRAY.match(said[0]))
    return bool(_ARRAY.match("\n".join(said[:2])))


def _delimiter(line: str) -> str:
    """Return what stands between the names in a table's first line, '' for no table."""
    for delimiter in _DELIMITERS:
        cells = line.split(delimiter)
        if len(cells) > 1 and all(_CELL.fullmatch(cell.strip()) for cell in cells):
            return delimiter
    return ""
