"""``{{ }}`` filled in: one text and a scope in, a typed value out.

A text that is one whole ``{{ … }}`` keeps the expression's type; there are no statements.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Any

from runner.core.expression import Names, evaluate, kind, names
from runner.core.sandbox import MAX_TEXT, Scope, TemplateError
from runner.core.scalar import MAX_DIGITS

MAX_ITEMS = 100_000
_MARKS = ("{{", "{%", "{#")
_LIMIT = 10**MAX_DIGITS
_SINGLE = re.compile(r"\$?\{\s*((?:vars|stages?|recipe)(?:\.\w+)+)\s*\}")
_SIGNS = re.compile(r"\$*(?:\{\{|\{%|\{#|\{(?=\s*(?:vars|stages?|recipe)\.))")
_SYNTAX = "template-syntax"


@dataclass(frozen=True, slots=True)
class Expression:
    """What stands between ``{{`` and ``}}``."""

    text: str


def is_template(text: str) -> bool:
    """Say whether a text has anything to fill in (or anything that looks like it)."""
    return "{" in text and (any(mark in text for mark in _MARKS) or bool(_SINGLE.search(text)))


def literal(text: str) -> str:
    """Return the template that is filled in as this text."""
    return _SIGNS.sub(lambda found: f"{{{{ '{found.group()}' }}}}", text)


@cache
def pieces(text: str) -> tuple[str | Expression, ...]:
    """Split a text into literals and expressions; raises TemplateError where one never ends."""
    parts: list[str | Expression] = []
    at = 0
    while (start := text.find("{{", at)) >= 0:
        _literal(text[at:start], parts)
        end = _end(text, start + 2)
        if text.endswith("$", at, start):
            hint = f"write {text[start : end + 2]}; a dollar that is meant is {{{{ '$' }}}}"
            raise TemplateError("'${{' is GitHub's: here the '$' would stay", hint, _SYNTAX)
        parts.append(Expression(text[start + 2 : end]))
        at = end + 2
    _literal(text[at:], parts)
    return tuple(parts)


@cache
def reads(text: str) -> Names:
    """Return the dotted names a template's expressions read, also in branches not taken."""
    found: set[tuple[str, ...]] = set()
    for part in pieces(text):
        if isinstance(part, Expression):
            found |= names(part.text)
    return frozenset(found)


def fill(text: str, scope: Mapping[str, Any]) -> Any:
    """Return the value of a template; raises TemplateError."""
    parts = pieces(text)
    if len(parts) == 1 and isinstance(parts[0], Expression):
        return plain(evaluate(parts[0].text, scope))
    return "".join(part if isinstance(part, str) else _word(part.text, scope) for part in parts)


def plain(value: Any) -> Any:
    """Return a result as YAML values; raises TemplateError for anything else."""
    return _plain(value, count())


def _plain(value: Any, items: "count[int]") -> Any:
    if isinstance(value, Scope):
        return value.whole()
    if next(items) > MAX_ITEMS:
        raise TemplateError("the result is too large")
    if value is None or isinstance(value, bool | int | float | str):
        value = value if type(value) in {bool, int, float, str, type(None)} else str(value)
        if type(value) is int and not -_LIMIT < value < _LIMIT:
            raise TemplateError("the result is too large")
        if isinstance(value, str) and len(value) > MAX_TEXT:
            raise TemplateError("the result is too large")
        return value
    if isinstance(value, list | tuple):
        return [_plain(item, items) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item, items) for key, item in value.items()}
    raise TemplateError(f"the result is {kind(value)}, which YAML cannot hold")


def _word(expression: str, scope: Mapping[str, Any]) -> str:
    """Return the value of an expression that stands inside text."""
    value = evaluate(expression, scope)
    if isinstance(value, Scope):
        Scope.whole(value)
    value = plain(value)
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    name = expression.strip()
    if value is None:
        why = f"{name} is null, and cannot stand inside text"
        raise TemplateError(why, f"give it a value, or write {{{{ {name} or '' }}}}")
    why = f"{name} is {kind(value)}, and cannot stand inside text"
    raise TemplateError(why, f"write '{{{{ {name} }}}}' alone, or {{{{ {name} | join(',') }}}}")


def _literal(text: str, parts: list[str | Expression]) -> None:
    if "{%" in text or "{#" in text:
        hint = "templates have expressions and filters only: {{ a if b else c }}"
        raise TemplateError("'{%' and '{#' are not part of a recipe's templates", hint)
    single = _SINGLE.search(text)
    if single:
        why = f"'{single[0]}' is filled in by nobody: templates have two braces"
        raise TemplateError(why, f"write {{{{ {single[1]} }}}}", _SYNTAX)
    if text:
        parts.append(text)


def _end(text: str, at: int) -> int:
    """Return where the ``}}`` stands that closes an expression begun before `at`."""
    depth, quote = 0, ""
    start = at
    while at < len(text):
        char = text[at]
        if quote:
            at += char == "\\"
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif depth == 0 and text.startswith("}}", at):
            return at
        else:
            depth += (char in "([{") - (char in ")]}")
        at += 1
    raise TemplateError(f"'{{{{{text[start:][:40]}' is never closed", "add '}}'")
