"""The keys of a row -> the formats mlx-lm could read it in."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runner.core.problem import listing
from runner.core.rows.flaw import Flaw, RowError
from runner.core.rows.parsing import parse
from runner.core.rows.shapes import without_format
from runner.core.rows.use import Features


def formats_of(row: Mapping[str, Any], features: Features) -> list[str]:
    """Return every format a row could be read in, mlx-lm's choice first."""
    found = []
    if features.prompt in row and features.completion in row:
        found.append("completions")
    if features.chat in row:
        found.append("chat")
    if features.text in row:
        found.append("text")
    return found


def require_format(row: Any, features: Features) -> list[str]:
    """Return the formats of a row that has at least one; else it is a RowError."""
    if not isinstance(row, dict):
        hint = "write one object a line, without [ ] around it" if isinstance(row, list) else ""
        raise RowError(Flaw("row-not-object", "is not a JSON object", hint))
    found = formats_of(row, features)
    if not found:
        raise RowError(without_format(row, features))
    return found


def first_format(lines: Iterable[bytes], features: Features) -> str | None:
    """Return the format mlx-lm reads a file in: that of its first row that has one."""
    for line in lines:
        try:
            return require_format(parse(line)[0], features)[0]
        except RowError:
            continue
    return None


def two_formats(formats: Sequence[str], wanted: str) -> Flaw:
    """Return the flaw of a row in the wanted format and in others."""
    others = listing(kind for kind in formats if kind != wanted)
    message = f"can be read as {wanted} and as {others}; mlx-lm reads it as {wanted}"
    return Flaw("row-two-formats", message, "leave only the keys you mean", (), "warning")


def other_format(row: Mapping[str, Any], found: str, wanted: str, features: Features) -> Flaw:
    """Return the flaw of a row in another format than the first row of its file."""
    keys = {"completions": (features.prompt, features.completion)}
    needed = keys.get(wanted, (features.chat if wanted == "chat" else features.text,))
    missing = next((key for key in needed if key not in row), needed[0])
    message = (
        f"is {found} and the first row is {wanted}: mlx-lm reads it as {wanted}, "
        f"and stops with KeyError '{missing}' in the middle of the training"
    )
    return Flaw("row-other-format", message, "keep one format per file")
