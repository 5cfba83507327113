"""The operators of expressions: Python's own, on YAML's values, with limits.

Where Python would guess, these fail: a number truncated by ``%d``, the text of null.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runner.base.patterns import pattern
from runner.base.problems import as_yaml
from runner.recipe.template.allowance import MAX_DIGITS, TOO_LARGE, Allowance, SpentError
from runner.recipe.template.sandbox import OperationError, Scope

_FIELD = pattern(r"%(?:\((\w+)\))?([-+ 0#]*)(\d*)(?:\.(\d*))?(.?)", re.DOTALL)
_WIDEST = 999
_PLAIN: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "/": operator.truediv,
    "//": operator.floordiv,
}
_ORDER: Mapping[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
    "in": lambda left, right: operator.contains(right, left),
    "notin": lambda left, right: not operator.contains(right, left),
}


def kind(value: Any) -> str:
    """Return what a person calls this type of value."""
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    words |= {list: "a list", tuple: "a list", dict: "a mapping", type(None): "null"}
    if isinstance(value, Scope):
        return "a group of values"
    return words.get(type(value), f"a {type(value).__name__}")


def text(value: Any) -> str:
    """Return a value as it is inside text; raises OperationError for one that cannot."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return repr(value)
    hint = "give it a value" if value is None else "write {{ NAME | join(',') }} for a list"
    raise OperationError(f"{kind(value)} cannot be part of a text", hint)


def number(value: Any) -> bool:
    """Return whether a value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def binary(sign: str, left: Any, right: Any, allowance: Allowance) -> Any:
    """Return what an arithmetic operator makes of two values.

    Raises TypeError, ArithmeticError, OperationError, SpentError.
    """
    allowance.work(2)
    if sign == "*":
        return _product(left, right, allowance)
    if sign == "**":
        return _power(left, right, allowance)
    if sign == "%" and isinstance(left, str):
        return allowance.charge(_format(left, right))
    if sign == "%":
        return operator.mod(left, right)
    if sign == "+" and isinstance(left, str) and isinstance(right, str):
        return allowance.charge(join((left, right)))
    return allowance.charge(_PLAIN[sign](left, right))


def join(words: Sequence[str], between: str = "") -> str:
    """Return words as one text; raises OperationError where it begins at the top by accident.

    ``root ~ '/adapters'`` with an empty root is ``/adapters``: it is on another disk.
    """
    whole = between.join(words)
    if whole.startswith("/") and words and not words[0]:
        why = f"an empty text comes before '{whole[:40]}', which is at the root of the disk"
        raise OperationError(why, "give it a value ('.' is the working directory)")
    return whole


def compare(sign: str, left: Any, right: Any, allowance: Allowance) -> bool:
    """Return whether a comparison holds; raises TypeError, SpentError."""
    for one in (left, right):
        if not isinstance(one, int | float | None):
            allowance.look(one)
    return bool(_ORDER[sign](left, right))


def _product(left: Any, right: Any, allowance: Allowance) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        _within(_digits(left) + _digits(right))
    for one, times in ((left, right), (right, left)):
        if isinstance(one, str | list | tuple) and isinstance(times, int):
            bare = allowance.look(one[:0])
            size = bare + (allowance.look(one) - bare) * max(times, 0)
            allowance.hold(size)
            allowance.work(size // 8)
    return operator.mul(left, right)


def _power(left: Any, right: Any, allowance: Allowance) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        _within(abs(right) * max(1.0, _digits(left)))
        allowance.work(_digits(left) * abs(right))
    value = operator.pow(left, right)
    if isinstance(value, complex):
        raise OperationError("a root of a number below 0 is not a number")
    return value


def _digits(whole: int) -> float:
    return math.log10(abs(whole) or 1)


def _within(digits: float) -> None:
    if digits > MAX_DIGITS:
        raise SpentError(TOO_LARGE)


def _format(pattern: str, values: Any) -> str:
    """Return ``pattern % given``, which says every value as it is, or raises OperationError."""
    mapping = values if isinstance(values, Mapping) else {}
    rest = list(values) if isinstance(values, list | tuple) else [] if mapping else [values]

    def fill(field: re.Match[str]) -> str:
        name, flags, width, precision, letter = field.groups()
        if letter == "%" and field[0] == "%%":
            return "%"
        if letter not in "disfFeEgGxXo" or not letter:
            raise OperationError(f"there is no format '{field[0]}'", "write %s, %d, %f, %e or %g")
        if max(int(width or 0), int(precision or 0)) > _WIDEST:
            raise SpentError(f"{TOO_LARGE}: a format takes at most {_WIDEST} characters")
        if name is not None and name not in mapping:
            raise OperationError(f"there is no '{name}' for the format '{field[0]}'")
        if name is None and not rest:
            raise OperationError(f"there is no value for the format '{field[0]}'")
        value = mapping[name] if name is not None else rest.pop(0)
        how = f"%{flags}{width}{'' if precision is None else f'.{precision}'}{letter}"
        return how % (text(value) if letter == "s" else _fitting(value, letter),)

    result = _FIELD.sub(fill, pattern)
    if rest:
        why = f"the format has no placeholder for {as_yaml(text(rest[0]))}"
        raise OperationError(why, "write %s where it belongs")
    return result


def _fitting(value: Any, letter: str) -> float:
    """Return a number that a format can say as it is; raises OperationError."""
    whole = letter in "dixXo"
    if whole and isinstance(value, float) and value.is_integer():
        return int(value)
    if not number(value) or (whole and not isinstance(value, int)):
        expectation = "a whole number" if whole else "a number"
        raise OperationError(f"%{letter} needs {expectation}, not {as_yaml(value)}")
    return float(value) if not whole else int(value)


def entry(owner: Any, key: Any) -> Any:
    """Return an entry of a list, mapping or text; raises OperationError if there is none."""
    if isinstance(owner, Mapping):
        if key in owner:
            return owner[key]
        raise OperationError(f"a mapping has no {as_yaml(key)}", rule="undefined")
    if not isinstance(owner, str | list | tuple):
        raise OperationError(f"{kind(owner)} has no entries", rule="undefined")
    if isinstance(key, slice):
        return owner[key]
    if not isinstance(key, int) or isinstance(key, bool):
        raise OperationError(f"{kind(owner)} has no {as_yaml(key)}", rule="undefined")
    if not -len(owner) <= key < len(owner):
        why = f"{kind(owner)} of {len(owner)} has no entry {key}"
        raise OperationError(why, "the first entry is 0" if owner else "", "undefined")
    return owner[key]


def as_list(value: Any, what: str) -> Sequence[Any]:
    """Return a list; raises OperationError for anything else, as text with its letters."""
    if isinstance(value, list | tuple):
        return value
    hint = "put it in [ ]" if isinstance(value, str) else ""
    raise OperationError(f"{what} takes a list, not {kind(value)}", hint)
