"""The flaws of one row, explained and with their places."""

import json
from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any

from msgspec import Struct

DATA = "{data}"
"""In a hint, the data set that a row is in."""


class Flaw(Struct, frozen=True, kw_only=True):
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
        message = f"has an empty answer: {what}"
        return Flaw(
            rule="row-empty-answer",
            message=message,
            hint="remove the row",
            path=path,
            severity="warning",
        )
    return Flaw(
        rule="row-empty-field",
        message=f"is incomplete: {what}",
        hint="",
        path=path,
        severity="warning",
    )


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


SPLITS = ("train", "valid", "test")
ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})


class Features(Struct, frozen=True, kw_only=True):
    """The keys of a row; mlx-lm's ``prompt_feature``, ``chat_feature``, … rename them."""

    prompt: str = "prompt"
    completion: str = "completion"
    chat: str = "messages"
    text: str = "text"
    system: str = "system"
    chosen: str = "chosen"
    rejected: str = "rejected"
    answer: str = "answer"


class RowUse(Struct, frozen=True, kw_only=True):
    """What the rows will be trained with, and how many problems of a kind to show per file."""

    features: Features = Features()
    mask_prompt: bool = False
    batch_size: int | None = None
    max_seq_length: int = 2048
    roles: frozenset[str] = ROLES
    limit: int = 20
    every: bool = True
    """Whether every row is tokenized, or only those that could be cut or masked."""
    kind: str = "mlx-lm"
    """What the rows are for: mlx-lm's own formats, or one of `preferences`."""


_ROLE = itemgetter("role")


class Row(Struct, frozen=True, kw_only=True):
    """A row that can be read: its keys and values, its format, the strings it trains on."""

    value: Mapping[str, Any]
    format: str
    parts: list[str]


def strings(row: Mapping[str, Any], kind: str, features: Features) -> list[str]:
    """Return the strings of a sound row that mlx-lm trains on, in order."""
    if kind == "text":
        return [row[features.text]]
    if kind == "completions":
        return [row[features.prompt], row[features.completion]]
    texts: list[str] = []
    for message in row[features.chat]:
        content = message.get("content")
        texts += [content] if isinstance(content, str) else text_parts(content) or []
    return texts


def text_parts(content: Any) -> list[str] | None:
    """Return the texts of content that is a list of such parts, None if it is anything else."""
    if not isinstance(content, list) or not content:
        return None
    texts = [part.get("text") if isinstance(part, dict) else None for part in content]
    return (
        [t for t in texts if isinstance(t, str)] if all(isinstance(t, str) for t in texts) else None
    )


def identity(row: Row, features: Features) -> bytes:
    """Return what makes two rows the same to a training; a lone surrogate is a UnicodeError."""
    words = [row.format, *row.parts]
    if row.format == "chat":
        messages = row.value[features.chat]
        words += map(_ROLE, messages)
        if max(map(len, messages)) > 2:  # noqa: PLR2004 - more than role and content
            words.append(json.dumps(messages, sort_keys=True, ensure_ascii=False))
    if row.value.get("tools"):
        words.append(json.dumps(row.value["tools"], sort_keys=True, ensure_ascii=False))
    return "\x1f".join(words).encode()
