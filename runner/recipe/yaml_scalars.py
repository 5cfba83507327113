"""A plain scalar's text in, its value by YAML 1.2's core schema out."""

import math
import re
from typing import Any

from runner.base.patterns import pattern

LARGEST = 2**64 - 1  # what MLX's seeds, numpy and every tool's own language hold at most
_MAX_DIGITS = 100  # read before they are counted as a number
_INT = pattern(r"[-+]?[0-9]+\Z|0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = pattern(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_HALF = pattern("[\ud800-\udfff]")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}


class NumberError(ValueError):
    """A number that cannot be read: its text is the reason; `hint`, `rule` are of the problem."""

    def __init__(self, message: str, hint: str, rule: str = "number-too-large") -> None:
        super().__init__(message)
        self.hint = hint
        self.rule = rule


def scalar(text: str) -> Any:
    """Return the value of a plain scalar by YAML 1.2's core schema.

    Raises NumberError for a leading zero, which YAML 1.1 and 1.2 read differently, and for size.
    """
    if text in _WORDS:
        return _WORDS[text]
    if not text[0].isdigit() and text[0] not in "-+.":
        return text
    if _INT.match(text):
        if re.match(r"[-+]?0[0-9]", text):
            raise _leading_zero(text)
        if len(text) > _MAX_DIGITS or abs(int(text, 0)) > LARGEST:
            why = f"this number of {len(text):,} digits is too large: the limit is {LARGEST:,}"
            raise NumberError(why, "put it in quotes if it is text")
        return int(text, 0)
    return _float(text) if _FLOAT.match(text) else text


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise NumberError(
            f"{text[:40]} is too large for a number", "put it in quotes if it is text"
        )
    if not value and set(text.lower().partition("e")[0]) & set("123456789"):
        why = f"{text[:40]} is so small that it would be 0"
        raise NumberError(why, "write 0 if intended")
    return value


def _leading_zero(text: str) -> NumberError:
    if len(text) > _MAX_DIGITS:
        why = f"this number of {len(text):,} digits has a leading zero"
        return NumberError(why, "quote it", "leading-zero")
    octal = text.lstrip("+-0")
    also = f", 0o{octal} for octal" if octal.isdigit() and not set(octal) & set("89") else ""
    why = f"{text}: a leading zero means octal in YAML 1.1 and nothing in YAML 1.2"
    return NumberError(why, f"write {int(text)}{also}, or quote it", "leading-zero")


def unfit(text: str) -> str:
    """Return what a text holds that no command, file name or script can, '' for nothing."""
    if "\0" in text:
        return "a NUL character"
    half = _HALF.search(text)
    return f"half a character (U+{ord(half[0]):04X})" if half else ""
