"""The text of ``$(( ))`` in, its number out where it is whole numbers and their operators only."""

import ast
import operator
import re
from collections.abc import Callable


def _toward_zero(one: int, other: int) -> int:
    quotient = abs(one) // abs(other)
    return quotient if (one < 0) == (other < 0) else -quotient


_CONSTANT = re.compile(r"[0-9+\-*/%()\s]{1,200}")
_WIDEST = 2**63 - 1  # bash counts in 64 bits
_SIGNS: dict[type[ast.unaryop], int] = {ast.UAdd: 1, ast.USub: -1}
_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: _toward_zero,
    ast.Mod: lambda one, other: one - other * _toward_zero(one, other),
}


def number(text: str) -> int | None:
    """Return what bash makes of an arithmetic expression; None where a variable is in it."""
    if not _CONSTANT.fullmatch(text):
        return None
    try:
        result = _value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ZeroDivisionError, TypeError, RecursionError):
        return None
    return result if abs(result) <= _WIDEST else None


def _value(node: ast.expr) -> int:
    """Return the number of an expression. Raises TypeError if it is more than arithmetic."""
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _SIGNS:
            return _SIGNS[type(sign)] * _value(operand)
        case ast.BinOp(left=a, op=sign, right=b) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](_value(a), _value(b))
    raise TypeError
