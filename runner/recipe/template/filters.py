"""The filters, tests, methods and functions of expressions; each fails if it has no answer.

Their names are Jinja's. Where Jinja's own return a default (0 for text that is not a number,
nothing for an empty list), a parameter would change silently, so these fail instead. `OMISSIONS`
says why some of Jinja's are missing here, and what to write.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from runner.base.problems import as_yaml, offer
from runner.recipe.template.allowance import Allowance
from runner.recipe.template.operators import as_list, compare, entry, join, kind, number, text
from runner.recipe.template.sandbox import OperationError
from runner.recipe.yaml_scalars import NumberError, scalar

Filter = Callable[..., Any]
_ABSENT = "missing names are errors, and 0, false and '' are values"
_INSTEAD = "write env('NAME', DEFAULT), MAPPING.get('NAME', DEFAULT) or A if B else C"
_NEVER = "put a value that may be missing into vars, where every name is defined"
OMISSIONS: Mapping[str, tuple[str, str]] = {
    "default": (_ABSENT, _INSTEAD),
    "d": (_ABSENT, _INSTEAD),
    "defined": ("missing names are errors", _NEVER),
    "undefined": ("missing names are errors", _NEVER),
    "truncate": ("it silently drops text", "write text[:80]"),
    "sameas": ("values are either equal or not", "write =="),
    "callable": ("values are never functions", "leave it out"),
    "escaped": ("text is never marked as HTML", "leave it out"),
    "filter": ("filters are known", "leave it out"),
    "test": ("tests are known", "leave it out"),
    "find": ("it returns -1 for text that is not found", "write 'TEXT' in NAME"),
}


def _whole(value: Any) -> int:
    """Return a value as a whole number; of a number with a fraction, what is before the point."""
    if isinstance(value, str):
        value = _read(value, "a whole number")
        if isinstance(value, float) and not value.is_integer():
            raise OperationError(
                f"the text '{value!r}' is not a whole number", "write | float | int"
            )
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise OperationError(f"int: {_describe(value)} is not a whole number")
    return int(value)


def _float(value: Any) -> float:
    value = _read(value, "a number") if isinstance(value, str) else value
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise OperationError(f"float: {_describe(value)} is not a number")
    return float(value)


def _read(word: str, expectation: str) -> float:
    """Return the number that a text says, by YAML's own rules; raises OperationError."""
    try:
        value = scalar(word.strip()) if word.strip() else None
    except NumberError as error:
        raise OperationError(str(error), error.hint) from error
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    comma = word.strip().replace(",", ".", 1)
    hint = f"write {comma}" if "," in word and isinstance(scalar(comma), float) else ""
    why = (
        f"needs {expectation}, not the text {as_yaml(word)}"
        if word.strip()
        else "the text is empty"
    )
    raise OperationError(why, hint)


def _describe(value: Any) -> str:
    return as_yaml(value) if isinstance(value, str | int | float | None) else kind(value)


def _number(value: Any, what: str) -> Any:
    if not number(value):
        hint = "write | int or | float before it" if _reads_as_number(value) else ""
        raise OperationError(f"{what} takes a number, not {_describe(value)}", hint)
    return value


def _reads_as_number(value: Any) -> bool:
    try:
        return isinstance(value, str) and number(scalar(value.strip()))
    except NumberError:
        return False


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise OperationError(f"{what} takes text, not {_describe(value)}")
    return value


def _round(value: Any, precision: int = 0, method: str = "common") -> float:
    methods = ("common", "ceil", "floor")
    if method not in methods:
        raise OperationError(f"round has no method {as_yaml(method)}", offer(str(method), methods))
    digits = int(_number(precision, "round"))
    if digits != precision or not -300 <= digits <= 300:  # noqa: PLR2004  (a float has no more)
        raise OperationError(f"round to {as_yaml(precision)} digits is not possible")
    figure = float(_number(value, "round"))
    if method == "common":
        return round(figure, digits)
    return float(getattr(math, method)(figure * 10**digits) / 10**digits)


def _end(items: Any, at: int, what: str) -> Any:
    if not isinstance(items, str | list | tuple):
        raise OperationError(f"{what} takes a list or text, not {kind(items)}")
    if not items:
        raise OperationError(f"{what} needs at least one entry")
    return items[at]


def _extreme(items: Any, largest: bool, what: str, case_sensitive: bool, attribute: Any) -> Any:
    if not as_list(items, what):
        raise OperationError(f"{what} needs at least one entry")
    key = _key(attribute, case_sensitive)
    return max(items, key=key) if largest else min(items, key=key)


def _key(attribute: Any, case_sensitive: bool = True) -> Callable[[Any], Any]:
    """Return what entries are compared by: themselves or a part of theirs."""
    part = _part(attribute)

    def key(item: Any) -> Any:
        value = part(item)
        return value.lower() if isinstance(value, str) and not case_sensitive else value

    return key


def _part(attribute: Any) -> Callable[[Any], Any]:
    """Return what gives the part of an entry at a path such as ``a.0``; nothing is itself."""
    words = [] if attribute is None else str(attribute).split(".")

    def part(item: Any) -> Any:
        for word in words:
            item = entry(item, int(word) if word.isdecimal() and len(word) < 10 else word)  # noqa: PLR2004
        return item

    return part


def _sum(items: Any, attribute: Any = None, start: Any = 0) -> Any:
    part = _part(attribute)
    total = _number(start, "sum")
    for item in as_list(items, "sum"):
        total = total + _number(part(item), "sum")
    return total


def _unique(items: Any, case_sensitive: bool = True, attribute: Any = None) -> list[Any]:
    """Return each entry once; 1 and true are two, and so are ``a`` and ``A``."""
    key = _key(attribute, case_sensitive)
    once: dict[Any, Any] = {}
    for item in as_list(items, "unique"):
        value = key(item)
        if isinstance(value, list | tuple | Mapping):
            raise OperationError(f"unique does not accept a list of {kind(value).split()[-1]}s")
        once.setdefault((isinstance(value, bool), value), item)
    return list(once.values())


def _sort(
    items: Any,
    reverse: bool = False,
    case_sensitive: bool = False,
    attribute: Any = None,
) -> list[Any]:
    return sorted(
        as_list(items, "sort"), key=_key(attribute, case_sensitive), reverse=bool(reverse)
    )


def _dictsort(
    value: Any,
    case_sensitive: bool = False,
    by: str = "key",
    reverse: bool = False,
) -> list[Any]:
    if by not in ("key", "value"):
        raise OperationError(f"dictsort by {as_yaml(by)}", "write by='key' or by='value'")
    return _sort(_items(value), reverse, case_sensitive, "0" if by == "key" else "1")


def _items(value: Any) -> list[Any]:
    if not isinstance(value, Mapping):
        raise OperationError(f"items takes a mapping, not {kind(value)}")
    return [[key, child] for key, child in value.items()]


def _list(value: Any) -> list[Any]:
    if not isinstance(value, str | list | tuple | Mapping):
        raise OperationError(f"list takes a list, mapping or text, not {_describe(value)}")
    return list(value)


def _length(value: Any) -> int:
    if not isinstance(value, str | list | tuple | Mapping):
        raise OperationError(f"{_describe(value)} has no length")
    return len(value)


def _reverse(value: Any) -> Any:
    return value[::-1] if isinstance(value, str) else list(as_list(value, "reverse"))[::-1]


def _trim(value: Any, chars: str | None = None) -> str:
    return _text(value, "trim").strip(None if chars is None else _text(chars, "trim"))


class Library:
    """What filters, tests and methods an expression may use, and what they may take."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        bounded: Mapping[str, Filter] = {
            "join": self._join,
            "map": self._map,
            "replace": self._replace,
            "select": partial(self._select, True),
            "reject": partial(self._select, False),
            "selectattr": partial(self._selectattr, True),
            "rejectattr": partial(self._selectattr, False),
        }
        signs = {name: partial(self._compare, sign) for name, sign in _SIGNS.items()}
        self.filters: Mapping[str, Filter] = {**_FILTERS, **bounded}
        self.tests: Mapping[str, Filter] = {**_TESTS, **signs}

    def call(
        self, name: str, functions: Mapping[str, Filter], /, *arguments: Any, **keywords: Any
    ) -> Any:
        """Return what a filter or test makes of values; raises OperationError."""
        if name not in functions:
            raise OperationError(f"there is no '{name}'", offer(name, functions))
        for one in (*arguments, *keywords.values()):
            self._allowance.work(10 * self._allowance.look(one) // 64)
        try:
            return self._allowance.charge(functions[name](*arguments, **keywords))
        except TypeError as error:
            raise OperationError(f"{name}: {_plainly(error)}") from error

    def method(self, owner: Any, name: str, *arguments: Any, **keywords: Any) -> Any:
        """Return what a method of a text, list or mapping makes; raises OperationError."""
        functions = next((_METHODS[one] for one in _METHODS if isinstance(owner, one)), {})
        if name in OMISSIONS and name not in functions:
            raise omission(name, "function")
        if name not in functions:
            why = f"{kind(owner)} has no '{name}' here"
            raise OperationError(why, offer(name, functions) if functions else "", "undefined")
        if name == "replace":
            return self._allowance.charge(self._replace(owner, *arguments, **keywords))
        return self.call(name, functions, owner, *arguments, **keywords)

    def _join(self, items: Any, d: Any = "", attribute: Any = None) -> str:
        part = _part(attribute)
        words = [text(part(item)) for item in as_list(items, "join")]
        between = _text(d, "join")
        self._allowance.hold(sum(map(len, words)) + len(words) * len(between))
        return join(words, between)

    def _replace(self, value: Any, old: Any, new: Any, count: int = -1) -> str:
        whole, before = _text(value, "replace"), _text(old, "replace")
        after = text(new)
        times = whole.count(before) if count < 0 else min(count, whole.count(before))
        self._allowance.hold(len(whole) + times * max(0, len(after) - len(before)))
        return whole.replace(before, after, count)

    def _map(
        self,
        items: Any,
        name: str | None = None,
        *arguments: Any,
        attribute: Any = None,
        **keywords: Any,
    ) -> list[Any]:
        if (name is None) == (attribute is None):
            raise OperationError("map takes a filter's name, or attribute='NAME'")
        if name is None:
            return list(map(_part(attribute), as_list(items, "map")))
        return [
            self.call(name, self.filters, item, *arguments, **keywords)
            for item in as_list(items, "map")
        ]

    def _select(
        self, keep: bool, /, items: Any, test: str | None = None, *arguments: Any
    ) -> list[Any]:
        return self._filter(items, lambda item: item, test, arguments, keep=keep)

    def _selectattr(
        self, keep: bool, /, items: Any, attribute: Any, test: str | None = None, *arguments: Any
    ) -> list[Any]:
        return self._filter(items, _part(attribute), test, arguments, keep=keep)

    def _filter(
        self,
        items: Any,
        part: Callable[[Any], Any],
        test: str | None,
        arguments: Sequence[Any],
        *,
        keep: bool,
    ) -> list[Any]:
        def holds(item: Any) -> bool:
            value = part(item)
            return bool(value if test is None else self.call(test, self.tests, value, *arguments))

        return [item for item in as_list(items, "select") if holds(item) is keep]

    def _compare(self, sign: str, value: Any, other: Any) -> bool:
        return compare(sign, value, other, self._allowance)


def omission(name: str, what: str) -> OperationError:
    """Return the error of one of Jinja's names that is left out on purpose."""
    why, hint = OMISSIONS[name]
    return OperationError(f"there is no {what} '{name}' in recipes: {why}", hint, "template-syntax")


def _plainly(error: TypeError) -> str:
    """Return Python's complaint about arguments without its names of functions."""
    words = str(error).partition("() ")
    return words[2] or words[0]


def _range(*arguments: Any, allowance: Allowance) -> list[int]:
    bounds = [
        _whole(one) for one in arguments if isinstance(one, int) and not isinstance(one, bool)
    ]
    if len(bounds) != len(arguments) or not 1 <= len(arguments) <= 3:  # noqa: PLR2004
        raise OperationError("range takes one to three whole numbers")
    result = range(*bounds)
    allowance.hold(8 * len(result))
    return list(result)


def range_function(allowance: Allowance) -> Callable[..., list[int]]:
    """Return the function ``range`` of an expression."""
    return partial(_range, allowance=allowance)


def _divisible(value: Any, by: Any) -> bool:
    return bool(_number(value, "divisibleby") % _number(by, "divisibleby") == 0)


def _odd(value: Any, what: str) -> bool:
    if not isinstance(value, int) or isinstance(value, bool):
        raise OperationError(f"{what} takes a whole number, not {_describe(value)}")
    return value % 2 == 1


def _text_method(name: str) -> Filter:
    return lambda value, *arguments: getattr(_text(value, name), name)(*arguments)


def _affix(name: str) -> Filter:
    def affix(value: str, *arguments: Any) -> Any:
        return getattr(value, name)(
            *(tuple(one) if isinstance(one, list) else one for one in arguments)
        )

    return affix


def _partition(name: str) -> Filter:
    def partition(value: str, between: str) -> list[str]:
        if _text(between, name) not in value:
            why = f"{name}: {as_yaml(between)} is not in {as_yaml(value)}"
            raise OperationError(
                why, f"use {name} only if it is there: A if {between!r} in B else C"
            )
        return list(getattr(value, name)(between))

    return partition


def _at(value: Any, item: Any) -> int:
    if item not in value:
        raise OperationError(f"index: {_describe(item)} is not there")
    return int(value.index(item))


_UNASKED = object()


def _get(value: Any, key: Any, default: Any = _UNASKED) -> Any:
    if key in value:
        return value[key]
    if default is _UNASKED:
        hint = offer(str(key), value)
        raise OperationError(f"get: the mapping has no {_describe(key)}", hint, "undefined")
    return default


_FILTERS: Mapping[str, Filter] = {
    "abs": lambda value: abs(_number(value, "abs")),
    "capitalize": _text_method("capitalize"),
    "count": _length,
    "dictsort": _dictsort,
    "first": partial(_end, at=0, what="first"),
    "float": _float,
    "int": _whole,
    "items": _items,
    "last": partial(_end, at=-1, what="last"),
    "length": _length,
    "list": _list,
    "lower": _text_method("lower"),
    "max": lambda items, case_sensitive=False, attribute=None: _extreme(
        items, True, "max", case_sensitive, attribute
    ),
    "min": lambda items, case_sensitive=False, attribute=None: _extreme(
        items, False, "min", case_sensitive, attribute
    ),
    "reverse": _reverse,
    "round": _round,
    "sort": _sort,
    "string": text,
    "sum": _sum,
    "title": _text_method("title"),
    "trim": _trim,
    "unique": _unique,
    "upper": _text_method("upper"),
    "wordcount": lambda value: len(_text(value, "wordcount").split()),
}
_SIGNS = {
    "==": "eq", "eq": "eq", "equalto": "eq", "!=": "ne", "ne": "ne",
    "<": "lt", "lt": "lt", "lessthan": "lt", "<=": "lteq", "le": "lteq",
    ">": "gt", "gt": "gt", "greaterthan": "gt", ">=": "gteq", "ge": "gteq", "in": "in",
}  # fmt: skip
_TESTS: Mapping[str, Filter] = {
    "boolean": lambda value: isinstance(value, bool),
    "divisibleby": _divisible,
    "even": lambda value: not _odd(value, "even"),
    "false": lambda value: value is False,
    "float": lambda value: isinstance(value, float),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "iterable": lambda value: isinstance(value, str | list | tuple | Mapping),
    "lower": lambda value: _text(value, "lower").islower(),
    "mapping": lambda value: isinstance(value, Mapping),
    "none": lambda value: value is None,
    "number": number,
    "odd": partial(_odd, what="odd"),
    "sequence": lambda value: isinstance(value, str | list | tuple | Mapping),
    "string": lambda value: isinstance(value, str),
    "true": lambda value: value is True,
    "upper": lambda value: _text(value, "upper").isupper(),
}
_METHODS: Mapping[Any, Mapping[str, Filter]] = {
    str: {
        **{
            name: getattr(str, name)
            for name in (
                "capitalize", "count", "isdigit", "lower", "lstrip", "removeprefix",
                "removesuffix", "rsplit", "rstrip", "split", "strip", "title", "upper",
            )
        },
        "endswith": _affix("endswith"),
        "index": _at,
        "partition": _partition("partition"),
        "replace": str.replace,
        "rpartition": _partition("rpartition"),
        "startswith": _affix("startswith"),
    },
    Mapping: {
        "get": _get,
        "items": _items,
        "keys": list,
        "values": lambda value: list(value.values()),
    },
    list: {"count": lambda value, item: list(value).count(item), "index": _at},
    tuple: {"count": lambda value, item: list(value).count(item), "index": _at},
}  # fmt: skip
FILTERS = tuple(sorted(Library(Allowance()).filters))
TESTS = tuple(sorted(Library(Allowance()).tests))
