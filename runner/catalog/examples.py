"""A parameter's schema in, values to write for it out: its own, or made of what the schema says."""

import re
from collections.abc import Mapping
from typing import Any

from runner.catalog.tools import resolve
from runner.recipe.yaml import parse

Json = dict[str, Any]
_INPUTS = {
    "model": "{{ vars.base_model }}",
    "data": "data",
    "adapter": "{{ stages.train.adapter_path }}",
    "prompts": "prompts.jsonl",
}
_HINT = re.compile(r"write \w+: (.+)")
_EMPTY: tuple[Any, ...] = (None, {}, [], "")


def examples(schema: Json, root: Json) -> list[Any]:
    """Return values to show for a parameter; none where only a person could think of one."""
    said = resolve(schema, root)
    if "examples" in said:
        return list(said["examples"])
    hint = _HINT.fullmatch(said.get("x-hint", ""))
    shown = parse(hint.group(1), "").root if hint else None
    if shown is not None:
        return [shown.plain()]
    kind = said.get("x-input", {}).get("kind")
    return [_INPUTS[kind]] if kind in _INPUTS else _derived(said, root)


def _derived(said: Json, root: Json) -> list[Any]:
    """Return a value that the schema allows: another choice than the default where it has some."""
    default = said.get("default")
    if "const" in said:
        return [said["const"]]
    if "enum" in said:
        return [one for one in said["enum"] if one not in (None, default)][:1] or [default]
    if "boolean" in kinds(said):
        return [default is not True]
    if default not in _EMPTY:
        return [default]
    if "properties" in said:
        return _inside(said, root)
    return [_least(said)] if {"integer", "number"} & {*kinds(said)} else []


def _inside(said: Json, root: Json) -> list[Any]:
    """Return a mapping with what it needs, or else with the first of its entries."""
    names = said.get("required") or list(said["properties"])[:1]
    made = {name: examples(said["properties"][name], root)[:1] for name in names}
    return [{name: found[0] for name, found in made.items()}] if all(made.values()) else []


def _least(said: Mapping[str, Any]) -> float:
    """Return the least number that is not nothing, within the bounds."""
    least = max(said.get("minimum", 1), said.get("exclusiveMinimum", 0))
    most = said.get("maximum", said.get("exclusiveMaximum"))
    number = least or 1
    return most / 2 if most is not None and number >= most else number


def kinds(said: Mapping[str, Any]) -> list[str]:
    """Return the types a schema allows."""
    found = said.get("type", [])
    return [found] if isinstance(found, str) else list(found)
