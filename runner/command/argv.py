"""A stage in, a command out: the only place that writes arguments for mlx_lm.

A parameter with a flag becomes ``--flag=value``, even at its default (T21b: the ``=`` keeps a value
that starts with '-'). One without a flag goes into the ``-c`` file. A switch that is off is written
there as ``false`` if mlx-lm reads it from the file (T01), and omitted if not. Positional arguments
come last, after ``--``, so that one may start with '-'.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from runner.base.constants import RUN_DIR
from runner.base.formatting import encode, pretty_json
from runner.catalog.tools import Catalog, Parameter, Tool
from runner.plan.model import Stage
from runner.plan.pins import with_folders


class Invocation(Struct, frozen=True, kw_only=True):
    """A command: its own words, then one tuple per option, and the text of its configuration."""

    command: tuple[str, ...]
    options: tuple[tuple[str, ...], ...]
    config: str | None
    config_path: str | None

    @property
    def arguments(self) -> tuple[str, ...]:
        """The arguments after the command."""
        return tuple(word for option in self.options for word in option)

    @property
    def argv(self) -> tuple[str, ...]:
        """All arguments, including the command."""
        return (*self.command, *self.arguments)


def invoke(stage: Stage, tool: Tool) -> Invocation:
    """Return the command that gives `tool` exactly the parameters of `stage`.

    A pinned name of the hub is the variable that the script sets before.
    """
    stage = with_folders(stage, tool)
    config: dict[str, Any] = {}
    options: list[tuple[str, ...]] = []
    bare: list[str] = []
    for parameter in tool.parameters.values():
        value = stage.params[parameter.name]
        if _in_config(parameter, value, tool):
            config[parameter.name] = value
        elif parameter.emit == "positional":
            bare += _bare(value)
        else:
            options += _words(parameter, value)
    if bare:
        options.append(("--", *bare))
    if tool.config_flag is None:
        return Invocation(
            command=tool.command, options=tuple(options), config=None, config_path=None
        )
    path = f"{RUN_DIR}/{stage.name}/config.json"
    options.insert(0, (f"{tool.config_flag}={path}",))
    return Invocation(
        command=tool.command, options=tuple(options), config=config_text(config), config_path=path
    )


def command(stage: Stage, catalog: Catalog) -> Invocation:
    """Return the whole command of a stage: its launcher, its trainer options, and its tool.

    The script, JSON, a run's record and its process all use these arguments. Raises KeyError for a
    tool of another catalogue.
    """
    tool = catalog.get(stage.tool)
    if tool is None:
        raise KeyError(stage.tool)
    training = wrap(invoke(stage, tool), stage.trainer, catalog.trainer)
    return wrap(training, stage.launch, catalog.launcher)


def wrap(invocation: Invocation, params: Mapping[str, Any], starter: Tool) -> Invocation:
    """Return the command as another one starts it, or unchanged if the stage does not use one.

    mlx.launch consumes any flag it knows, so ``--`` always precedes the program (T96).
    """
    if not params:
        return invocation
    program = ("--", *invocation.command)
    words = (*options(starter, params), program, *invocation.options)
    return replace(invocation, command=starter.command, options=words)


def options(tool: Tool, params: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the options of a tool that has no configuration file, in the catalogue's order."""
    for name, parameter in tool.parameters.items():
        if name in params:
            yield from _words(parameter, params[name])


def config_text(config: dict[str, Any]) -> str:
    """Return a configuration file that mlx-lm's YAML loader reads back exactly."""
    return _mapping(config) + "\n"


def _mapping(config: dict[str, Any]) -> str:
    """Return a mapping as JSON, each key on its own line: it is read in reviews."""
    rows = [f"  {json.dumps(key)}: {pretty_json(value, 2)}" for key, value in config.items()]
    return "{\n" + ",\n".join(rows) + "\n}"


def _in_config(parameter: Parameter, value: Any, tool: Tool) -> bool:
    if parameter.emit == "config":
        return True
    off = parameter.emit == "switch" and value is False
    return off and tool.config_flag is not None and parameter.in_config


def _words(parameter: Parameter, value: Any) -> Iterator[tuple[str, ...]]:
    """Yield the options that carry one value; null is what no option means.

    What is fixed has the one value that it has without a word.
    """
    flag = parameter.flag
    if value is None or flag is None or parameter.emit == "fixed":
        return
    match parameter.emit:
        case "switch":
            if value:
                yield (flag,)
        case "pair":
            yield (flag if value else str(parameter.off),)
        case "repeat":
            pairs = value.items() if isinstance(value, dict) else ()
            for item in [f"{name}={child}" for name, child in pairs] or value:
                yield (f"{flag}={word(item)}",)
        case "joined":
            yield (f"{flag}={','.join(map(word, value))}",)
        case "list":
            yield from _list(flag, [word(item) for item in value])
        case _ if parameter.apart:
            yield (flag, word(value))
        case _:
            yield (f"{flag}={word(value)}",)


def _bare(value: Any) -> list[str]:
    """Return the words of a value that has no flag; null is none, and stands last."""
    if value is None:
        return []
    return [word(item) for item in value] if isinstance(value, list) else [word(value)]


def _list(flag: str, items: list[str]) -> Iterator[tuple[str, ...]]:
    """Yield a flag that takes several words; alone, a word may start with '-' (T21b)."""
    if len(items) == 1:
        yield (f"{flag}={items[0]}",)
    elif items:
        yield (flag, *items)


def word(value: Any) -> str:
    """Return a value as one argument of a command."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return encode(value)
    return repr(value) if isinstance(value, float) else str(value)
