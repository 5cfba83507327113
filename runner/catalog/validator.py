"""A schema in, its validator out: finite numbers, whole whole numbers, silent about MISSING.

jsonschema judges. What it found nothing wrong with is remembered by the digest of schema and value,
and is not judged again: importing jsonschema takes as long as all else that shows a plan.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from runner.recipe.node import MISSING

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator


_PART = re.compile(r"\\.|\[(?:\\.|[^\]])*\]|\$")  # an escape, a class, or the end
MAX_ERRORS = 5_000

_sound: set[str] = set()
_new_marks: list[str] = []


def errors(schema: Mapping[str, Any], value: Any) -> list[Any]:
    """Return jsonschema's errors, in its own words; a value that is MISSING has none.

    Of a value with more mistakes than anybody mends at once, those that come first.
    """
    source = _SchemaKey(schema=schema)
    mark = _digest(f"{_signature(source)}{value!r}")
    if mark in _sound:
        return []
    result = list(islice(_validator(source).iter_errors(value), MAX_ERRORS))
    if not result:
        _sound.add(mark)
        _new_marks.append(mark)
    return result


def remember(marks: Iterable[str]) -> None:
    """Take over what an earlier process learned to be sound."""
    _sound.update(marks)


def new_marks() -> list[str]:
    """Return what was found sound since the last call, to be remembered."""
    new = _new_marks.copy()
    _new_marks.clear()
    return new


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


class _SchemaKey(Struct, frozen=True, kw_only=True, eq=False):
    """A schema that cannot be collected, so that its id stays its own."""

    schema: Mapping[str, Any]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _SchemaKey) and other.schema is self.schema

    def __hash__(self) -> int:
        return id(self.schema)


@lru_cache(maxsize=64)
def _signature(source: _SchemaKey) -> str:
    return _digest(json.dumps(source.schema, sort_keys=True))


@lru_cache(maxsize=64)
def _validator(source: _SchemaKey) -> "Draft202012Validator":
    """Return jsonschema's validator, which remembers the values that a property has taken.

    Stages mostly say the same things: of a thousand, each value is looked at once.
    """
    from jsonschema.validators import extend

    good: set[tuple[int, str]] = set()

    def properties(validator: Any, children: Any, value: Any, _: Any) -> Iterator[Any]:
        for name, schema in children.items() if isinstance(value, dict) else ():
            if name not in value:
                continue
            mark = (id(schema), repr(value[name]))
            if mark not in good:
                errors = list(validator.descend(value[name], schema, path=name, schema_path=name))
                yield from errors
                if not errors:
                    good.add(mark)

    keywords = {"properties": _unless_missing(properties)}
    strict: Any = extend(_strict(), validators=keywords)  # type: ignore[no-untyped-call]
    validator: Draft202012Validator = strict(source.schema)
    return validator


@cache
def _strict() -> "type[Draft202012Validator]":
    """Return jsonschema's validator with whole numbers that are whole and finite numbers (T17)."""
    from jsonschema import Draft202012Validator  # 95 ms, only to validate
    from jsonschema.validators import extend

    checker = Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: type(value) is int,
            "number": lambda _, value: (
                type(value) is int or (type(value) is float and math.isfinite(value))
            ),
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
    """Judge a pattern as JSON Schema means it: its ``$`` is the end, not before a last newline."""
    from jsonschema import ValidationError

    if isinstance(value, str) and not _regex(pattern).search(value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    ends = {"$": r"\Z"}
    return re.compile(_PART.sub(lambda part: ends.get(part[0], part[0]), pattern))


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
