"""A value -> YAML on one line, which every reader of YAML reads back as the same value."""

import json
import math
import re
from typing import Any

from runner.base import visible
from runner.base.patterns import pattern
from runner.recipe.yaml_scalars import NumberError, scalar

_WIDE = 0x10000
_BARE = pattern(r"[A-Za-z_./][\w./@+-]*(?: [\w./@+-]+)*\Z")
_WORDS_OF_OTHERS = {"yes", "no", "on", "off", "y", "n"}


def flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    if isinstance(value, dict):
        inside = ", ".join(f"{key(name)}: {flow(child)}" for name, child in value.items())
        return f"{{{inside}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(flow, value))}]"
    if isinstance(value, str):
        return value if _plain(value) else _quote(value)
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    return repr(value) if isinstance(value, float) else json.dumps(value)


def _quote(text: str) -> str:
    """Return a text in double quotes; YAML takes some characters for the end of a line."""

    def escape(match: re.Match[str]) -> str:
        char = match.group()
        code = ord(char)
        return (
            char if char.isprintable() else f"\\u{code:04x}" if code < _WIDE else f"\\U{code:08x}"
        )

    whole = re.sub(r"[^ -~]", escape, json.dumps(text, ensure_ascii=False))
    return visible.json_text(whole)


def _plain(text: str) -> bool:
    """Return whether a text may stand without quotes, for every reader of YAML."""
    if not _BARE.match(text) or text.casefold() in _WORDS_OF_OTHERS:
        return False
    try:
        return isinstance(scalar(text), str)
    except NumberError:
        return False


def key(name: str) -> str:
    """Return a key of a mapping as YAML."""
    return name if _plain(name) else _quote(name)
