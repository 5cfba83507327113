"""A parameter's schema in, example values out: its own, or derived from the schema."""

from collections.abc import Mapping
from typing import Any

from runner.base.patterns import pattern
from runner.catalog.tools import resolve
from runner.recipe.yaml import parse

Json = dict[str, Any]
_INPUTS = {
    "model": "{{ vars.base_model }}",
    "data": "data",
    "adapter": "{{ stages.train.adapter_path }}",
    "prompts": "prompts.jsonl",
}
_HINT = pattern(r"write \w+: (.+)")
_EMPTY: tuple[Any, ...] = (None, {}, [], "")


def examples(schema: Json, root: Json) -> list[Any]:
    """Return values to show for a parameter; none where only a person could think of one."""
    full = resolve(schema, root)
    if "examples" in full:
        return list(full["examples"])
    hint = _HINT.fullmatch(full.get("x-hint", ""))
    example = parse(hint.group(1), "").root if hint else None
    if example is not None:
        return [example.plain()]
    kind = full.get("x-input", {}).get("kind")
    return [_INPUTS[kind]] if kind in _INPUTS else _derive(full, root)


def _derive(schema: Json, root: Json) -> list[Any]:
    """Return a value that the schema allows: another choice than the default where it has some."""
    default = schema.get("default")
    if "const" in schema:
        return [schema["const"]]
    if "enum" in schema:
        return [one for one in schema["enum"] if one not in (None, default)][:1] or [default]
    if "boolean" in kinds(schema):
        return [default is not True]
    if default not in _EMPTY:
        return [default]
    if "properties" in schema:
        return _inside(schema, root)
    return [_least(schema)] if {"integer", "number"} & {*kinds(schema)} else []


def _inside(schema: Json, root: Json) -> list[Any]:
    """Return a mapping with what it needs, or else with the first of its entries."""
    names = schema.get("required") or list(schema["properties"])[:1]
    members = {name: examples(schema["properties"][name], root)[:1] for name in names}
    return (
        [{name: choices[0] for name, choices in members.items()}] if all(members.values()) else []
    )


def _least(schema: Mapping[str, Any]) -> float:
    """Return the least number that is not nothing, within the bounds."""
    least = max(schema.get("minimum", 1), schema.get("exclusiveMinimum", 0))
    most = schema.get("maximum", schema.get("exclusiveMaximum"))
    number = least or 1
    return most / 2 if most is not None and number >= most else number


def kinds(schema: Mapping[str, Any]) -> list[str]:
    """Return the types a schema allows."""
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else list(types)
