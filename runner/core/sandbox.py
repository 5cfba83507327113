"""What a template may do: names that hold names, errors with a way out, Jinja's sandbox, bounds."""

import math
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

from runner.core.problem import listing
from runner.core.scalar import MAX_DIGITS

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

MAX_TEXT = 1_000_000
_FILTERS = (
    "abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "int", "items",
    "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "reverse",
    "select", "selectattr", "sort", "string", "sum", "title", "trim", "truncate", "unique",
    "upper", "wordcount",
)  # fmt: skip
_METHODS: dict[Any, set[str]] = {
    str: {
        "capitalize", "count", "endswith", "find", "isdigit", "lower", "lstrip", "partition",
        "removeprefix", "removesuffix", "replace", "rpartition", "rsplit", "rstrip", "split",
        "startswith", "strip", "title", "upper",
    },
    dict: {"get", "items", "keys", "values"},
    list: {"count", "index"},
    tuple: {"count", "index"},
}  # fmt: skip


class TemplateError(Exception):
    """An expression or template that has no value; `hint` is the way out.

    `near` is the name that was probably meant, so that nobody calls it unused.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        rule: str = "template-error",
        near: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.rule = rule
        self.near = near


class Scope:
    """A name in an expression that holds further names, and is no value itself."""

    title = "this"

    def lookup(self, name: str) -> Any:
        """Return the value called `name`; raises TemplateError where there is none."""
        raise NotImplementedError

    def names(self) -> Iterable[str]:
        """Return the names it holds."""
        return ()

    def whole(self) -> Any:
        """Return everything below this name as plain values, where that makes sense."""
        known = listing(self.names())
        hint = f"add one of: .{known.replace(', ', ', .')}" if known else "add '.NAME'"
        raise TemplateError(f"{self.title} is a group of values, not a value", hint)

    def _refuse(self, *_: Any) -> NoReturn:
        Scope.whole(self)
        raise AssertionError

    __str__ = __len__ = __iter__ = __bool__ = __contains__ = __format__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __neg__ = __pos__ = _refuse
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __int__ = __float__ = _refuse
    __mod__ = __rmod__ = __pow__ = __rpow__ = _refuse
    __hash__ = object.__hash__


@cache
def environment() -> "SandboxedEnvironment":
    """Return Jinja's sandbox, which sees nothing of Python and builds nothing large."""
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
            if isinstance(obj, str) and attribute == "replace":
                return lambda old, new: _replace(obj, old, new)
            if isinstance(obj, str) and attribute not in _METHODS[str]:
                raise TemplateError(f"text has no '{attribute}' here", rule="undefined")
            return super().getattr(obj, attribute)

        def getitem(self, obj: Any, argument: Any) -> Any:
            if isinstance(obj, Scope):
                return obj.lookup(str(argument))
            return super().getitem(obj, argument)

        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
            known: Any = _METHODS.get(type(obj), ())
            return attr in known and super().is_safe_attribute(obj, attr, value)

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            _bounded(operator, left, right)
            return super().call_binop(context, operator, left, right)

    made = Environment(undefined=StrictUndefined)
    made.globals = {"range": made.globals["range"], "dict": dict}
    own = {"replace": _replace, "join": _join, "round": _round}
    kept = {name: made.filters[name] for name in _FILTERS}
    made.filters = {**kept, **own}
    return made


def _replace(text: str, old: str, new: str) -> str:
    _fits((len(str(text)) + 1) * (len(str(new)) + 1))
    return str(text).replace(str(old), str(new))


def _join(items: Iterable[Any], between: str = "") -> str:
    words = [str(item) for item in items]
    _fits(sum(len(word) for word in words) + len(words) * len(str(between)))
    return str(between).join(words)


def _round(value: float, digits: int = 0) -> float:
    return round(float(value), max(-300, min(300, digits)))


def _bounded(operator: str, left: Any, right: Any) -> None:
    if operator == "**" and isinstance(left, int) and isinstance(right, int):
        _fits(abs(right) * max(1.0, _digits(left)), MAX_DIGITS)
    elif operator == "*" and isinstance(left, int) and isinstance(right, int):
        _fits(_digits(left) + _digits(right), MAX_DIGITS)
    elif operator == "*":
        for one, times in ((left, right), (right, left)):
            if isinstance(one, str | list | tuple) and isinstance(times, int):
                _fits(len(one) * times)
    elif operator == "%" and isinstance(left, str) and re.search(r"%[^a-zA-Z]*(?:\d{5}|\*)", left):
        _fits(math.inf)


def _digits(number: int) -> float:
    return math.log10(abs(number) or 1)


def _fits(size: float, limit: int = MAX_TEXT) -> None:
    if size > limit:
        raise TemplateError("the result is too large")
