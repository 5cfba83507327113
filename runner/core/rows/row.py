"""A row that can be read: the strings it trains on, and what makes it the same as another."""

import json
from collections.abc import Mapping
from operator import itemgetter
from typing import Any, NamedTuple

from runner.core.rows.use import Features

_ROLE = itemgetter("role")


class Row(NamedTuple):
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
    found: list[str] = []
    for message in row[features.chat]:
        content = message.get("content")
        found += [content] if isinstance(content, str) else text_parts(content) or []
    return found


def text_parts(content: Any) -> list[str] | None:
    """Return the texts of content that is a list of such parts, None where it is anything else."""
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
