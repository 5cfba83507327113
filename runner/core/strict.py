"""A schema in, its validator out: finite numbers, whole whole numbers, silent about MISSING.

It knows the vocabulary that schema/tool.meta.json allows and means by it what JSON Schema 2020-12
means, but for two words: ``integer`` is no 1.0, and ``number`` is finite (T17). jsonschema says the
same, and takes longer to import than the rest of the runner; the tests hold the two together.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from runner.core.tree import MISSING

Steps = tuple[str | int, ...]


@dataclass(slots=True)
class Error:
    """One thing a schema refuses: the keyword, what it says, of what value, and both places."""

    keyword: str
    said: Any
    value: Any
    schema: Mapping[str, Any]
    path: Steps = ()
    schema_path: Steps = ()


Errors = Sequence[Error]
Check = Callable[[Any], Errors]
Fits = Callable[[Any], bool]


def errors(schema: Mapping[str, Any], value: Any) -> Errors:
    """Return what `schema` refuses in `value`, in the order of the schema.

    A value that is MISSING has no errors. Raises ValueError for a keyword it does not know.
    """
    return _validator(_Held(schema))(value)


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """A schema that cannot be collected, so that its id stays its own."""

    schema: Mapping[str, Any]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and other.schema is self.schema

    def __hash__(self) -> int:
        return id(self.schema)


@lru_cache(maxsize=64)
def _validator(held: _Held) -> Check:
    return _check(held.schema, held.schema)


def _check(schema: Any, root: Mapping[str, Any]) -> Check:
    """Return the check of a schema inside `root`, each keyword in its place."""
    if schema is True:
        return lambda _: ()
    checks = [one for word, said in schema.items() if (one := _keyword(word, said, schema, root))]

    def check(value: Any) -> Errors:
        if value is MISSING:
            return ()
        found: list[Error] = []
        for one in checks:
            if refused := one(value):
                found += refused
        return found

    return check


def _keyword(
    word: str, said: Any, schema: Mapping[str, Any], root: Mapping[str, Any]
) -> Check | None:
    """Return the check of one keyword, None for a word that checks nothing."""
    if word in _FITS:
        fits = _FITS[word](said)
        return lambda value: () if fits(value) else (Error(word, said, value, schema, (), (word,)),)
    if word in _INSIDE:
        return _INSIDE[word](said, schema, root)
    if word in _SILENT or word.startswith("x-"):
        return None
    raise ValueError(f"no schema of run-recipe may say '{word}'")


_SILENT = frozenset(
    ("$schema", "$id", "$defs", "definitions", "title", "description", "default", "then", "else")
)


def _below(found: Errors, path: Steps, *steps: str | int) -> Errors:
    """Return errors with what leads to them: in the value, and in the schema."""
    for error in found:
        error.path = (*path, *error.path)
        error.schema_path = (*steps, *error.schema_path)
    return found


_TYPES: Mapping[str, Fits] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: type(value) is int,
    "number": lambda value: type(value) is int or (type(value) is float and math.isfinite(value)),
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "null": lambda value: value is None,
}
_number = _TYPES["number"]


def _type(said: str | list[str]) -> Fits:
    if isinstance(said, str):
        return _TYPES[said]
    types = [_TYPES[name] for name in said]
    return lambda value: any(fits(value) for fits in types)


def _same(one: Any, other: Any) -> bool:
    """Say whether two values are one by JSON: true is not 1, and 1.0 is."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _unique(items: Sequence[Any]) -> bool:
    return not any(_same(one, other) for at, one in enumerate(items) for other in items[:at])


def _multiple(value: float, of: float) -> bool:
    quotient = value / of
    return math.isfinite(quotient) and int(quotient) == quotient


_FITS: Mapping[str, Callable[[Any], Fits]] = {
    "type": _type,
    "const": lambda said: lambda value: _same(value, said),
    "enum": lambda said: lambda value: any(_same(value, one) for one in said),
    "minimum": lambda said: lambda value: not _number(value) or value >= said,
    "maximum": lambda said: lambda value: not _number(value) or value <= said,
    "exclusiveMinimum": lambda said: lambda value: not _number(value) or value > said,
    "exclusiveMaximum": lambda said: lambda value: not _number(value) or value < said,
    "multipleOf": lambda said: lambda value: not _number(value) or _multiple(value, said),
    "minLength": lambda said: lambda value: not isinstance(value, str) or len(value) >= said,
    "pattern": lambda said: (
        lambda value: not isinstance(value, str) or bool(re.search(said, value))
    ),
    "minItems": lambda said: lambda value: not isinstance(value, list) or len(value) >= said,
    "maxItems": lambda said: lambda value: not isinstance(value, list) or len(value) <= said,
    "uniqueItems": lambda said: (
        lambda value: not said or not isinstance(value, list) or _unique(value)
    ),
    "minProperties": lambda said: lambda value: not isinstance(value, dict) or len(value) >= said,
}


def _ref(said: str, _: Any, root: Mapping[str, Any]) -> Check:
    target: Any = root
    for word in said.removeprefix("#/").split("/"):
        target = target[word]
    return _check(target, root)


def _required(said: Sequence[str], schema: Mapping[str, Any], _: Any) -> Check:
    def check(value: Any) -> Errors:
        if not isinstance(value, dict):
            return ()
        return [
            Error("required", said, value, schema, (), ("required",))
            for name in said
            if name not in value
        ]

    return check


def _properties(said: Mapping[str, Any], _: Any, root: Mapping[str, Any]) -> Check:
    checks = {name: _check(schema, root) for name, schema in said.items()}

    def check(value: Any) -> Errors:
        found: list[Error] = []
        for name, one in checks.items() if isinstance(value, dict) else ():
            if name in value and (refused := one(value[name])):
                found += _below(refused, (name,), "properties", name)
        return found

    return check


def _additional(said: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Check:
    known = schema.get("properties", {})
    inside = _check(said, root) if said else None

    def check(value: Any) -> Errors:
        extra = [name for name in value if name not in known] if isinstance(value, dict) else ()
        word = "additionalProperties"
        if extra and inside is None:
            return (Error(word, said, value, schema, (), (word,)),)
        return [
            error
            for name in extra
            if inside
            for error in _below(inside(value[name]), (name,), word)
        ]

    return check


def _names(said: Any, _: Any, root: Mapping[str, Any]) -> Check:
    fits = _check(said, root)

    def check(value: Any) -> Errors:
        names = value if isinstance(value, dict) else ()
        return [error for name in names for error in _below(fits(name), (), "propertyNames")]

    return check


def _items(said: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Check:
    first = len(schema.get("prefixItems", ()))
    fits = _check(said, root)

    def check(value: Any) -> Errors:
        rest = list(enumerate(value))[first:] if isinstance(value, list) else ()
        return [error for at, item in rest for error in _below(fits(item), (at,), "items")]

    return check


def _prefix(said: Sequence[Any], _: Any, root: Mapping[str, Any]) -> Check:
    checks = [_check(schema, root) for schema in said]

    def check(value: Any) -> Errors:
        pairs = enumerate(zip(value, checks, strict=False)) if isinstance(value, list) else ()
        return [
            error
            for at, (item, one) in pairs
            for error in _below(one(item), (at,), "prefixItems", at)
        ]

    return check


def _all(said: Sequence[Any], _: Any, root: Mapping[str, Any]) -> Check:
    checks = [_check(schema, root) for schema in said]
    return lambda value: [
        error for at, one in enumerate(checks) for error in _below(one(value), (), "allOf", at)
    ]


def _any(said: Sequence[Any], schema: Mapping[str, Any], root: Mapping[str, Any]) -> Check:
    checks = [_check(one, root) for one in said]
    return lambda value: (
        () if any(not one(value) for one in checks) else _whole("anyOf", said, value, schema)
    )


def _not(said: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Check:
    refused = _check(said, root)
    return lambda value: () if refused(value) else _whole("not", said, value, schema)


def _whole(word: str, said: Any, value: Any, schema: Mapping[str, Any]) -> Errors:
    return (Error(word, said, value, schema, (), (word,)),)


def _if(said: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Check:
    holds = _check(said, root)
    branches = {word: _check(schema[word], root) for word in ("then", "else") if word in schema}

    def check(value: Any) -> Errors:
        word = "else" if holds(value) else "then"
        return _below(branches[word](value), (), word) if word in branches else ()

    return check


_INSIDE: Mapping[str, Callable[[Any, Mapping[str, Any], Mapping[str, Any]], Check]] = {
    "$ref": _ref,
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional,
    "propertyNames": _names,
    "items": _items,
    "prefixItems": _prefix,
    "allOf": _all,
    "anyOf": _any,
    "not": _not,
    "if": _if,
}
