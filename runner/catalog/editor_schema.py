"""The catalogue in, ``recipe.schema.json`` out: the schema that an editor uses for recipes.

Each parameter may have its type or be a template; ``tool:`` selects the parameters of a tool. A
stage without it, because it extends another stage, may have the parameters of any tool.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from runner.base.formatting import pretty_json
from runner.catalog.examples import examples
from runner.catalog.tools import Catalog, resolve

Json = dict[str, Any]
_TEMPLATE = {
    "type": "string",
    "pattern": r"\{\{|^(null)?$",
}  # an editor reads !reset as '' or 'null'
_OR_TEMPLATE = {"$ref": "#/definitions/template"}
_ANY = {"$ref": "#/definitions/any tool"}
_LARGE = 400  # bytes: what is larger stands once, where its tool has it
_MAX_DESCRIPTIONS = 3  # of how many tools a parameter of several is described
_KEYWORDS = (
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
        **stage["properties"]["tool"],
        "enum": list(tools),
        "enumDescriptions": [tool.description for tool in tools.values()],
    }
    _around(stage["properties"], catalog.trainer.schema)
    _fill_launch(stage["properties"]["launch"], catalog.launcher.schema)
    stage["allOf"] = [
        {
            "if": {"properties": {"tool": {"const": name}}, "required": ["tool"]},
            "then": {"properties": {"params": {"$ref": f"#/definitions/{name}"}}},
        }
        for name in tools
    ]
    stage |= {"if": {"required": ["tool"]}, "else": {"properties": {"params": _ANY}}}
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
    schema["patternProperties"] = {"^x-": {"description": "For anchors and other tools; ignored."}}
    overlay = schema["properties"]["profiles"]["additionalProperties"]["properties"]
    overlay |= {
        "defaults": {**defaults, **overlay["defaults"]},
        "stages": {**stages, **overlay["stages"]},
    }
    first = sorted(tools, key=lambda name: not tools[name].loops)  # most often extended
    duration = _plain(envelope["$defs"]["duration"])
    every = _any({name: params[name] for name in first})
    common = {"duration": duration, "template": _TEMPLATE, "stage": stage}
    return {**schema, "definitions": {**common, **params, "any tool": every}}


def _any(tools: Mapping[str, Json]) -> Json:
    """Return the parameters of all tools as those of one, for a stage whose tool is not said."""
    every: dict[str, dict[str, Json]] = {}
    for tool, params in tools.items():
        for name, schema in params["properties"].items():
            every.setdefault(name, {})[tool] = schema
    return {
        "type": "object",
        "description": "Parameters of the tool of the stage that this one extends.",
        "properties": {name: _shared(name, schema) for name, schema in every.items()},
        "additionalProperties": False,
    }


def _shared(name: str, tools: Mapping[str, Json]) -> Json:
    """Return what a parameter is in each of the tools that have it."""
    if len(tools) == 1:
        return {"$ref": f"#/definitions/{next(iter(tools))}/properties/{name}"}
    descriptions: dict[str, list[str]] = {}
    for tool, schema in tools.items():
        descriptions.setdefault(schema["description"], []).append(tool)
    lines = [f"{', '.join(names)}: {what}" for what, names in descriptions.items()]
    rest = [tool for names in [*descriptions.values()][_MAX_DESCRIPTIONS:] for tool in names]
    lines[_MAX_DESCRIPTIONS:] = [f"Also of {', '.join(rest)}."] if rest else []
    sample = _distinct(one for schema in tools.values() for one in schema.get("examples", ()))[:1]
    shapes = (shape for schema in tools.values() for shape in schema["anyOf"])
    bare = _distinct({key: one[key] for key in one if key != "default"} for one in shapes)
    if len(json.dumps(bare)) > _LARGE:
        bare = [{"$ref": f"#/definitions/{tool}/properties/{name}"} for tool in tools]
    return {"description": "\n\n".join(lines), "examples": sample, "anyOf": bare}


def _distinct(values: Iterable[Any]) -> list[Any]:
    """Return values without those that are there already; unlike ``==``, 1 is not true."""
    return list({json.dumps(value): value for value in values}.values())


def _around(keys: Json, trainer: Json) -> None:
    """Put what stands around a trainer, which is named by dotted places, into a stage's keys."""
    keys["keep"] = _parameter(trainer["properties"]["keep"], trainer)
    retention = keys["watch"]["properties"]["retention"]
    lead = "watch.retention."
    retention["additionalProperties"] = False
    retention["properties"] = {
        name.removeprefix(lead): _parameter(schema, trainer)
        for name, schema in trainer["properties"].items()
        if name.startswith(lead)
    }


def _fill_launch(launch: Json, launcher: Json) -> None:
    """Put the launcher's parameters into a stage's ``launch``; ``hosts: N`` is N ranks here."""
    launch["properties"] = _object(launcher, launcher)["properties"]
    launch["properties"]["hosts"]["anyOf"].append({"type": "integer", "minimum": 1})
    launch["additionalProperties"] = False


def _object(schema: Json, root: Json) -> Json:
    properties = {
        name: _parameter(child, root) for name, child in schema.get("properties", {}).items()
    }
    return {
        "type": "object",
        "description": schema.get("description", ""),
        "properties": properties,
        "additionalProperties": bool(schema.get("additionalProperties", True)),
    }


def _parameter(schema: Json, root: Json) -> Json:
    """Return a parameter as an editor sees it: its own type, or a template.

    The default is inside, so that an editor which fills a mapping in does not write them all.
    """
    full = resolve(schema, root)
    shape = {key: full[key] for key in (*_KEYWORDS, "default") if key in full}
    if "properties" in full:
        shape |= _object(full, root)
        shape.pop("description")
        shape["type"] = full.get("type", "object")
    if isinstance(full.get("items"), dict):
        item = _parameter(full["items"], root)
        shape["items"] = {key: item[key] for key in item if key not in ("description", "examples")}
    about = {"description": _description(full), "examples": examples(full, root)}
    about = {key: value for key, value in about.items() if value}
    if (
        shape.get("type") in ("string", ["string", "null"])
        and not {"enum", "pattern"} & shape.keys()
    ):
        shape.pop("minLength", None)  # a template is text, and what !reset writes is empty text
        return {**about, "anyOf": [shape]}
    reset = [{"type": "null"}] if shape.get("type") == "object" else []  # what !reset writes
    return {**about, "anyOf": [shape, _OR_TEMPLATE, *reset]}


def _description(schema: Json) -> str:
    """Return what an editor shows beside a parameter: what it does, and its default in words."""
    default = schema.get("default")
    text: str = schema.get("description", "")
    return f"{text} Default: {pretty_json(default)}." if default not in (None, {}, [], "") else text


def _plain(value: Any) -> Any:
    """Return a schema without our annotations, its references moved to ``definitions``."""
    if isinstance(value, dict):
        plain = {key: _plain(child) for key, child in value.items() if not key.startswith("x-")}
        if "x-template" not in value:
            return plain
        about = {key: plain.pop(key) for key in ("description", "examples") if key in plain}
        return {**about, "anyOf": [plain, _OR_TEMPLATE]}
    if isinstance(value, list):
        return [_plain(child) for child in value]
    return value.replace("#/$defs/", "#/definitions/") if isinstance(value, str) else value
