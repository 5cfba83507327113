"""A tool of the catalogue and the parser of the installed release in, their differences out."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from runner.base.values import same
from runner.catalog.tools import Parameter, Tool, complete, resolve

Json = dict[str, Any]

# How a parser must take what each emit kind says: its action, and how many words it takes.
_TAKES = {
    "value": ("store", (None,)),
    "fixed": ("store", (None,)),
    "json": ("store", (None,)),
    "switch": ("store_true", (0,)),
    "list": ("store", ("+", "*")),
    "repeat": ("append", (None,)),
    "pair": ("pair", (0, None)),
    "positional": ("positional", (None, "*")),
}
_TYPES = {
    "str": {"string", "array", "object"},
    "Path": {"string"},
    "int": {"integer", "array"},
    "float": {"number", "array"},
    "bool": {"boolean"},
    "str2bool": {"boolean"},
    "loads": {"object"},
    "_parse_size": {"integer", "string"},
}


class Drift(Struct, frozen=True, kw_only=True):
    """One thing the catalogue and the installed release do not say alike of a tool."""

    tool: str
    subject: str
    aspect: str
    ours: str
    theirs: str

    def __str__(self) -> str:
        return (
            f"{self.tool} {self.subject}: {self.aspect} {self.ours} in the catalogue, "
            f"{self.theirs} in the installed release"
        )


def compare(tool: Tool, introspection: Mapping[str, Any]) -> list[Drift]:
    """Return every difference between a tool and what runner.worker.introspect saw of it."""
    flags = {flag: option for option in introspection["flags"].values() for flag in option["flags"]}
    positionals = {
        option["dest"]: option for option in introspection["flags"].values() if not option["flags"]
    }
    differences: list[Drift] = []
    dests = set()
    for parameter in tool.parameters.values():
        if parameter.emit == "config":
            continue
        option = {**positionals, **flags}.get(str(parameter.flag))
        if option is None:
            differences.append(_only_ours(tool, parameter.name, str(parameter.flag)))
            continue
        dests.add(option["dest"])
        differences += _option(tool, parameter, option, introspection.get("config", {}))
    for name, option in introspection["flags"].items():
        if option["dest"] not in dests and name != tool.config_flag:
            differences.append(_only_theirs(tool, option["dest"], name))
    return [*differences, *_file(tool, introspection)] if "reads" in introspection else differences


def _only_ours(tool: Tool, subject: str, name: str) -> Drift:
    return Drift(tool=tool.name, subject=subject, aspect="there is", ours=name, theirs="none")


def _only_theirs(tool: Tool, subject: str, name: str) -> Drift:
    return Drift(tool=tool.name, subject=subject, aspect="there is", ours="none", theirs=name)


def _option(
    tool: Tool, parameter: Parameter, option: Json, config: Mapping[str, Any]
) -> Iterator[Drift]:
    """Yield what differs about one flag."""

    def differ(aspect: str, ours: Any, theirs: Any) -> Drift:
        return Drift(
            tool=tool.name,
            subject=parameter.name,
            aspect=aspect,
            ours=repr(ours),
            theirs=repr(theirs),
        )

    action, counts = _TAKES[parameter.emit]
    if option["action"] != action:
        yield differ("it travels as", action, option["action"])
    elif option["nargs"] not in counts:
        yield differ("its words number", counts[0], option["nargs"])
    if option["dest"] != parameter.schema["x-arg"].get("dest", parameter.name):
        yield differ("its name is", parameter.name, option["dest"])
    types = _types(parameter.schema) - {"null"}
    if types and not types & _TYPES.get(option["type"], types):
        yield differ("its type is", sorted(types), option["type"])
    yield from _choices(tool, parameter, option)
    off = [flag for flag in option["flags"] if flag.startswith("--no-")]
    if parameter.off is not None and parameter.off not in off:
        yield differ("it is turned off by", parameter.off, off)
    if option["required"]:
        if not _certain(tool, parameter.name):
            yield differ("it must be said:", False, True)
    else:
        effective = (
            option["default"] if option["default"] is not None else config.get(parameter.name)
        )
        if not same(parameter.default, effective):
            yield differ("its default is", parameter.default, effective)


def _choices(tool: Tool, parameter: Parameter, option: Json) -> Iterator[Drift]:
    """Yield the choices one side has alone; a parser that takes anything may be narrowed by us."""
    if option["choices"] is None:
        return
    ours = [choice for choice in parameter.schema.get("enum", ()) if choice is not None]
    for choice in ours:
        if choice not in option["choices"]:
            yield _only_ours(tool, parameter.name, f"the choice {choice!r}")
    for choice in option["choices"]:
        if choice not in ours:
            yield _only_theirs(tool, parameter.name, f"the choice {choice!r}")


def _certain(tool: Tool, name: str) -> bool:
    """Return whether a parameter has a value in every plan: the recipe's, or the runner's place."""
    places = {o.param for o in tool.outputs.values() if o.place and not o.when}
    return name in tool.schema.get("required", ()) or name in places


def _types(schema: Json) -> set[str]:
    types = schema.get("type", [])
    return {types} if isinstance(types, str) else set(types)


def _file(tool: Tool, introspection: Mapping[str, Any]) -> Iterator[Drift]:
    """Yield what differs about the configuration file: parameters without a flag, nested values."""
    config, reads = introspection["config"], introspection["reads"]
    own = {name: one for name, one in tool.parameters.items() if one.emit == "config"}
    declared = {name: {"required": False, "default": value} for name, value in config.items()}
    theirs = {**reads[""], **declared}
    file = str(tool.config_flag).lstrip("-")
    for name in theirs:
        if name not in tool.parameters and name != file:
            yield _only_theirs(tool, name, "a key of the file")
    for name, parameter in own.items():
        if name not in theirs:
            yield _only_ours(tool, name, "a key of the file")
            continue
        shape = resolve(parameter.schema, tool.schema)
        if "x-select" in shape:
            yield from _selection(tool, parameter, introspection)
        elif isinstance(theirs[name]["default"], dict):
            yield from _nested(tool, name, shape, _with_defaults(reads[name], config[name]))
        else:
            if not same(parameter.default, theirs[name]["default"] or None):
                ours, other = repr(parameter.default), repr(theirs[name]["default"])
                yield Drift(
                    tool=tool.name, subject=name, aspect="its default is", ours=ours, theirs=other
                )
            if name in reads:
                yield from _nested(tool, name, shape, reads[name])
    yield from _schedules(tool, introspection["schedules"])


def _with_defaults(keys: Json, defaults: Json) -> Json:
    """Return the keys a part of the file is read by, at the defaults that the whole part has."""
    options = {name: {"required": False, "default": value} for name, value in defaults.items()}
    return {**keys, **options}


def _selection(
    tool: Tool, parameter: Parameter, introspection: Mapping[str, Any]
) -> Iterator[Drift]:
    """Yield what differs about a mapping with an entry for each choice of a sibling."""
    ours = parameter.schema["properties"]
    for name in introspection["config"][parameter.name]:
        if name not in ours:
            yield _only_theirs(tool, parameter.name, f"an entry {name!r}")
    for name, shape in ours.items():
        if name not in introspection["optimizers"]:
            yield _only_ours(tool, parameter.name, f"an entry {name!r}")
        else:
            yield from _nested(
                tool, f"{parameter.name}.{name}", shape, introspection["optimizers"][name]
            )


def _nested(tool: Tool, above: str, shape: Json, theirs: Json) -> Iterator[Drift]:
    ours = shape["properties"]
    defaults = complete(shape, {}, tool.schema)
    for name in [*ours, *(name for name in theirs if name not in ours)]:
        subject = f"{above}.{name}"
        if name not in theirs:
            yield _only_ours(tool, subject, "a key")
        elif name not in ours:
            yield _only_theirs(tool, subject, "a key")
        elif theirs[name]["required"]:
            if name not in shape.get("required", ()):
                yield Drift(
                    tool=tool.name,
                    subject=subject,
                    aspect="it must be said:",
                    ours="False",
                    theirs="True",
                )
        elif not same(defaults.get(name), theirs[name]["default"]):
            default = repr(theirs[name]["default"])
            yield Drift(
                tool=tool.name,
                subject=subject,
                aspect="its default is",
                ours=repr(defaults.get(name)),
                theirs=default,
            )


def _schedules(tool: Tool, theirs: Json) -> Iterator[Drift]:
    """Yield what differs about the schedules: which there are, and their arguments in order."""
    for parameter in tool.parameters.values():
        name = parameter.schema.get("properties", {}).get("name", {})
        if "x-left-out" not in name:
            continue
        for schedule in theirs:
            if schedule not in {*name["enum"], *name["x-left-out"]}:
                yield _only_theirs(tool, parameter.name, f"the schedule {schedule!r}")
        for schedule in name["enum"]:
            ours = _arguments(parameter.schema, schedule)
            if schedule not in theirs:
                yield _only_ours(tool, parameter.name, f"the schedule {schedule!r}")
            elif not same(ours, theirs[schedule]) or list(ours) != list(theirs[schedule]):
                subject = f"{parameter.name} {schedule}"
                signature = _argument_list(theirs[schedule])
                yield Drift(
                    tool=tool.name,
                    subject=subject,
                    aspect="its arguments are",
                    ours=_argument_list(ours),
                    theirs=signature,
                )


def _arguments(schema: Json, schedule: str) -> Json:
    """Return a schedule's arguments as the catalogue has them, like a function's signature."""
    for rule in schema["allOf"]:
        if rule["if"]["properties"]["name"]["const"] == schedule:
            arguments = rule["then"]["properties"]["arguments"]
            least = arguments.get("minItems", schema["properties"]["arguments"]["minItems"])
            return {
                place["title"]: {"required": at < least, "default": place.get("default")}
                for at, place in enumerate(arguments["prefixItems"])
            }
    return {}


def _argument_list(arguments: Json) -> str:
    words = [
        name if argument["required"] else f"{name}={argument['default']}"
        for name, argument in arguments.items()
    ]
    return f"({', '.join(words)})"
