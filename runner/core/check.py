"""A value against its JSON Schema: every violation in words a user can act on."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from runner.core.problem import suggest
from runner.core.template import kind

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

Path = tuple[str | int, ...]

_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
    "null": "null",
}
_BOUNDS = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "more than",
    "exclusiveMaximum": "less than",
    "multipleOf": "a multiple of",
}
_YES_NO = ("yes", "no", "on", "off", "y", "n")


class Missing:
    """Stands for a value that could not be made; its own problem is already told."""

    def __repr__(self) -> str:
        return "(missing)"


MISSING = Missing()


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing a schema refuses: where in the value, in words, by which rule."""

    path: Path
    message: str
    rule: str
    hint: str = ""
    key: bool = False
    about: Path | None = None


def violations(schema: Mapping[str, Any], value: Any) -> list[Violation]:
    """Return everything `schema` refuses in `value` (parsed JSON-like values), in order."""
    found = [
        violation
        for error in _strict()(schema).iter_errors(value)
        for violation in _explain(error, schema)
    ]
    once = {(v.about, v.message) if v.about is not None else v: v for v in reversed(found)}
    return sorted(once.values(), key=lambda v: [str(step) for step in v.path])


@cache
def _strict() -> "type[Draft202012Validator]":
    """Return jsonschema's validator with whole numbers that are whole and finite numbers (T17)."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415  (95 ms, only to validate)
    from jsonschema.validators import extend  # noqa: PLC0415

    checker = Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: type(value) is int,
            "number": lambda _, value: (
                type(value) is int or (type(value) is float and math.isfinite(value))
            ),
        }
    )
    keywords = {
        name: _unless_missing(check) for name, check in Draft202012Validator.VALIDATORS.items()
    }
    strict: type[Draft202012Validator] = extend(  # type: ignore[no-untyped-call]
        Draft202012Validator, validators=keywords, type_checker=checker
    )
    return strict


def _unless_missing(check: Any) -> Any:
    def keyword(validator: Any, said: Any, value: Any, schema: Any) -> Any:
        return () if value is MISSING else check(validator, said, value, schema) or ()

    return keyword


def _explain(error: Any, root: Mapping[str, Any]) -> Iterator[Violation]:
    """Turn one of jsonschema's errors into our words."""
    path = tuple(error.absolute_path)
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    said, about = _message(error, root)
    if error.validator == "additionalProperties":
        known = schema.get("properties", {})
        for name in error.instance:
            if name not in known:
                hint = schema.get("x-not", {}).get(name) or suggest(str(name), known)
                yield Violation((*path, name), f"unknown '{name}'", "unknown-key", hint, key=True)
    elif said:
        yield Violation(path, said, "bad-value", about=about)
    elif error.validator == "required":
        for name in error.validator_value:
            if name not in error.instance:
                yield Violation(path, f"needs '{name}'", "missing-key")
    elif error.validator == "type":
        yield _wrong_type(path, error.instance, error.validator_value)
    else:
        yield Violation(path, *_wrong_value(error))


def _message(error: Any, root: Any) -> tuple[str, Path | None]:
    """Return the nearest ``x-message`` around an error's schema, and what in the value it is about.

    A wrong type inside a plain parameter is said in our own words.
    """
    steps = list(error.absolute_schema_path)
    found: tuple[str, Path | None] = ("", None)
    about: list[str | int] = []
    schema: Any = root
    for at, step in enumerate(steps):
        if not isinstance(schema, dict | list) or (isinstance(schema, dict) and step not in schema):
            break
        schema = schema[step]
        above = steps[at - 1] if at else None
        if above in {"properties", "prefixItems"} or step == "items":
            about.append(step)
        if isinstance(schema, dict) and "x-message" in schema:
            found = (schema["x-message"], tuple(about))
    leaf = found[1] is not None and list(found[1]) == list(error.absolute_path)
    return ("", None) if error.validator == "type" and leaf else found


def _wrong_type(path: Path, value: Any, expected: str | list[str]) -> Violation:
    names = [expected] if isinstance(expected, str) else expected
    wanted = " or ".join(_TYPES[name] for name in names)
    shown = f" {value!r}" if isinstance(value, str | int | float) and value is not None else ""
    message = f"must be {wanted}, not {_called(value)}{shown}"
    return Violation(path, message, "wrong-type", _type_hint(value, names))


def _called(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "an infinite number or none"
    return "the text" if isinstance(value, str) else kind(value)


def _type_hint(value: Any, names: list[str]) -> str:
    """Return the way out of the mistakes YAML makes easy (T08, T13, T17)."""
    if value is None:
        return "mlx-lm would read null as 'use the default': leave the line out, or say !reset"
    if isinstance(value, str):
        return _text_hint(value, names)
    if isinstance(value, float) and "integer" in names and value.is_integer():
        return f"write {int(value)}"
    if names == ["string"] and not isinstance(value, dict | list):
        return "put it in quotes"
    return ""


def _text_hint(text: str, names: list[str]) -> str:
    word = text.strip().casefold()
    if "boolean" in names and word in (*_YES_NO, "true", "false"):
        good = "true" if word in {"yes", "on", "y", "true"} else "false"
        return f"write {good}, without quotes"
    if {"integer", "number"} & set(names):
        return _number_hint(text, word)
    return ""


def _number_hint(text: str, word: str) -> str:
    plain = word.replace("_", "").replace(",", "")
    try:
        float(plain)
    except ValueError:
        sixty = text.replace(":", "").isdigit() and ":" in text
        return "YAML 1.2 has no numbers with colons" if sixty else ""
    return f"write {plain}, " + ("without quotes" if plain == word else "digits only")


def _wrong_value(error: Any) -> tuple[str, str, str]:
    """Return message, rule and hint for a value of the right type."""
    value, limit, keyword = error.instance, error.validator_value, str(error.validator)
    if keyword in _BOUNDS:
        return f"must be {_BOUNDS[keyword]} {limit}, not {value}", "out-of-range", ""
    if keyword == "enum":
        choices = ", ".join("null" if choice is None else str(choice) for choice in limit)
        known = [choice for choice in limit if isinstance(choice, str)]
        hint = suggest(value, known) if isinstance(value, str) else ""
        return f"must be one of {choices}, not {value!r}", "not-a-choice", hint
    if keyword.startswith("min"):
        return "must not be empty" if limit == 1 else f"needs {limit} entries", "empty-value", ""
    plain = {
        "const": f"must be {limit!r}, not {value!r}",
        "maxItems": f"takes at most {limit} entries",
        "uniqueItems": "holds an entry twice",
        "pattern": f"{value!r} does not have the form {limit}",
    }
    return plain.get(keyword, error.message), "bad-value", ""
