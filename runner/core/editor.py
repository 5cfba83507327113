"""The catalogue in, ``recipe.schema.json`` out: what an editor uses on a recipe's source.

Each parameter may be its type or a template; a tool's parameters are chosen by ``tool:``.
"""

import re
from typing import Any

from runner.core.catalog import Catalog
from runner.core.document import parse
from runner.core.invocation import laid_out

Json = dict[str, Any]
_TEMPLATE = {
    "type": "string",
    "pattern": r"\{\{|^(null)?$",
}  # an editor reads !reset as '' or 'null'
_EXAMPLES = {
    "model": ["{{ vars.base_model }}"],
    "data": ["data", "{{ stages.mix.data }}"],
    "adapter": ["{{ stages.train.adapter_path }}"],
    "file": ["{{ stages.train.adapter_file }}"],
}
_HINT = re.compile(r"write \w+: (.+)")
_KEPT = (
    "type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "minLength", "minItems", "maxItems", "uniqueItems", "pattern",
)  # fmt: skip


def recipe_schema(envelope: Json, catalog: Catalog) -> Json:
    """Return the schema of a recipe's source, self-contained, in JSON Schema draft 7.

    Editors' YAML language servers know draft 7 best; nothing here needs a later one.
    """
    tools = {name: tool for name in catalog.names if (tool := catalog.get(name))}
    params = {name: _object(tool.schema, tool.schema) for name, tool in tools.items()}
    stage = _plain(envelope["$defs"]["stage"])
    stage.pop("required")  # a stage may inherit its tool
    stage["properties"]["tool"] = {
        "description": stage["properties"]["tool"]["description"],
        "enum": list(tools),
        "enumDescriptions": [tool.description for tool in tools.values()],
    }
    _around(stage["properties"], catalog.trainer.schema)
    stage["allOf"] = [
        {
            "if": {"properties": {"tool": {"const": name}}, "required": ["tool"]},
            "then": {"properties": {"params": {"$ref": f"#/definitions/{name}"}}},
        }
        for name in tools
    ]
    schema = _plain({key: value for key, value in envelope.items() if key != "$defs"})
    schema["$schema"] = "http://json-schema.org/draft-07/schema#"
    schema.pop("required")  # a base may have no stages, a child no version
    defaults = {
        **schema["properties"]["defaults"],
        "properties": {name: {"$ref": f"#/definitions/{name}"} for name in tools},
        "additionalProperties": False,
    }
    stages = {
        **schema["properties"]["stages"],
        "additionalProperties": {"$ref": "#/definitions/stage"},
    }
    schema["properties"] |= {"defaults": defaults, "stages": stages}
    overlay = schema["properties"]["profiles"]["additionalProperties"]["properties"]
    overlay |= {"defaults": defaults, "stages": stages}
    duration = _plain(envelope["$defs"]["duration"])
    return {**schema, "definitions": {"duration": duration, "stage": stage, **params}}


def _around(keys: Json, trainer: Json) -> None:
    """Put what stands around a trainer, which is named by dotted places, into a stage's keys."""
    keys["keep"] = _parameter(trainer["properties"]["keep"], trainer)
    retention = keys["watch"]["properties"]["retention"]
    lead = "watch.retention."
    retention["additionalProperties"] = False
    retention["properties"] = {
        name.removeprefix(lead): _parameter(said, trainer)
        for name, said in trainer["properties"].items()
        if name.startswith(lead)
    }


def _object(schema: Json, root: Json) -> Json:
    properties = {
        name: _parameter(said, root) for name, said in schema.get("properties", {}).items()
    }
    return {
        "type": "object",
        "description": schema.get("description", ""),
        "properties": properties,
        "additionalProperties": bool(schema.get("additionalProperties", True)),
    }


def _parameter(schema: Json, root: Json) -> Json:
    """Return a parameter as an editor sees it: its own type, or a template."""
    said = {**_referred(schema, root), **schema}
    shape = {key: said[key] for key in _KEPT if key in said}
    if "properties" in said:
        shape |= _object(said, root)
        shape.pop("description")
        shape["type"] = said.get("type", "object")
    if isinstance(said.get("items"), dict):
        shape["items"] = _parameter(said["items"], root)
        shape["items"].pop("description", None)
    known: Json = {key: said[key] for key in ("description", "default") if key in said}
    known |= _told(said)
    if (
        shape.get("type") in ("string", ["string", "null"])
        and not {"enum", "pattern"} & shape.keys()
    ):
        return {**known, **shape}
    reset = [{"type": "null"}] if shape.get("type") == "object" else []  # what !reset writes
    return {**known, "anyOf": [shape, _TEMPLATE, *reset]}


def _told(said: Json) -> Json:
    """Return what an editor shows beside a parameter: its default in words, and examples."""
    told: Json = {}
    default = said.get("default")
    if default not in (None, {}, [], "") and "description" in said:
        told["description"] = f"{said['description']} Default: {laid_out(default)}."
    hint = _HINT.fullmatch(said.get("x-hint", ""))
    root = parse(hint.group(1), "").root if hint else None
    examples = [root.plain()] if root else _EXAMPLES.get(said.get("x-input", {}).get("kind", ""))
    return {**told, "examples": examples} if examples else told


def _referred(schema: Json, root: Json) -> Json:
    found: Any = root if "$ref" in schema else {}
    for word in schema.get("$ref", "").removeprefix("#/").split("/") if found else ():
        found = found[word]
    return dict(found)


def _plain(value: Any) -> Any:
    """Return a schema without our annotations, its references moved to ``definitions``."""
    if isinstance(value, dict):
        plain = {key: _plain(child) for key, child in value.items() if not key.startswith("x-")}
        if "x-template" not in value:
            return plain
        about = {"description": plain.pop("description")}
        return {**about, "anyOf": [plain, _TEMPLATE]}
    if isinstance(value, list):
        return [_plain(child) for child in value]
    return value.replace("#/$defs/", "#/definitions/") if isinstance(value, str) else value
