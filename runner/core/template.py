"""``{{ }}`` filled in: one text and a scope in, a typed value out.

Jinja2's expressions and filters, in its sandbox, without its statements. A text that is one whole
``{{ … }}`` keeps the expression's type; dotted names need no Jinja at all.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from runner.core.problem import listing, suggest

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

MAX_TEXT = 1_000_000
_DOTTED = re.compile(r"\s*[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\s*\Z")
_MARKS = ("{{", "{%", "{#")


class TemplateError(Exception):
    """A template that cannot be filled in; `hint` is the way out."""

    def __init__(self, message: str, hint: str = "", rule: str = "template-error") -> None:
        super().__init__(message)
        self.hint = hint
        self.rule = rule


class Scope:
    """A name in a template that holds further names."""

    def lookup(self, name: str) -> Any:
        """Return the value called `name`; raises TemplateError where there is none."""
        raise NotImplementedError

    def whole(self) -> Any:
        """Return everything below this name as plain values."""
        raise TemplateError("this names a group of values, not a value", "add '.NAME'")


@dataclass(frozen=True, slots=True)
class Expression:
    """What stands between ``{{`` and ``}}``."""

    text: str


def is_template(text: str) -> bool:
    """Say whether a text has anything to fill in (or anything that looks like it)."""
    return any(mark in text for mark in _MARKS)


@cache
def pieces(text: str) -> tuple[str | Expression, ...]:
    """Split a text into literals and expressions; raises TemplateError where one never ends."""
    parts: list[str | Expression] = []
    at = 0
    while (start := text.find("{{", at)) >= 0:
        _literal(text[at:start], parts)
        end = _end(text, start + 2)
        parts.append(Expression(text[start + 2 : end]))
        at = end + 2
    _literal(text[at:], parts)
    return tuple(parts)


def fill(text: str, scope: Mapping[str, Any]) -> Any:
    """Return the value of a template; raises TemplateError."""
    parts = pieces(text)
    if len(parts) == 1 and isinstance(parts[0], Expression):
        return _plain(evaluate(parts[0].text, scope))
    return "".join(
        part if isinstance(part, str) else _word(evaluate(part.text, scope)) for part in parts
    )


def evaluate(expression: str, scope: Mapping[str, Any]) -> Any:
    """Return the value of one expression (without its braces); raises TemplateError."""
    if _DOTTED.match(expression):
        return _walk(expression.strip().split("."), scope)
    return _jinja(expression, scope)


def names(expression: str) -> set[tuple[str, ...]]:
    """Return the dotted names an expression reads, as tuples of words; raises TemplateError."""
    from jinja2 import TemplateSyntaxError, nodes  # noqa: PLC0415  (64 ms, needed by few recipes)

    try:
        tree = _environment().parse("{{" + expression + "}}")
    except TemplateSyntaxError as error:
        raise TemplateError(f"'{expression.strip()}': {error.message}") from error
    inner = {id(vars(node)["node"]) for node in tree.find_all((nodes.Getattr, nodes.Getitem))}
    found = (node for node in tree.find_all((nodes.Getattr, nodes.Name)) if id(node) not in inner)
    return {words for node in found if (words := _words(node))}


def _words(node: Any) -> tuple[str, ...]:
    if hasattr(node, "attr"):
        head = _words(node.node)
        return (*head, node.attr) if head else ()
    return (node.name,) if hasattr(node, "name") else ()


def _literal(text: str, parts: list[str | Expression]) -> None:
    if "{%" in text or "{#" in text:
        hint = "templates have expressions and filters only: {{ a if b else c }}"
        raise TemplateError("'{%' and '{#' are not part of a recipe's templates", hint)
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


def _walk(words: list[str], scope: Mapping[str, Any]) -> Any:
    value: Any = scope.get(words[0], _MISSING)
    if value is _MISSING:
        raise _undefined(words[0], scope)
    for at, word in enumerate(words[1:], start=1):
        value = _attribute(value, word, ".".join(words[:at]))
    return value


_MISSING = object()


def _undefined(name: str, scope: Mapping[str, Any]) -> TemplateError:
    hint = suggest(name, scope, f"there are: {listing(sorted(scope))}")
    return TemplateError(f"'{name}' is not defined in templates", hint, "undefined")


def _attribute(value: Any, name: str, owner: str) -> Any:
    if isinstance(value, Scope):
        return value.lookup(name)
    if isinstance(value, Mapping):
        if name in value:
            return value[name]
        raise TemplateError(f"{owner} has no '{name}'", suggest(name, value), "undefined")
    why = f"{owner} is {kind(value)} and has no '{name}'"
    raise TemplateError(why, rule="undefined")


def kind(value: Any) -> str:
    """Return what a person calls this type of value."""
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    words |= {list: "a list", tuple: "a list", dict: "a mapping", type(None): "null"}
    return words.get(type(value), f"a {type(value).__name__}")


def _plain(value: Any) -> Any:
    """Return a template's result as YAML values; raises TemplateError for anything else."""
    if isinstance(value, Scope):
        return value.whole()
    if value is None or isinstance(value, bool | int | float | str):
        return value if type(value) in {bool, int, float, str, type(None)} else str(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    raise TemplateError(f"the result is {kind(value)}, which YAML cannot hold")


def _word(value: Any) -> str:
    value = _plain(value)
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    raise TemplateError(f"{kind(value)} cannot stand inside text", "use one whole '{{ … }}'")


def _jinja(expression: str, scope: Mapping[str, Any]) -> Any:
    import jinja2  # noqa: PLC0415  (64 ms, needed by few recipes)

    what = expression.strip()
    try:
        value = _compiled(expression)(**scope)
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(f"'{what}': {error.message}", rule="template-syntax") from error
    except jinja2.UndefinedError as error:
        raise TemplateError(f"'{what}': {error.message}", rule="undefined") from error
    except ZeroDivisionError as error:
        raise TemplateError(f"'{what}' divides by zero") from error
    except jinja2.TemplateError as error:
        raise TemplateError(f"'{what}': {error.message}") from error
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise TemplateError(f"'{what}': {error}") from error
    except (RecursionError, MemoryError) as error:
        raise TemplateError(f"'{what}' is too large to compute") from error
    if isinstance(value, jinja2.Undefined):
        name = value._undefined_name  # noqa: SLF001  (Jinja offers no other way to its name)
        if value._undefined_obj is jinja2.utils.missing:  # noqa: SLF001
            raise _undefined(str(name), scope)
        raise TemplateError(f"'{what}': there is no '{name}'", rule="undefined")
    return value


@cache
def _compiled(expression: str) -> Callable[..., Any]:
    return _environment().compile_expression(expression, undefined_to_none=False)


@cache
def _environment() -> "SandboxedEnvironment":
    from jinja2 import StrictUndefined  # noqa: PLC0415
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415

    class Environment(ImmutableSandboxedEnvironment):
        """Jinja's sandbox over our scopes, with bounds on what an expression may build."""

        intercepted_binops = frozenset(("**", "*", "%"))

        def getattr(self, obj: Any, attribute: str) -> Any:
            if isinstance(obj, Scope):
                return obj.lookup(attribute)
            if isinstance(obj, Mapping) and attribute in obj:
                return obj[attribute]
            return super().getattr(obj, attribute)

        def getitem(self, obj: Any, argument: Any) -> Any:
            if isinstance(obj, Scope):
                return obj.lookup(str(argument))
            return super().getitem(obj, argument)

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            _bounded(operator, left, right)
            return super().call_binop(context, operator, left, right)

    environment = Environment(undefined=StrictUndefined)
    environment.globals = {"range": environment.globals["range"], "dict": dict}
    for name in ("random", "pprint", "xmlattr", "urlize"):  # not the same twice, or of no use here
        environment.filters.pop(name, None)
    return environment


def _bounded(operator: str, left: Any, right: Any) -> None:
    size = 0.0
    if operator == "**" and isinstance(left, int) and isinstance(right, int):
        size = abs(right) * max(1.0, math.log10(abs(left) or 1))
    elif operator == "*":
        for one, times in ((left, right), (right, left)):
            if isinstance(one, str | list | tuple) and isinstance(times, int):
                size = len(one) * times
    elif operator == "%" and isinstance(left, str) and re.search(r"%[^a-zA-Z]*(?:\d{5}|\*)", left):
        size = math.inf
    if size > MAX_TEXT:
        raise TemplateError("the result is too large")
