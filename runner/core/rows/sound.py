"""A row and its format -> the strings it trains on, and its flaws."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from runner.core.rows.fields import completion_flaws, text_flaws
from runner.core.rows.flaw import Flaw
from runner.core.rows.messages import chat_flaws, plain_texts
from runner.core.rows.row import strings
from runner.core.rows.use import Use

CHECKS: Mapping[str, Callable[[Mapping[str, Any], Use], Iterator[Flaw]]] = {
    "completions": completion_flaws,
    "chat": chat_flaws,
    "text": text_flaws,
}


def look(row: Mapping[str, Any], kind: str, use: Use) -> tuple[list[str] | None, list[Flaw]]:
    """Return the strings of a row, None where a flaw is an error; and its flaws."""
    texts = plain_texts(row, use) if kind == "chat" else None
    if texts is not None:
        return texts, []
    flaws = list(CHECKS[kind](row, use))
    broken = any(flaw.severity == "error" for flaw in flaws)
    return None if broken else strings(row, kind, use.features), flaws
