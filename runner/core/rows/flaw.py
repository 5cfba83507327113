"""What is wrong with one row, in words and at its place."""

from collections.abc import Iterable
from typing import Any, NamedTuple

DATA = "{data}"
"""In a hint, the data set that a row stands in."""


class Flaw(NamedTuple):
    """What is wrong with a row, as a sentence whose subject is the row."""

    rule: str
    message: str
    hint: str = ""
    path: tuple[str | int, ...] = ()
    severity: str = "error"
    column: int = 0


class RowError(ValueError):
    """A line that mlx-lm cannot read at all."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.message)
        self.flaw = flaw


def empty(what: str, path: tuple[str | int, ...], *, answer: bool) -> Flaw:
    """Return the flaw of a field that holds nothing; the model would learn such an answer."""
    if answer:
        message = f"teaches the model to answer with nothing: {what}"
        return Flaw("row-empty-answer", message, "remove the row", path, "warning")
    return Flaw("row-empty-field", f"has a gap: {what}", "", path, "warning")


def kind(value: Any) -> str:
    """Return what a value of JSON is, in words."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false"}
    return "null" if value is None else names.get(type(value), "a number")


def dotted(path: Iterable[str | int]) -> str:
    """Return a path inside of a row as people write it, as ``messages[1].content``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text
