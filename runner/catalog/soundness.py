"""A schema in, a quick yes out: the values that jsonschema accepts.

Importing jsonschema takes a third of the time needed to show a plan, and few values are wrong. So
each keyword is a small function here, compiled from the schema, that handles the JSON types,
MISSING and the strict numbers of `validator`. Anything uncertain (a keyword or value this module
does not know) is left to jsonschema, and so are all messages. A property test checks that both
agree.

Alternatives, as measured: fastjsonschema takes 23 ms to import and 69 ms to compile the two schemas
of a recipe, compared with 2 ms here; it cannot express MISSING, and accepts 1.0 as a whole number.
jsonschema-rs takes 40 ms to import, and 15 MB of disk space.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from runner.base.patterns import pattern
from runner.recipe.node import MISSING, Missing

Check = Callable[[Any], bool]
Keyword = Callable[["Soundness", Any, Mapping[str, Any]], Check]

_PART = pattern(r"\\.|\[(?:\\.|[^\]])*\]|\$")  # an escape, a class, or the end
_JSON = frozenset({str, int, float, bool, list, dict, type(None)})
_TYPES: Mapping[str, type] = {
    "string": str,
    "integer": int,
    "boolean": bool,
    "null": type(None),
    "object": dict,
    "array": list,
}

MOST_KEPT = 100_000
"""Values of the properties of a schema that are known to be sound, for the life of a process."""
_SCALARS = {str, int, float, bool, type(None)}


class _UnsureError(Exception):
    """Only jsonschema knows."""


class Soundness:
    """Quick answers about one schema, compiled at their first use."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._checks: dict[int, Check] = {}

    def sure(self, value: Any, schema: Any = None) -> bool:
        """Return whether the schema, or this part of it, certainly takes the value.

        False says that jsonschema has to look.
        """
        try:
            return self.check(self._root if schema is None else schema)(value)
        except _UnsureError:
            return False

    def check(self, schema: Any) -> Check:
        """Return what says whether a part of the schema takes a value; it may raise _UnsureError.

        The part must belong to the schema, which keeps it and so its id.
        """
        known = self._checks.get(id(schema))
        if known is None:
            known = self._checks[id(schema)] = self._compile(schema)
        return known

    def target(self, reference: str) -> Any:
        """Return what a ``$ref`` inside the schema names; raises _UnsureError for any other."""
        found: Any = self._root
        lead, *words = reference.split("/")
        for word in words:
            if not isinstance(found, Mapping) or word not in found or set(word) & set("~%"):
                raise _UnsureError
            found = found[word]
        if lead != "#":
            raise _UnsureError
        return found

    def _compile(self, schema: Any) -> Check:
        if isinstance(schema, bool):
            return lambda _: schema
        names = [name for name in schema if name not in _SILENT and not name.startswith("x-")]
        if not all(name in _KEYWORDS for name in names):
            raise _UnsureError
        if not names:
            return _known
        first, *rest = (_KEYWORDS[name](self, schema[name], schema) for name in names)

        def check(value: Any) -> bool:
            if type(value) not in _JSON:
                if value is MISSING:
                    return True
                raise _UnsureError
            if not first(value):
                return False
            for one in rest:  # noqa: SIM110  (asked of every value: a generator costs more)
                if not one(value):
                    return False
            return True

        return check


@cache
def regex(pattern: str) -> re.Pattern[str]:
    """Return a pattern as JSON Schema means it: its ``$`` is the end, not before a last newline."""
    ends = {"$": r"\Z"}
    return re.compile(_PART.sub(lambda part: ends.get(part[0], part[0]), pattern))


def number(value: Any) -> bool:
    """Return whether a value is a finite number; true and false are not (T17)."""
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _known(value: Any) -> bool:
    """Say yes to anything that JSON has."""
    if type(value) not in _JSON and value is not MISSING:
        raise _UnsureError
    return True


def _true(_: Any) -> bool:
    return True


def _type(_: Soundness, names: str | Sequence[str], __: Any) -> Check:
    every = [names] if isinstance(names, str) else names
    if not all(name == "number" or name in _TYPES for name in every):
        raise _UnsureError
    kinds = frozenset(_TYPES[name] for name in every if name in _TYPES)
    if "number" in every:
        return lambda value: type(value) in kinds or number(value)
    return lambda value: type(value) in kinds


def _equal(one: Any, two: Any) -> bool:
    """Return whether two values are one in JSON: 1 is 1.0, and true is not 1."""
    if one is two:
        return True
    kinds = type(one), type(two)
    if not all(kind in _JSON or kind is Missing for kind in kinds):
        raise _UnsureError
    if kinds == (list, list):
        return len(one) == len(two) and all(map(_equal, one, two))
    if kinds == (dict, dict):
        return one.keys() == two.keys() and all(_equal(one[name], two[name]) for name in one)
    return (kinds[0] is bool) is (kinds[1] is bool) and bool(one == two)


def _const(_: Soundness, constant: Any, __: Any) -> Check:
    return lambda value: _equal(constant, value)


def _enum(_: Soundness, choices: Sequence[Any], __: Any) -> Check:
    texts = {one for one in choices if type(one) is str}
    others = [one for one in choices if type(one) is not str]

    def check(value: Any) -> bool:
        if type(value) is str:
            return value in texts
        return any(_equal(one, value) for one in others)

    return check


def _bound(holds: Callable[[Any, Any], bool]) -> Keyword:
    return lambda _, limit, __: lambda value: not number(value) or holds(value, limit)


def _multiple(_: Soundness, step: Any, __: Any) -> Check:
    if type(step) is not int:
        raise _UnsureError
    return lambda value: not number(value) or not value % step


def _size(kind: Any, holds: Callable[[int, int], bool]) -> Keyword:
    return lambda _, limit, __: lambda value: type(value) is not kind or holds(len(value), limit)


def _pattern(_: Soundness, pattern: str, __: Any) -> Check:
    return lambda value: type(value) is not str or bool(regex(pattern).search(value))


def _required(_: Soundness, names: Sequence[str], __: Any) -> Check:
    return lambda value: type(value) is not dict or all(name in value for name in names)


def _properties(those: Soundness, children: Mapping[str, Any], _: Any) -> Check:
    compiled: dict[str, Check] = {}  # of a large schema a recipe names a few
    sound: set[tuple[str, type, Any]] = set()  # stages mostly say the same

    def check(value: Any) -> bool:
        if type(value) is dict:
            for name, child in value.items():
                mark = (name, type(child), child) if type(child) in _SCALARS else None
                if mark in sound:
                    continue
                inside = compiled.get(name)
                if inside is None:
                    inside = those.check(children[name]) if name in children else _known
                    compiled[name] = inside
                if not inside(child):
                    return False
                if mark is not None and len(sound) < MOST_KEPT:
                    sound.add(mark)
        return True

    return check


def _additional(those: Soundness, extra: Any, schema: Mapping[str, Any]) -> Check:
    if "patternProperties" in schema:
        raise _UnsureError
    known, inside = schema.get("properties", {}).keys(), those.check(extra)

    def check(value: Any) -> bool:
        if type(value) is not dict or value.keys() <= known:
            return True
        return all(inside(child) for name, child in value.items() if name not in known)

    return check


def _names(those: Soundness, schema: Any, _: Any) -> Check:
    inside = those.check(schema)
    return lambda value: type(value) is not dict or all(map(inside, value))


def _items(those: Soundness, schema: Any, beside: Mapping[str, Any]) -> Check:
    first, inside = len(beside.get("prefixItems", ())), those.check(schema)
    return lambda value: type(value) is not list or all(map(inside, value[first:]))


def _prefix(those: Soundness, schemas: Sequence[Any], _: Any) -> Check:
    places = [those.check(schema) for schema in schemas]

    def check(value: Any) -> bool:
        pairs = zip(places, value, strict=False) if type(value) is list else ()
        return all(inside(entry) for inside, entry in pairs)

    return check


def _unique(_: Soundness, wanted: bool, __: Any) -> Check:
    def check(value: Any) -> bool:
        if type(value) is not list:
            return True
        entries = [one for one in value if one is not MISSING]
        if not all(type(one) is str for one in entries):
            raise _UnsureError
        return len(set(entries)) == len(entries)

    return check if wanted else _true


def _all(those: Soundness, schemas: Sequence[Any], _: Any) -> Check:
    every = [those.check(schema) for schema in schemas]
    return lambda value: all(one(value) for one in every)


def _any(those: Soundness, schemas: Sequence[Any], _: Any) -> Check:
    every = [those.check(schema) for schema in schemas]

    def check(value: Any) -> bool:
        for one in every:  # noqa: SIM110  (asked of every value: a generator costs more)
            if one(value):
                return True
        return False

    return check


def _one(those: Soundness, schemas: Sequence[Any], _: Any) -> Check:
    every = [those.check(schema) for schema in schemas]
    return lambda value: [one(value) for one in every].count(True) == 1


def _not(those: Soundness, schema: Any, _: Any) -> Check:
    inside = those.check(schema)
    return lambda value: not inside(value)


def _if(those: Soundness, condition: Any, schema: Mapping[str, Any]) -> Check:
    test = those.check(condition)
    then, other = (those.check(schema.get(name, True)) for name in ("then", "else"))
    return lambda value: then(value) if test(value) else other(value)


def _ref(those: Soundness, reference: str, _: Any) -> Check:
    target = those.target(reference)

    def check(value: Any) -> bool:  # compiled when a value is there: a schema may name itself
        return those.check(target)(value)

    return check


_SILENT = frozenset(
    {"$schema", "$comment", "$defs", "definitions", "title", "description", "default", "examples"}
    | {"then", "else"}  # read by their if
)
_KEYWORDS: Mapping[str, Keyword] = {
    "$ref": _ref,
    "additionalProperties": _additional,
    "allOf": _all,
    "anyOf": _any,
    "const": _const,
    "enum": _enum,
    "exclusiveMaximum": _bound(operator.lt),
    "exclusiveMinimum": _bound(operator.gt),
    "if": _if,
    "items": _items,
    "maxItems": _size(list, operator.le),
    "maxLength": _size(str, operator.le),
    "maxProperties": _size(dict, operator.le),
    "maximum": _bound(operator.le),
    "minItems": _size(list, operator.ge),
    "minLength": _size(str, operator.ge),
    "minProperties": _size(dict, operator.ge),
    "minimum": _bound(operator.ge),
    "multipleOf": _multiple,
    "not": _not,
    "oneOf": _one,
    "pattern": _pattern,
    "prefixItems": _prefix,
    "properties": _properties,
    "propertyNames": _names,
    "required": _required,
    "type": _type,
    "uniqueItems": _unique,
}
