"""A row of text, or of prompt and completion -> its flaws; and those of the tools of any row."""

from collections.abc import Iterator, Mapping
from typing import Any

from runner.core.rows.flaw import Flaw, empty, kind
from runner.core.rows.use import Use


def text_flaws(row: Mapping[str, Any], use: Use) -> Iterator[Flaw]:
    """Yield what is wrong with a row of text."""
    key = use.features.text
    if flaw := _string(row, key):
        yield flaw
    elif not row[key]:
        message = f"has an empty {key}; mlx-lm stops with an IndexError when a batch draws it"
        yield Flaw("row-empty-text", message, "remove the row", (key,))
    elif row[key].isspace():
        yield Flaw(
            "row-empty-text", f"has only white space as {key}", "remove it", (key,), "warning"
        )


def completion_flaws(row: Mapping[str, Any], use: Use) -> Iterator[Flaw]:
    """Yield what is wrong with a row of prompt and completion."""
    for key in (use.features.prompt, use.features.completion):
        if flaw := _string(row, key):
            yield flaw
        elif not row[key] or row[key].isspace():
            yield empty(f"its {key} is empty", (key,), answer=key == use.features.completion)
    if row.get("tools"):
        yield from tools_flaws(row)


def tools_flaws(row: Mapping[str, Any]) -> Iterator[Flaw]:
    """Yield what is wrong with the tools of a row that has some."""
    tools = row["tools"]
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        message = f"has {kind(tools)} as tools, not a list of objects"
        yield Flaw("row-field-type", message, "write JSON schemas, not text", ("tools",))


def _string(row: Mapping[str, Any], key: str) -> Flaw | None:
    value = row[key]
    if isinstance(value, str):
        return None
    lists = isinstance(value, list)
    hint = "for messages use a chat row: one list under one key" if lists else "write a string"
    return Flaw("row-field-type", f"has {kind(value)} as {key}, not a string", hint, (key,))
