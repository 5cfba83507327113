"""Numbers of a run, formatted for people."""

import json
from typing import Any

from runner.base import visible

# One encoder: json.dumps makes a new one for each value that is not to be plain ASCII.
_encode_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def encode(value: Any) -> str:
    """Return JSON that shows what it holds, and that PyYAML reads as JSON.

    PyYAML folds the line separators and refuses the controls where they are as they are.
    """
    return visible.json_text(_encode_json(value))


def pretty_json(value: Any, indent: int = 0, width: int = 100) -> str:
    """Return JSON with what fits on a line on one line. Raises ValueError for nan and infinity."""
    flat = encode(value)
    if indent + len(flat) <= width or not value or not isinstance(value, dict | list):
        return flat
    pad = " " * (indent + 2)
    if isinstance(value, dict):
        rows = [
            f"{pad}{encode(key)}: {pretty_json(child, indent + 2, width)}"
            for key, child in value.items()
        ]
        return "{\n" + ",\n".join(rows) + f"\n{' ' * indent}}}"
    rows = [pad + pretty_json(child, indent + 2, width) for child in value]
    return "[\n" + ",\n".join(rows) + f"\n{' ' * indent}]"


def duration(seconds: float) -> str:
    """Return a duration for people: 4.2 s, 3 min 20 s, 2 h 05 min."""
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:  # noqa: PLR2004
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def size_of(count: float) -> str:
    """Return a number of bytes for people: 1.2 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:  # noqa: PLR2004  (the next unit)
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def figure(name: str, value: Any) -> str:
    """Return a metric in as many digits as say something."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if name == "learning_rate":
        return f"{value:.3g}"
    if name == "tokens_per_second" or isinstance(value, int):
        return f"{value:,.0f}"
    return f"{value:.3f}"
