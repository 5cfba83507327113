"""A schema in, its validator out: numbers are finite, 1.0 is not whole, MISSING is accepted.

jsonschema explains what is wrong. It is used only if `soundness` is not sure.
"""

from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from runner.catalog.soundness import Soundness, number, regex
from runner.recipe.node import MISSING

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator


MAX_ERRORS = 5_000


def errors(schema: Mapping[str, Any], value: Any) -> list[Any]:
    """Return jsonschema's errors; a value that is MISSING has none.

    If a value has more mistakes than anybody fixes at once, only the first ones are returned.
    """
    source = _SchemaKey(schema=schema)
    if _soundness(source).sure(value):
        return []
    return list(islice(_validator(source).iter_errors(value), MAX_ERRORS))


class _SchemaKey(Struct, frozen=True, kw_only=True, eq=False):
    """A schema that cannot be collected, so that its id stays its own."""

    schema: Mapping[str, Any]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _SchemaKey) and other.schema is self.schema

    def __hash__(self) -> int:
        return id(self.schema)


@lru_cache(maxsize=64)
def _soundness(source: _SchemaKey) -> Soundness:
    return Soundness(source.schema)


@lru_cache(maxsize=64)
def _validator(source: _SchemaKey) -> "Draft202012Validator":
    """Return jsonschema's validator, which looks only at the properties that may be wrong.

    Of a thousand stages with one mistake each, jsonschema looks at a thousand values.
    """
    from jsonschema.validators import extend

    soundness = _soundness(source)

    def properties(validator: Any, children: Any, value: Any, _: Any) -> Iterator[Any]:
        for name, schema in children.items() if isinstance(value, dict) else ():
            if name in value and not soundness.sure(value[name], schema):
                yield from validator.descend(value[name], schema, path=name, schema_path=name)

    keywords = {"properties": _unless_missing(properties)}
    strict: Any = extend(_strict(), validators=keywords)  # type: ignore[no-untyped-call]
    validator: Draft202012Validator = strict(source.schema)
    return validator


@cache
def _strict() -> "type[Draft202012Validator]":
    """Return jsonschema's validator with whole numbers that are whole and finite numbers (T17)."""
    from jsonschema import Draft202012Validator  # 95 ms, only for what is wrong
    from jsonschema.validators import extend

    checker = Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: type(value) is int,
            "number": lambda _, value: number(value),
        }
    )
    checks = {**Draft202012Validator.VALIDATORS, "pattern": _pattern}
    keywords = {name: _unless_missing(check) for name, check in checks.items()}
    keywords["uniqueItems"] = _without_missing(keywords["uniqueItems"])
    strict: type[Draft202012Validator] = extend(  # type: ignore[no-untyped-call]
        Draft202012Validator, validators=keywords, type_checker=checker
    )
    return strict


def _pattern(_: Any, pattern: str, value: Any, __: Any) -> Iterator[Any]:
    """Judge a pattern as JSON Schema means it."""
    from jsonschema import ValidationError

    if isinstance(value, str) and not regex(pattern).search(value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _without_missing(check: Any) -> Any:
    """Return a keyword that looks at the entries of a list that could be made: others are alike."""

    def keyword(validator: Any, argument: Any, value: Any, schema: Any) -> Any:
        entries = [one for one in value if one is not MISSING] if isinstance(value, list) else value
        return check(validator, argument, entries, schema)

    return keyword


def _unless_missing(check: Any) -> Any:
    def keyword(validator: Any, argument: Any, value: Any, schema: Any) -> Any:
        return () if value is MISSING else check(validator, argument, value, schema) or ()

    return keyword
