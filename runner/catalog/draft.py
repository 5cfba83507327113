"""The description of a program's parser in, a draft of its tool file and its gaps out."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from runner.base.problems import listing
from runner.catalog.tools import Tool

Json = dict[str, Any]
_TYPES = {
    "str": "string",
    "Path": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "str2bool": "boolean",
    "loads": "object",
}
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_FLAG = re.compile(r"--[A-Za-z][A-Za-z0-9_-]*\Z")
_EMITS = {"store_true": "switch", "append": "repeat", "pair": "pair", "positional": "positional"}
ASK = (
    "outputs: which parameters name what the tool makes; remove those with a place from 'required'",
    "x-input: which parameters name a model, data, an adapter or a file that the tool reads",
    "metrics and report: the JSON file with the tool's figures, if it writes one",
)


_OWN = frozenset({"type", "default", "enum", "x-arg"})
"""What a program's own parser says of a parameter."""
_ALIKE = 10
"""Tools that share so many parameters mean the same by them, as trainers after mlx-lm's do."""


def draft(program: Mapping[str, Any], known: Iterable[Tool] = ()) -> tuple[Json, list[str]]:
    """Return the file of a tool, and what a person has to look at.

    `program` is its `name`, `description`, `command`, `main`, `distribution` and `release` (None
    where it has none), its `flags` as runner.worker.introspect describes them, and the `config`
    that its file replaces, None if it has no such file. Of the tools that are `known`, one that
    shares many parameters describes these.
    """
    gaps: list[str] = []
    properties: Json = {}
    required: list[str] = []
    config = program["config"]
    file_flag = _file_flag(program["flags"]) if config is not None else None
    for flag, option in program["flags"].items():
        if flag == file_flag:
            continue
        name = _name(option["dest"], flag)
        why = _unsayable(name, option)
        if why:
            gaps.append(f"{flag}: {why}")
            continue
        properties[name] = _parameter(name, flag, option, config or {}, gaps)
        if "default" not in properties[name]:
            required.append(name)
    for name in config or ():
        if name not in properties and name != "config" and _NAME.match(name):
            properties[name] = _of_file(name, config[name], gaps)
    head = {
        "command": [*program["command"]],
        **({"main": program["main"]} if program["main"] else {}),
        **({"distribution": program["distribution"]} if program["distribution"] else {}),
        **({"release": program["release"]} if _is_release(program["release"]) else {}),
        **({"config": file_flag} if file_flag else {}),
        **_file_aliases(program["flags"], file_flag),
        "outputs": {},
        "metrics": [],
    }
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": program["name"],
        "description": _sentence(program["description"]) or f"Runs {program['name']}.",
        "x-tool": head,
        "type": "object",
        "additionalProperties": False,
        **({"required": required} if required else {}),
        "properties": properties,
    }
    like = max(known, key=lambda tool: len(_common(schema, tool)), default=None)
    if like is not None and len(_common(schema, like)) >= _ALIKE:
        names = _common(schema, like)
        gaps = [one for one in gaps if _name("", one.partition(":")[0]) not in names]
        gaps.append(_borrow(schema, like))
    return schema, [*gaps, *ASK]


def _common(schema: Json, tool: Tool) -> list[str]:
    """Return the parameters that travel in the same way in a tool that is known."""
    mine = schema["properties"]
    if tool.name == schema["title"]:
        return []
    return [
        name
        for name, one in tool.parameters.items()
        if name in mine and mine[name]["x-arg"].get("flag") == one.flag
    ]


def _borrow(schema: Json, like: Tool) -> str:
    """Describe what a known tool has, too, as it does; return what to look at."""
    names, head, own = _common(schema, like), schema["x-tool"], schema["properties"]
    for name in names:
        own[name] = _described(own[name], like.parameters[name].schema, own)
    trains = like.schema["x-tool"].get("trains", {})
    found = {key: name for key, name in trains.items() if key == "when" or name in names}
    if "iterations" in found:
        head["trains"] = found
    for name, output in like.outputs.items():
        entry = like.schema["x-tool"]["outputs"][name]
        param = output.param or str(output.path).partition("{")[2].partition("}")[0]
        if param in names and {*output.when} <= {*names}:
            whole = all(place.partition(".")[0] in own for place in output.shape.values())
            head["outputs"][name] = {k: v for k, v in entry.items() if k != "shape" or whole}
            required = [one for one in schema.get("required", ()) if one != output.param]
            schema.pop("required", None)
            schema.update({"required": required} if required else {})
    must = [name for name in like.schema.get("required", ()) if name in names]
    if must:
        schema["required"] = [*dict.fromkeys([*schema.get("required", ()), *must])]
    return f"described as in {like.name}; check that they mean the same: {listing(names, 40)}"


def _described(own: Json, theirs: Json, beside: Json) -> Json:
    """Return a parameter as its own parser has it, and as another tool's file describes it."""
    inner = own.get("default") if isinstance(own.get("default"), dict) else None
    taken: Json = {}
    for key, value in theirs.items():
        named = (
            {value}
            if key in {"x-gives-way", "x-select"}
            else set(value.get("when", ()))
            if (isinstance(value, dict) and key.startswith("x-"))
            else set()
        )
        if key in _OWN:
            taken |= {key: own[key]} if key in own else {}
        elif named <= beside.keys() and key not in {"x-since", "x-default-before", "x-whole"}:
            taken[key] = value
    if inner is not None and "properties" in taken:
        taken["default"] = {}
        taken["properties"] = {
            name: {
                **child,
                **({"default": inner[name]} if not isinstance(inner[name], dict) else {}),
            }
            for name, child in taken["properties"].items()
            if name in inner
        }
    travel = taken.pop("x-arg")
    return {
        **taken,
        **{key: one for key, one in own.items() if key not in {*theirs}},
        "x-arg": travel,
    }


def _is_release(text: str | None) -> bool:
    return bool(text and re.fullmatch(r"\d+([.]\d+)*", text))


def _file_aliases(flags: Mapping[str, Any], flag: str | None) -> Json:
    others = [one for one in flags[flag]["flags"] if one != flag] if flag else []
    return {"config_aliases": others} if others else {}


def _file_flag(flags: Mapping[str, Any]) -> str | None:
    return next((flag for flag, one in flags.items() if one["dest"] == "config"), None)


def _name(dest: str, flag: str) -> str:
    return re.sub(r"\W", "_", dest or flag.lstrip("-")).lower()


def _unsayable(name: str, option: Mapping[str, Any]) -> str:
    """Return why a recipe cannot say an option, '' if it can."""
    action = option["action"]
    if not _NAME.match(name):
        return f"'{name}' is not a valid parameter name"
    if action not in {"store", *_EMITS}:
        return f"run-recipe cannot pass this kind of option ({action})"
    if action != "positional" and not any(map(_FLAG.match, option["flags"])):
        return "its only flag has one letter: add it by hand if no value begins with '-'"
    return ""


def _parameter(
    name: str, flag: str, option: Mapping[str, Any], config: Mapping[str, Any], gaps: list[str]
) -> Json:
    action, several = option["action"], option["nargs"] not in {None, 0, "?"}
    emit = _EMITS.get(action, "list" if several else "value")
    kind = _TYPES.get(option["type"])
    if kind is None:
        gaps.append(f"{flag}: its type is {option['type']}, so it is described as text")
        kind = "string"
    default = option["default"]
    default = config.get(name) if default is None else default
    several = several or isinstance(default, list)
    emit = "json" if kind == "object" else emit
    text = _sentence(option.get("help"))
    if not text:
        gaps.append(f"{flag}: it has no help: describe what it does")
        text = f"Its own {flag}."
    items = several or emit == "repeat"
    types: Any = "array" if items else kind
    if default is None and not option["required"]:
        types = [types, "null"]
    schema: Json = {"type": types, "description": text}
    if not option["required"] and not (action == "positional" and option["nargs"] is None):
        schema["default"] = _default(default, emit)
    choices = option["choices"]
    if choices:
        schema["enum" if not items else "items"] = (
            [*choices, *([None] if default is None and "default" in schema else [])]
            if not items
            else {"type": kind, "enum": [*choices]}
        )
    elif items:
        schema["items"] = {"type": _kind(default, kind)}
    schema["x-arg"] = _travel(emit, option)
    return schema


def _kind(default: Any, kind: str) -> str:
    """Return the type of the entries of a list, which its default may show."""
    kinds = {type(one) for one in default} if isinstance(default, list) else set()
    return _TYPES.get(kinds.pop().__name__, kind) if len(kinds) == 1 else kind


def _default(value: Any, emit: str) -> Any:
    return False if emit in {"switch", "pair"} and value is None else value


def _travel(emit: str, option: Mapping[str, Any]) -> Json:
    if emit == "positional":
        return {"emit": emit, "flag": option["dest"]}
    flags: Sequence[str] = [one for one in option["flags"] if _FLAG.match(one)]
    flag = next((one for one in flags if not one.startswith("--no-")), flags[0])
    off = next((one for one in flags if one.startswith("--no-")), None)
    travel: Json = {"emit": emit, "flag": flag}
    if emit == "pair" and off:
        travel["off"] = off
    others = [one for one in option["flags"] if one not in {flag, off}]
    if others:
        travel["aliases"] = others
    if option["dest"] != flag.lstrip("-").replace("-", "_"):
        travel["dest"] = option["dest"]
    return travel


def _of_file(name: str, default: Any, gaps: list[str]) -> Json:
    """Return a parameter that only the configuration file has."""
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string"}
    kind = kinds.get(type(default), "object" if isinstance(default, dict) else "array")
    gaps.append(f"{name}: it exists only in the file: describe what it does, and its values")
    types: Any = ["object", "null"] if default is None else kind
    more: Json = {"items": {}} if kind == "array" and default is not None else {}
    return {
        "type": types,
        "description": f"The file's own {name}.",
        "default": default,
        **more,
        "x-arg": {"emit": "config"},
    }


def _sentence(text: str | None) -> str:
    """Return a help text as one sentence, '' for none."""
    words = " ".join((text or "").split())
    if len(words) < 2:  # noqa: PLR2004
        return ""
    whole = words if words.endswith(".") else f"{words}."
    return whole[0].upper() + whole[1:] if whole[0].isalpha() else f"It says: {whole}"


def lines(gaps: Sequence[str]) -> Iterator[str]:
    """Yield what is left to a person, a line each."""
    yield "what the parser does not say, for you to fill in:"
    yield from (f"  {one}" for one in gaps)
