"""Arithmetic in, a formula out: dotted names and numbers, computed and compared as Jinja does it.

Most recipes compute nothing else, and importing Jinja takes longer than reading a recipe. Python
parses what both write alike; the rest, and whatever has no number for a value, is left to Jinja.
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from runner.core.sandbox import bounded

Words = tuple[str, ...]

_TOKEN = re.compile(
    r"(?<![\w.])\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w.])"  # a number
    r"|(?<![\w.])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+(?![\w.])"  # a dotted name
    r"|//|[<>=!]=|[-+*/()<> ]"
)
_LONGEST = 200
_OPERATORS: dict[type[ast.operator], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
    ast.FloorDiv: ("//", operator.floordiv),
}
_COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


class NoNumberError(Exception):
    """A formula that has no number for a value here."""


@dataclass(frozen=True, slots=True)
class Formula:
    """Arithmetic or a comparison, parsed; `names` are the dotted names it reads."""

    tree: ast.expr
    names: frozenset[Words]

    def value(self, named: Callable[[list[str]], Any]) -> float | bool:
        """Return its value, `named` gives that of a name; raises NoNumberError."""
        try:
            match self.tree:
                case ast.Compare(left, [op], [right]):
                    one, other = _number(left, named), _number(right, named)
                    return _COMPARED[type(op)](one, other)
            found: float = _number(self.tree, named)
        except (ArithmeticError, RecursionError) as error:
            raise NoNumberError from error
        return found


@cache
def formula(text: str) -> Formula | None:
    """Return the formula of an expression, None where it is not plain arithmetic."""
    if len(text) > _LONGEST or _TOKEN.sub("", text):
        return None
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        names = frozenset(_names(tree, compared=True))
    except (SyntaxError, NoNumberError):
        return None
    return Formula(tree, names) if isinstance(tree, ast.BinOp | ast.Compare) else None


def _names(tree: ast.expr, *, compared: bool = False) -> Iterator[Words]:
    """Yield the names that arithmetic reads; raises NoNumberError where it is something else."""
    match tree:
        case ast.Compare(left, [op], [right]) if compared and type(op) in _COMPARED:
            yield from _names(left)
            yield from _names(right)
        case ast.BinOp(left, op, right) if type(op) in _OPERATORS:
            yield from _names(left)
            yield from _names(right)
        case ast.UnaryOp(ast.USub(), operand):
            yield from _names(operand)
        case ast.Attribute():
            yield tuple(_words(tree))
        case ast.Constant(int() | float() as number) if math.isfinite(number):
            return
        case _:
            raise NoNumberError


def _words(tree: ast.expr) -> list[str]:
    match tree:
        case ast.Attribute(inner, word):
            return [*_words(inner), word]
        case ast.Name(word):
            return [word]
    raise NoNumberError


def _number(tree: ast.expr, named: Callable[[list[str]], Any]) -> Any:
    found = _value(tree, named)
    if not math.isfinite(found):
        raise NoNumberError
    return found


def _value(tree: ast.expr, named: Callable[[list[str]], Any]) -> Any:
    match tree:
        case ast.BinOp(left, op, right):
            sign, apply = _OPERATORS[type(op)]
            one, other = _value(left, named), _value(right, named)
            bounded(sign, one, other)
            return apply(one, other)
        case ast.UnaryOp(_, operand):
            return -_value(operand, named)
        case ast.Constant(value):
            return value
    found = named(_words(tree))
    if type(found) not in {int, float}:
        raise NoNumberError
    return found
