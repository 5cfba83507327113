"""A value and its JSON Schema in, every violation out, explained so that a user can fix it."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from msgspec import Struct

from runner.base.problems import as_yaml, listing, nearest, suggest
from runner.catalog import hints, validator
from runner.catalog.tools import resolve
from runner.recipe.node import MISSING
from runner.recipe.template.operators import kind

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


class Violation(Struct, frozen=True, kw_only=True):
    """One thing a schema refuses: where in the value, in words, by which rule.

    `key` says that it is the key at `path` and not its value; `about` is what the message is
    about, where that is not what is at `path`; `types` are the types that would do; `short`
    says it of a difference that is too small, with its two names as holes; `names` are the keys it
    asks for.
    """

    path: Path
    message: str
    rule: str
    hint: str = ""
    key: bool = False
    about: Path | None = None
    types: tuple[str, ...] = ()
    short: str = ""
    names: tuple[str, ...] = ()


def violations(schema: Mapping[str, Any], value: Any) -> list[Violation]:
    """Return everything `schema` refuses in `value` (parsed JSON-like values), in order."""
    errors = validator.errors(schema, value)
    every = (
        violation
        for error in errors
        if not _rule(error)
        for violation in _explain(error, schema, value)
    )
    plain = list(islice(every, validator.MAX_ERRORS))
    bad = {violation.path for violation in plain}
    result = [*plain, *_unselected(schema, value, bad)]
    for error in errors:
        rule = _rule(error)
        if rule and not _doubtful(rule, error, value, schema, bad):
            result += _explain(error, schema, value)
    if validator.MAX_ERRORS in {len(errors), len(plain)}:
        why = f"has at least {validator.MAX_ERRORS:,} mistakes: the check stopped there"
        result.append(Violation(path=(), message=why, rule="more-problems", hint="fix these first"))
    return _once(result)


def dotted(path: Path) -> str:
    """Return a path as a user writes it: ``lora_parameters.keys[2]``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def _rule(error: Any) -> int:
    """Return at which step of its schema path an error leaves an ``if``, 0 for a plain error."""
    steps = list(error.absolute_schema_path)
    return next((at for at, step in enumerate(steps) if step in {"then", "else"}), 0)


def _doubtful(rule: int, error: Any, value: Any, root: Any, bad: set[Path]) -> bool:
    """Return whether the ``if`` of an error's rule reads a value that is wrong itself."""
    steps = list(error.absolute_schema_path)[:rule]
    schema: Any = root
    for step in steps:
        schema = schema[step]
    above = _instance(steps)
    for name in _read(schema["if"]):
        path = (*above, name)
        if any(one[: len(path)] == path for one in bad) or _at(value, path) is MISSING:
            return True
    return False


def _instance(steps: Sequence[str | int]) -> Path:
    """Return where in the value a schema path leads."""
    return tuple(
        step
        for at, step in enumerate(steps)
        if at and steps[at - 1] in {"properties", "prefixItems"}
    )


def _read(condition: Any) -> Iterator[str]:
    """Yield the names that an ``if`` reads."""
    yield from condition.get("required", ())
    yield from condition.get("properties", ())
    for branch in (*condition.get("anyOf", ()), *condition.get("allOf", ())):
        yield from _read(branch)


def _at(value: Any, path: Path) -> Any:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _unselected(schema: Mapping[str, Any], value: Any, bad: set[Path]) -> Iterator[Violation]:
    """Yield each entry of an ``x-select`` mapping that the chosen sibling does not name (T30)."""
    if not isinstance(value, dict):
        return
    for name, child in schema.get("properties", {}).items():
        if "x-select" not in child:
            continue
        selector = child["x-select"]
        entries = value.get(name)
        if not isinstance(entries, dict) or (selector,) in bad:
            continue
        selection = value.get(selector, schema["properties"][selector].get("default"))
        if selection is MISSING:
            continue
        for entry in entries:
            if entry != selection and entry in child["properties"]:
                default = "" if selector in value else " (its default)"
                message = f"{selector} is {selection}{default}: only {name}.{selection} is read"
                own = child["properties"].get(selection, {}).get("properties", {})
                inside = entries[entry] if isinstance(entries[entry], dict) else {}
                moves = selection not in entries and inside.keys() <= own.keys()
                hint = f"write {selector}: {entry}" + f", or {name}: {{{selection}: …}}" * moves
                path = (name, entry)
                yield Violation(
                    path=path, message=message, rule="not-read", hint=hint, key=True, about=()
                )


def _once(every: Iterable[Violation]) -> list[Violation]:
    """Return the violations in order, each mistake told once."""
    all_of_them = list(every)
    mistyped = {v.path for v in all_of_them if v.rule == "wrong-type"}
    once: dict[Any, Violation] = {}
    for v in sorted(all_of_them, key=lambda v: len(v.path)):
        if v.path not in mistyped or v.rule == "wrong-type":
            once.setdefault((v.about, v.message) if v.about is not None else v, v)
    lacking: dict[Path, list[Violation]] = {}
    for v in once.values():
        if v.rule == "missing-key":
            lacking.setdefault(v.path, []).append(v)
    result = [v for v in once.values() if v.rule != "missing-key"]
    for path, missing in lacking.items():
        names = tuple(name for v in missing for name in v.names)
        *first, last = (f"'{name}'" for name in names)
        message = f"needs {', '.join(first)} and {last}" if first else f"needs {last}"
        result.append(
            Violation(
                path=path, message=message, rule="missing-key", hint=missing[0].hint, names=names
            )
        )
    return sorted(result, key=lambda v: [str(step) for step in v.path])


def _explain(error: Any, root: Mapping[str, Any], value: Any) -> Iterator[Violation]:
    path = tuple(error.absolute_path)
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    text, about = _message(error, root)
    if error.validator == "additionalProperties":
        selection = value.get(schema.get("x-select", "")) if isinstance(value, dict) else None
        for name in error.instance:
            if name not in schema.get("properties", {}):
                yield unknown(schema, path, name, selection, error.instance)
    elif "propertyNames" in error.absolute_schema_path:
        name = str(error.instance)
        hint = str(schema.get("x-hint", ""))
        yield Violation(path=(*path, name), message=text, rule="bad-name", hint=hint, key=True)
    elif text:
        yield _own_words(error, root, text, about)
    elif error.validator == "required":
        for name in error.validator_value:
            if name not in error.instance:
                hint, names = _form(schema, name), (name,)
                yield Violation(
                    path=path, message=f"needs '{name}'", rule="missing-key", hint=hint, names=names
                )
    elif error.validator == "type":
        yield _wrong_type(path, error.instance, error.validator_value, schema)
    else:
        message, rule, hint = _wrong_value(error)
        yield Violation(path=path, message=message, rule=rule, hint=hint)


def _own_words(error: Any, root: Mapping[str, Any], text: str, about: Path | None) -> Violation:
    """Return what a schema's own message says; of several arguments, which one it is about."""
    path = tuple(error.absolute_path)
    if error.validator in _BOUNDS and "prefixItems" in error.absolute_schema_path:
        message, rule, _ = _wrong_value(error)
        short = error.schema.get("x-short", "") if error.validator == "minimum" else ""
        return Violation(
            path=path,
            message=message,
            rule=rule,
            hint=f"the {(about or path)[-1]} {text}",
            short=short,
        )
    place = _reader(error, root, path)
    bare = error.validator == "required" and "properties" not in error.schema
    required = error.validator_value if bare else ()
    names = tuple(name for name in required if name not in error.instance)
    return Violation(
        path=place, message=text, rule="bad-value", key=bool(_rule(error)), about=about, names=names
    )


def unknown(
    schema: Mapping[str, Any], path: Path, name: str, selection: object = None, beside: Any = None
) -> Violation:
    """Return the violation of a key that its mapping's schema does not have.

    `beside` is the mapping that contains it.
    """
    properties = schema.get("properties", {})
    ratio = hints.quotient(schema, name, beside)
    hint = (
        f"did you mean {ratio[0]}: {ratio[1]} ({name} / {schema['x-quotient'][name]['by']})?"
        if ratio
        else ""
    )
    alias = schema.get("x-called", {}).get(name)
    hint = f"they are called {alias}" if alias else hint
    hint = hint or schema.get("x-not", {}).get(name) or hints.unread(name, properties, selection)
    neighbour = alias or nearest(str(name), properties)
    hint = hint or (f"did you mean '{neighbour}'?" if neighbour else str(schema.get("x-hint", "")))
    names = (neighbour,) if neighbour else ()
    return Violation(
        path=(*path, name),
        message=f"unknown '{name}'",
        rule="unknown-key",
        hint=hint,
        key=True,
        names=names,
    )


def _form(schema: Mapping[str, Any], name: str) -> str:
    """Return how a missing key is written, where its schema says so."""
    hint = str(schema.get("properties", {}).get(name, {}).get("x-hint", ""))
    return hint if hint.startswith(f"write {name}:") else ""


def _reader(error: Any, root: Any, path: Path) -> Path:
    """Return the key that makes a rule ask for more, where what it asks for is not there."""
    rule = _rule(error)
    steps = list(error.absolute_schema_path)[:rule]
    if not rule or path != _instance(steps):
        return path
    schema: Any = root
    for step in steps:
        schema = schema[step]
    value = error.instance if isinstance(error.instance, dict) else {}
    return next(((*path, name) for name in _read(schema["if"]) if name in value), path)


def _message(error: Any, root: Any) -> tuple[str, Path | None]:
    """Return the nearest ``x-message`` around an error's schema, and what in the value it is about.

    A wrong type inside a plain parameter is said in our own words.
    """
    steps = list(error.absolute_schema_path)
    result: tuple[str, Path | None] = ("", None)
    about: list[str | int] = []
    schema: Any = root
    for at, step in enumerate(steps):
        if not isinstance(schema, dict | list) or (isinstance(schema, dict) and step not in schema):
            break
        schema = schema[step]
        if isinstance(schema, dict):
            schema = resolve(schema, root)  # jsonschema's paths go through a $ref without a step
        above = steps[at - 1] if at else None
        if above in {"properties", "prefixItems"}:
            about.append(step)
        elif step in {"items", "additionalProperties"}:
            about += list(error.absolute_path)[len(about) : len(about) + 1] or [step]
        if isinstance(schema, dict) and "x-message" in schema:
            result = (schema["x-message"], tuple(about))
    leaf = result[1] is not None and list(result[1]) == list(error.absolute_path)
    return ("", None) if error.validator == "type" and leaf else result


def _wrong_type(
    path: Path, value: Any, expected: str | list[str], schema: Mapping[str, Any]
) -> Violation:
    names = [expected] if isinstance(expected, str) else expected
    expectation = " or ".join(_TYPES[name] for name in names)
    own_hint = str(schema.get("x-hint", ""))
    whole = {"object", "array"} & set(names) and value is not None
    # Whoever wrote the schema knows its entries; that a text is one of them is but a guess.
    hint = (own_hint if whole else "") or hints.of_type(value, names, path) or own_hint
    if isinstance(value, float) and not math.isfinite(value):
        expectation, hint = "a finite number", ""
    if isinstance(value, str):
        actual = f"the text {as_yaml(value)}"
    else:
        actual = as_yaml(value) if isinstance(value, bool | int | float) else kind(value)
    message = f"must be {expectation}, not {actual}"
    return Violation(path=path, message=message, rule="wrong-type", hint=hint, types=tuple(names))


def _wrong_value(error: Any) -> tuple[str, str, str]:
    """Return message, rule and hint for a value of the right type."""
    value, limit, keyword = error.instance, error.validator_value, str(error.validator)
    if keyword in _BOUNDS:
        share = "Maximum" in keyword and limit == 1 and 1 < value < 100  # noqa: PLR2004
        hint = f"a share, not a percentage: write {value / 100:g}" if share else ""
        return f"must be {_BOUNDS[keyword]} {limit}, not {as_yaml(value)}", "out-of-range", hint
    if keyword == "enum":
        choices = listing((c if isinstance(c, str) else as_yaml(c) for c in limit), 20)
        texts = [choice for choice in limit if isinstance(choice, str)]
        otherwise = str(error.schema.get("x-hint", ""))
        hint = suggest(value, texts, otherwise) if isinstance(value, str) else otherwise
        return f"must be one of {choices}, not {as_yaml(value)}", "not-a-choice", hint
    if keyword.startswith("min"):
        if limit == 1:
            return "must not be empty", "empty-value", ""
        return f"needs {limit} entries, not {len(value)}", "too-few", ""
    count = len(value) if isinstance(value, list) else 0
    plain = {
        "const": f"must be {as_yaml(limit)}, not {as_yaml(value)}",
        "maxItems": f"takes at most {limit} entries, not {count}",
        "uniqueItems": "contains an entry twice",
        "pattern": f"{as_yaml(value)} does not match {limit}",
    }
    return plain.get(keyword, error.message), "bad-value", ""
