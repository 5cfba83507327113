"""One expression and a scope in, a value out: Jinja2's expressions, evaluated with limits.

Expressions that `parser` can read, which are all that most recipes contain, do not need Jinja.
"""

import math
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from msgspec import Struct

from runner.base.patterns import pattern
from runner.recipe.template.allowance import Allowance, SpentError
from runner.recipe.template.evaluator import (
    SYNTAX,
    Evaluator,
    attribute,
    check,
    dotted,
    judges,
    undefined,
    walk,
)
from runner.recipe.template.filters import FILTERS, TESTS
from runner.recipe.template.operators import kind
from runner.recipe.template.parser import parse
from runner.recipe.template.sandbox import OperationError, TemplateError

__all__ = ["SPENT", "Names", "evaluate", "is_number", "kind", "names"]

Names = frozenset[tuple[str, ...]]
SPENT = "templates-too-large"
MAX_LENGTH = 20_000  # of one expression, in characters: Jinja reads a tenth of a million a second
_ONE = 10  # steps that any expression takes
_DOTTED = pattern(r"\s*[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\s*\Z")


def evaluate(expression: str, scope: Mapping[str, Any], allowance: Allowance | None = None) -> Any:
    """Return the value of one expression (without its braces); raises TemplateError.

    `allowance` is what is left to all expressions of a recipe; an expression alone has its own.
    """
    allowance = allowance or Allowance()
    what = _short(expression)
    try:
        if _DOTTED.match(expression):
            allowance.work(_ONE)
            return _walk(expression.strip().split("."), scope)
        allowance.read(expression)
        allowance.work(_ONE)
        return _compute(expression, scope, allowance)
    except SpentError as error:
        if error.alone:
            raise TemplateError(f"'{what}': {error}") from error
        raise TemplateError(str(error), error.hint, SPENT) from error


def spend(expression: str, allowance: Allowance) -> None:
    """Count the work of reading an expression; raises TemplateError."""
    try:
        allowance.read(expression)
    except SpentError as error:
        raise TemplateError(str(error), error.hint, SPENT) from error


@cache
def names(expression: str) -> Names:
    """Return the dotted names an expression reads, as tuples of words; raises TemplateError.

    ``a['b']`` reads ``a.b``, also in a branch that is not taken.
    """
    if _DOTTED.match(expression):
        return frozenset({tuple(expression.strip().split("."))})
    return _parse(expression).names


def is_figure(expression: str) -> bool:
    """Return whether an expression is a number or text by its form: neither true nor false.

    Raises TemplateError.
    """
    if _DOTTED.match(expression):
        return "metrics" in expression.strip().split(".")[:-1]
    return not judges(_parse(expression).tree)


_MISSING = object()


def _walk(words: list[str], scope: Mapping[str, Any]) -> Any:
    value: Any = scope.get(words[0], _MISSING)
    if value is _MISSING:
        raise undefined(words[0], scope)
    for at, word in enumerate(words[1:], start=1):
        value = attribute(value, word, ".".join(words[:at]))
    return value


def _compute(expression: str, scope: Mapping[str, Any], allowance: Allowance) -> Any:
    what = _short(expression)
    form = _parse(expression)
    try:
        value = Evaluator(scope, allowance).value(form.tree)
    except OperationError as error:
        raise TemplateError(f"'{what}': {error}", error.hint, error.rule) from error
    except TemplateError as error:
        raise _missing_quotes(what, error) from error
    except ZeroDivisionError as error:
        raise TemplateError(f"'{what}' divides by zero") from error
    except TypeError as error:
        raise _type_clash(what, form.names, scope) or TemplateError(f"'{what}': {error}") from error
    except (ValueError, ArithmeticError) as error:
        why = str(error) or "an argument is invalid"
        raise TemplateError(f"'{what}': {why.splitlines()[0]}") from error
    except (RecursionError, MemoryError) as error:
        raise TemplateError(f"'{what}' is too large to compute") from error
    return _round(value) if form.computes else value


def _missing_quotes(what: str, error: TemplateError) -> TemplateError:
    """Return the error of an undefined name: in env(NAME) its quotes are missing."""
    match error.about:
        case ("name", name) if re.search(rf"\benv\(\s*{name}\b", what):
            return TemplateError(str(error), f"put it in quotes: env('{name}')", "undefined")
    return error


def _type_clash(what: str, read: Names, scope: Mapping[str, Any]) -> TemplateError | None:
    """Return the error of a computation with text, None if no name in it is text."""
    for words in sorted(read):
        try:
            value = _walk(list(words), scope)
        except TemplateError:
            continue
        if isinstance(value, str) or value is None:
            name = ".".join(words)
            number = is_number(value)
            hint = f"write it as {value}, without quotes" if number else f"or use {name} | float"
            value_text = "null" if value is None else f"the text '{value[:60]}'"
            why = f"'{what}' computes with {name}, which is {value_text}"
            return TemplateError(why, hint if value is not None else "give it a value")
    return None


def is_number(text: str | None) -> bool:
    """Return whether a text is a number in quotes."""
    try:
        float(text or "")
    except ValueError:
        return False
    return True


def _round(value: Any) -> Any:
    """Return computed floats to 15 digits: 5e-6 * 0.2 is 1e-06, not 1.0000000000000002e-06."""
    if type(value) is float and math.isfinite(value):
        return float(f"{value:.15g}")
    if isinstance(value, list | tuple):
        return [_round(item) for item in value]
    if isinstance(value, dict):
        return {key: _round(item) for key, item in value.items()}
    return value


class _Form(Struct, frozen=True, kw_only=True, eq=False):
    """An expression's tree, what it reads, and whether it computes with numbers."""

    tree: Any
    names: Names
    computes: bool


@cache
def _parse(expression: str) -> _Form:
    what = _short(expression)
    if not expression.strip():
        raise TemplateError("an empty {{ }}", "write an expression, as {{ vars.NAME }}", SYNTAX)
    if len(expression) > MAX_LENGTH:
        why = f"'{what}' is too large: an expression may have {MAX_LENGTH:,} characters"
        raise TemplateError(why, "put its parts into vars")
    try:
        tree = parse(expression) or _by_jinja(expression)
        check(tree, {"filter": FILTERS, "test": TESTS})
    except OperationError as error:
        raise TemplateError(f"'{what}': {error}", error.hint, error.rule) from error
    except ValueError as error:  # Python reads no number of more than 4,300 digits
        raise TemplateError(f"'{what}': a number is too large") from error
    except (RecursionError, MemoryError) as error:
        raise TemplateError(f"'{what}' is too large to compute") from error
    nodes = list(walk(tree))
    inner = {id(node.node) for node in nodes if type(node).__name__ in {"Getattr", "Getitem"}}
    read = {words for node in nodes if id(node) not in inner and (words := dotted(node))}
    return _Form(
        tree=tree, names=frozenset(read), computes=any(hasattr(node, "right") for node in nodes)
    )


def _by_jinja(expression: str) -> Any:
    """Return Jinja's tree of an expression; raises TemplateError."""
    from jinja2 import TemplateSyntaxError  # 30 ms, needed by few recipes

    try:
        return _only(_environment().parse("{{" + expression + "}}").body)
    except TemplateSyntaxError as error:
        raise _syntax(_short(expression), str(error.message)) from error


@cache
def _environment() -> Any:
    """Return Jinja's parser; nothing of what Jinja computes with is used."""
    from jinja2 import Environment

    return Environment()  # noqa: S701  (it renders nothing)


def _only(body: list[Any]) -> Any:
    """Return the one expression that Jinja read; raises OperationError where it read more."""
    nodes = [node for output in body for node in getattr(output, "nodes", [output])]
    if len(nodes) != 1:
        raise OperationError("this is not an expression", rule=SYNTAX)
    return nodes[0]


def _short(expression: str) -> str:
    what = expression.strip()
    return what if len(what) <= _SHOWN else f"{what[:_SHOWN]}…"


_SHOWN = 160


def _syntax(what: str, message: str) -> TemplateError:
    """Return Jinja's complaint in words that fit an expression."""
    ends = ("'end of print statement'", "'end of template'")
    if "{{" in what:
        inside = what.replace("{{", "").replace("}}", "").strip()
        return TemplateError("this is already an expression", f"write {inside}", SYNTAX)
    for wrong, right in (("=<", "<="), ("=>", ">="), ("===", "==")):
        if wrong in what:
            return TemplateError(
                f"'{what}': there is no operator '{wrong}'", f"write {right}", SYNTAX
            )
    if re.search(r"[^=<>!]=[^=]", what) and "got '='" in message:
        return TemplateError(f"'{what}': '=' is not a comparison", "write ==", SYNTAX)
    if any(f"unexpected {end}" in message or f"got {end}" in message for end in ends):
        return TemplateError(f"'{what}' is incomplete", "complete it", SYNTAX)
    for end in ends:
        message = message.replace(end, "the end")
    return TemplateError(f"'{what}': {message}", rule=SYNTAX)
