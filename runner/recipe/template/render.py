"""``{{ }}`` filled in: one text and a scope in, a typed value out.

A text that is one whole ``{{ … }}`` keeps the expression's type; there are no statements.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from msgspec import Struct

from runner.base.patterns import pattern
from runner.recipe.template.allowance import TOO_LARGE, Allowance, SpentError
from runner.recipe.template.expressions import SPENT, Names, evaluate, names
from runner.recipe.template.operators import kind
from runner.recipe.template.operators import text as as_text
from runner.recipe.template.sandbox import Scope, TemplateError
from runner.recipe.yaml_scalars import LARGEST, unfit

_MARKS = ("{{", "{%", "{#")
_SINGLE = pattern(r"\$?\{\s*((?:vars|stages?|recipe)(?:\.\w+)+)\s*\}")
_SIGNS = pattern(r"\$*(?:\{\{|\{%|\{#|\{(?=\s*(?:vars|stages?|recipe)\.))")
_SYNTAX = "template-syntax"


class Expression(Struct, frozen=True, kw_only=True):
    """The text between ``{{`` and ``}}``."""

    text: str


def is_template(text: str) -> bool:
    """Return whether a text has anything to fill in (or anything that looks like it)."""
    if "{" not in text:
        return False
    for mark in _MARKS:  # asked of every text: a generator would cost more than the search
        if mark in text:
            return True
    return bool(_SINGLE.search(text))


def literal(text: str) -> str:
    """Return the template that is filled in as this text."""
    return _SIGNS.sub(lambda match: f"{{{{ '{match.group()}' }}}}", text)


@cache
def pieces(text: str) -> tuple[str | Expression, ...]:
    """Split a text into literals and expressions; raises TemplateError where one never ends."""
    parts: list[str | Expression] = []
    at = 0
    while (start := text.find("{{", at)) >= 0:
        _literal(text[at:start], parts)
        end = _end(text, start + 2)
        if text.endswith("$", at, start):
            hint = f"write {text[start : end + 2]}; for a literal dollar, write {{{{ '$' }}}}"
            raise TemplateError("'${{' is GitHub syntax: here the '$' would stay", hint, _SYNTAX)
        parts.append(Expression(text=text[start + 2 : end]))
        at = end + 2
    _literal(text[at:], parts)
    return tuple(parts)


@cache
def reads(text: str) -> Names:
    """Return the dotted names a template's expressions read, also in branches not taken."""
    result: set[tuple[str, ...]] = set()
    for part in pieces(text):
        if isinstance(part, Expression):
            result |= names(part.text)
    return frozenset(result)


def fill(text: str, scope: Mapping[str, Any], allowance: Allowance | None = None) -> Any:
    """Return the value of a template; raises TemplateError.

    `allowance` is what is left to all templates of a recipe; a template alone has its own.
    """
    allowance = allowance or Allowance()
    parts = pieces(text)
    if len(parts) == 1 and isinstance(parts[0], Expression):
        return plain(evaluate(parts[0].text, scope, allowance), allowance)
    words = [
        part if isinstance(part, str) else _word(part.text, scope, allowance) for part in parts
    ]
    return plain(_join(parts, words), allowance)


def again(value: Any, allowance: Allowance) -> None:
    """Count a value that was filled in before and is used again; raises TemplateError."""
    try:
        allowance.hold(allowance.look(value))
    except SpentError as error:
        rule = "template-error" if error.alone else SPENT
        raise TemplateError(str(error), error.hint, rule) from error


def plain(value: Any, allowance: Allowance | None = None) -> Any:
    """Return a result as YAML values; raises TemplateError for anything else."""
    value = value.whole() if isinstance(value, Scope) else value
    again(value, allowance or Allowance())
    return _plain(value)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        if abs(value) > LARGEST:
            raise TemplateError(f"{TOO_LARGE}: a whole number has at most 64 bits")
        return value
    if isinstance(value, str):
        sign = unfit(value)
        if sign:
            raise TemplateError(f"the result contains {sign}, which cannot be passed to a command")
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    raise TemplateError(f"the result is {kind(value)}, which YAML cannot represent")


def _join(parts: Sequence[str | Expression], words: Sequence[str]) -> str:
    """Return the words as one text; raises TemplateError where it begins at the top by accident.

    ``{{ vars.root }}/adapters`` with an empty root is ``/adapters``: it is on another disk.
    """
    before: Expression | None = None
    for part, word in zip(parts, words, strict=True):
        if isinstance(part, str) and before and part.startswith("/"):
            why = f"{before.text.strip()} is empty, and '{part[:40]}' is at the root of the disk"
            hint = "give it a value ('.' is the working directory)"
            raise TemplateError(why, f"{hint}; for a literal '/', write {{{{ '/' }}}}")
        if word:
            break
        before = part if isinstance(part, Expression) else before
    return "".join(words)


def _word(expression: str, scope: Mapping[str, Any], allowance: Allowance) -> str:
    """Return the value of an expression that is inside text."""
    value = evaluate(expression, scope, allowance)
    if isinstance(value, Scope):
        raise value.refusal()
    value = plain(value, allowance)
    if value is not None and not isinstance(value, list | dict):
        return as_text(value)
    name = expression.strip()
    if value is None:
        why = f"{name} is null and cannot be part of a text"
        raise TemplateError(why, f"give it a value, or write {{{{ {name} or '' }}}}")
    why = f"{name} is {kind(value)} and cannot be part of a text"
    raise TemplateError(why, f"write '{{{{ {name} }}}}' alone, or {{{{ {name} | join(',') }}}}")


def _literal(text: str, parts: list[str | Expression]) -> None:
    if "{%" in text or "{#" in text:
        hint = "templates have expressions and filters only: {{ a if b else c }}"
        raise TemplateError("'{%' and '{#' are not part of a recipe's templates", hint)
    single = _SINGLE.search(text)
    if single:
        why = f"'{single[0]}' is not a template: templates have two braces"
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
    hint = "write }} for the single }" if "}" in text[start:] else "add '}}'"
    raise TemplateError(f"'{{{{{text[start:][:40]}' is never closed", hint)
