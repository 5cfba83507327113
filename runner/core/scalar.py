"""A plain scalar's text in, its value by YAML 1.2's core schema out."""

import math
import re
from typing import Any

MAX_DIGITS = 3_500  # Python refuses to print a number of more than 4,300; these may be hexadecimal
_INT = re.compile(r"[-+]?[0-9]+\Z|0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}


class NumberError(ValueError):
    """A number that cannot be read; its text says why, `hint` the way out."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def scalar(text: str) -> Any:
    """Return the value of a plain scalar by YAML 1.2's core schema.

    Raises NumberError for a leading zero, which YAML 1.1 and 1.2 read differently, and for size.
    """
    if text in _WORDS:
        return _WORDS[text]
    if not text[0].isdigit() and text[0] not in "-+.":
        return text
    if _INT.match(text):
        if len(text) > MAX_DIGITS:
            raise NumberError(f"this number of {len(text):,} digits is too large", "is it text?")
        if re.match(r"[-+]?0[0-9]", text):
            raise _leading_zero(text)
        return int(text, 0)
    return float(text) if _FLOAT.match(text) else text


def _leading_zero(text: str) -> NumberError:
    octal = text.lstrip("+-0")
    also = f", 0o{octal} for octal" if octal.isdigit() and not set(octal) & set("89") else ""
    why = f"{text}: a leading zero means octal in YAML 1.1 and nothing in YAML 1.2"
    return NumberError(why, f"write {int(text)}{also}, or quote it")
