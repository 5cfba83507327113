"""One expression and a scope in, a value out: Jinja2's expressions in its sandbox, bounded.

Dotted names, which most recipes have nothing but, need no Jinja at all.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from runner.core.problem import offer, suggest
from runner.core.sandbox import Scope, TemplateError, environment

Names = frozenset[tuple[str, ...]]
_DOTTED = re.compile(r"\s*[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\s*\Z")


def evaluate(expression: str, scope: Mapping[str, Any]) -> Any:
    """Return the value of one expression (without its braces); raises TemplateError."""
    if _DOTTED.match(expression):
        return _walk(expression.strip().split("."), scope)
    return _jinja(expression, scope)


@cache
def names(expression: str) -> Names:
    """Return the dotted names an expression reads, as tuples of words; raises TemplateError.

    ``a['b']`` reads ``a.b``, also in a branch that is not taken.
    """
    if _DOTTED.match(expression):
        return frozenset({tuple(expression.strip().split("."))})
    return _compiled(expression).names


def kind(value: Any) -> str:
    """Return what a person calls this type of value."""
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    words |= {list: "a list", tuple: "a list", dict: "a mapping", type(None): "null"}
    if isinstance(value, Scope):
        return "a group of values"
    return words.get(type(value), f"a {type(value).__name__}")


_MISSING = object()


def _walk(words: list[str], scope: Mapping[str, Any]) -> Any:
    value: Any = scope.get(words[0], _MISSING)
    if value is _MISSING:
        raise _undefined(words[0], scope)
    for at, word in enumerate(words[1:], start=1):
        value = _attribute(value, word, ".".join(words[:at]))
    return value


def _undefined(name: str, scope: Mapping[str, Any]) -> TemplateError:
    known = scope.get("vars")
    held = known.names() if isinstance(known, Scope) else ()
    why = f"'{name}' is not defined in templates"
    if name in held:
        return TemplateError(why, f"write vars.{name}", "undefined", ("vars", name))
    return TemplateError(why, offer(name, sorted(scope)), "undefined")


def _attribute(value: Any, name: str, owner: str) -> Any:
    if isinstance(value, Scope):
        return value.lookup(name)
    if isinstance(value, Mapping):
        if name in value:
            return value[name]
        raise TemplateError(f"{owner} has no '{name}'", offer(name, value), "undefined")
    why = f"{owner} is {kind(value)} and has no '{name}'"
    raise TemplateError(why, rule="undefined")


def _jinja(expression: str, scope: Mapping[str, Any]) -> Any:
    import jinja2  # noqa: PLC0415  (64 ms, needed by few recipes)

    what = expression.strip()
    compiled = _compiled(expression)
    try:
        value = compiled.call(**scope)
    except jinja2.UndefinedError as error:
        raise _unknown(what, str(error.message), scope) from error
    except ZeroDivisionError as error:
        raise TemplateError(f"'{what}' divides by zero") from error
    except jinja2.TemplateError as error:
        raise TemplateError(f"'{what}': {error.message}") from error
    except TypeError as error:
        raise _mixed(what, compiled.names, scope) or TemplateError(f"'{what}': {error}") from error
    except NameError as error:  # Jinja writes the literal 1e999 as inf
        raise TemplateError(f"'{what}': a number is too large") from error
    except (ValueError, ArithmeticError, LookupError, AttributeError, AssertionError) as error:
        why = str(error) or "an argument does not fit"
        raise TemplateError(f"'{what}': {why.splitlines()[0]}") from error
    except (RecursionError, MemoryError) as error:
        raise TemplateError(f"'{what}' is too large to compute") from error
    if isinstance(value, jinja2.Undefined):
        name = value._undefined_name  # noqa: SLF001  (Jinja offers no other way to its name)
        if value._undefined_obj is jinja2.utils.missing:  # noqa: SLF001
            raise _undefined(str(name), scope)
        raise TemplateError(f"'{what}': there is no '{name}'", rule="undefined")
    return _rounded(value) if compiled.computes else value


def _unknown(what: str, message: str, scope: Mapping[str, Any]) -> TemplateError:
    """Return the error of an undefined name: in env(NAME) its quotes are missing."""
    name = re.match(r"'(\w+)' is undefined", message)
    if not name:
        return TemplateError(f"'{what}': {message}", rule="undefined")
    if re.search(rf"\benv\(\s*{name[1]}\b", what):
        hint = f"put it in quotes: env('{name[1]}')"
        return TemplateError(f"'{name[1]}' is not defined in templates", hint, "undefined")
    return _undefined(name[1], scope)


def _mixed(what: str, read: Names, scope: Mapping[str, Any]) -> TemplateError | None:
    """Return the error of a computation with text, None where no name in it is text."""
    for words in sorted(read):
        try:
            value = _walk(list(words), scope)
        except TemplateError:
            continue
        if isinstance(value, str) or value is None:
            name = ".".join(words)
            number = is_number(value)
            hint = f"write it as {value}, without quotes" if number else f"or use {name} | float"
            shown = "null" if value is None else f"the text '{value[:60]}'"
            why = f"'{what}' computes with {name}, which is {shown}"
            return TemplateError(why, hint if value is not None else "give it a value")
    return None


def is_number(text: str | None) -> bool:
    """Say whether a text is a number in quotes."""
    try:
        float(text or "")
    except ValueError:
        return False
    return True


def _rounded(value: Any) -> Any:
    """Return computed floats to 15 digits: 5e-6 * 0.2 is 1e-06, not 1.0000000000000002e-06."""
    if type(value) is float and math.isfinite(value):
        return float(f"{value:.15g}")
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return value


@dataclass(frozen=True, slots=True)
class _Compiled:
    """An expression ready to be computed, what it reads, and whether it computes with numbers."""

    call: Callable[..., Any]
    names: Names
    computes: bool


@cache
def _compiled(expression: str) -> _Compiled:
    import jinja2  # noqa: PLC0415
    from jinja2 import nodes  # noqa: PLC0415

    what = expression.strip()
    if not what:
        raise TemplateError("an empty {{ }}", "write an expression, as {{ vars.NAME }}", _SYNTAX)
    try:
        tree = environment().parse("{{" + expression + "}}")
        call = environment().compile_expression(expression, undefined_to_none=False)
    except jinja2.TemplateSyntaxError as error:
        raise _syntax(what, str(error.message)) from error
    except (RecursionError, MemoryError) as error:
        raise TemplateError(f"'{what[:60]}…' is too large to compute") from error
    inner = {id(vars(node)["node"]) for node in tree.find_all((nodes.Getattr, nodes.Getitem))}
    found = tree.find_all((nodes.Getattr, nodes.Getitem, nodes.Name))
    read = {words for node in found if id(node) not in inner and (words := _words(node))}
    return _Compiled(call, frozenset(read), tree.find(nodes.BinExpr) is not None)


_SYNTAX = "template-syntax"


def _syntax(what: str, message: str) -> TemplateError:
    """Return Jinja's complaint in words that fit an expression."""
    ends = ("'end of print statement'", "'end of template'")
    unknown = re.match(r"No (filter|test) named '(\w+)'", message)
    if unknown:
        known = [*environment().filters] if unknown[1] == "filter" else [*environment().tests]
        hint = suggest(unknown[2], known, "for whole numbers: int; for others: float, round")
        return TemplateError(f"'{what}': there is no {unknown[1]} '{unknown[2]}'", hint, _SYNTAX)
    if "{{" in what:
        inside = what.replace("{{", "").replace("}}", "").strip()
        return TemplateError("this is an expression already", f"write {inside}", _SYNTAX)
    for wrong, right in (("=<", "<="), ("=>", ">="), ("===", "==")):
        if wrong in what:
            return TemplateError(f"'{what}': there is no '{wrong}'", f"write {right}", _SYNTAX)
    if re.search(r"[^=<>!]=[^=]", what) and "got '='" in message:
        return TemplateError(f"'{what}': '=' does not compare", "write ==", _SYNTAX)
    if any(f"unexpected {end}" in message or f"got {end}" in message for end in ends):
        return TemplateError(f"'{what}' ends too early", "finish it", _SYNTAX)
    for end in ends:
        message = message.replace(end, "the end")
    return TemplateError(f"'{what}': {message}", rule=_SYNTAX)


def _words(node: Any) -> tuple[str, ...]:
    """Return a chain of names and constant subscripts, empty for any other expression."""
    if hasattr(node, "attr"):
        head = _words(node.node)
        return (*head, node.attr) if head else ()
    if hasattr(node, "arg"):
        head, word = _words(node.node), getattr(node.arg, "value", None)
        return (*head, word) if head and isinstance(word, str) else head
    return (node.name,) if hasattr(node, "name") and hasattr(node, "ctx") else ()
