"""A tool's own parser, as data: ``python -m runner.worker.introspect [TOOL…]`` prints JSON.

Of a tool's main, only the code that builds its parser runs. Importing mlx_lm changes the process
(T25), so this needs its own process.
"""

import argparse
import ast
import importlib
import inspect
import sys
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from runner.catalog import load, packaged_tools
from runner.catalog.tools import Tool
from runner.system import printer
from runner.worker import guard
from runner.worker.parsing import command_of, parser_of

Json = dict[str, Any]

_ACTIONS = {
    "_StoreAction": "store",
    "_StoreTrueAction": "store_true",
    "_AppendAction": "append",
    "BooleanOptionalAction": "pair",
}
_CONFIG = "CONFIG_DEFAULTS"  # what mlx-lm calls a main's defaults, which a file replaces
_CLICK_TYPES = {
    "text": "str",
    "integer": "int",
    "float": "float",
    "choice": "str",
    "boolean": "bool",
}
# What reads a part of the file: that part ("" is the whole), where, called what there.
_READERS = (
    ("", "mlx_lm.tuner.datasets", "create_dataset", "config"),
    ("", "mlx_lm.tuner.datasets", "load_dataset", "args"),
    ("hf_dataset", "mlx_lm.tuner.datasets", "create_dataset", "config"),
    ("hf_dataset", "mlx_lm.tuner.datasets", "load_custom_hf_dataset", "ds"),
    ("lora_parameters", "mlx_lm.tuner.utils", "linear_to_lora_layers", "config"),
    ("lr_schedule", "mlx_lm.tuner.utils", "build_schedule", "schedule_config"),
)


def describe(tool: Tool) -> Json:
    """Return everything the installed release of a tool takes, or why it cannot be asked."""
    try:
        module = importlib.import_module(tool.main[0])
        flags = _options(tool)
    except (ImportError, LookupError) as error:
        return {"unavailable": f"{type(error).__name__}: {error}"}
    result: Json = {"flags": flags}
    config = defaults_of(module)
    if tool.config_flag is not None and config is not None:
        result["config"] = config
    if tool.loops:  # the parts of its file are read by mlx-lm's own functions
        result["reads"] = _reads()
        result["optimizers"] = _optimizers(module.CONFIG_DEFAULTS["optimizer_config"])
        result["schedules"] = _schedules()
    return result


def _options(tool: Tool) -> Json:
    command = command_of(tool)
    if command is not None:
        required = ["x" for one in command.params if one.required]
        defaults = command.make_context(command.name, required).params
        return {_name(one.opts): _click_option(one, defaults) for one in command.params}
    return options_of(parser_of(tool))


def options_of(source: argparse.ArgumentParser | Any) -> Json:
    """Return what a parser, or a click command, takes, by its flags."""
    if isinstance(source, argparse.ArgumentParser):
        return {
            _name(action.option_strings) or action.dest: _option(source, action)
            for action in source._actions  # noqa: SLF001  (argparse has no other way to ask)
            if action.dest not in {"help", "version"}
        }
    import click

    context = click.Context(source)
    own = [one for one in source.params if one.name]
    defaults = {one.name: _said(one.get_default(context)) for one in own}
    return {_name(one.opts): _click_option(one, defaults) for one in own}


def defaults_of(module: Any) -> Json | None:
    """Return the defaults that a configuration file replaces, as mlx-lm's mains keep them."""
    config = getattr(module, _CONFIG, None)
    return _plain(config) if isinstance(config, dict) else None


def _said(value: Any) -> Any:
    """Return a default of click's, None for its sign that there is none."""
    return None if type(value).__name__ == "Sentinel" else value


def _name(flags: Iterable[str]) -> str:
    """Return the first long flag, or the name of a word without one."""
    names = list(flags)
    return next((flag for flag in names if flag.startswith("--")), names[0] if names else "")


def _option(parser: argparse.ArgumentParser, action: argparse.Action) -> Json:
    kind = type(action).__name__
    default = action.default
    if isinstance(default, str):
        default = parser._get_value(action, default)  # noqa: SLF001  (as argparse does to it)
    return {
        "flags": list(action.option_strings),
        "dest": action.dest,
        "type": getattr(action.type, "__name__", "bool" if action.nargs == 0 else "str"),
        "default": _plain(default),
        "choices": _plain(action.choices),
        "nargs": action.nargs,
        "required": action.required,
        "help": _help(parser, action),
        "action": _ACTIONS.get(kind, kind) if action.option_strings else "positional",
    }


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str | None:
    """Return an option's help, with what it says of itself filled in."""
    if not action.help or action.help == argparse.SUPPRESS:
        return None
    try:
        return parser._get_formatter()._expand_help(action)  # noqa: SLF001  (as argparse prints it)
    except (KeyError, TypeError, ValueError):
        return action.help


def _click_option(option: Any, defaults: Mapping[str, Any]) -> Json:
    flag = getattr(option, "is_flag", False)
    action = "append" if option.multiple else "store"
    if flag:
        action = "pair" if option.secondary_opts else "store_true"
    positional = option.param_type_name == "argument"
    return {
        "flags": [] if positional else [*option.opts, *option.secondary_opts],
        "dest": option.name,
        "type": _CLICK_TYPES.get(option.type.name, option.type.name),
        "default": None if option.required else _plain(defaults[option.name]),
        "choices": _plain(getattr(option.type, "choices", None)),
        "nargs": {1: None, -1: "*"}.get(option.nargs, option.nargs),
        "required": option.required,
        "help": getattr(option, "help", None),
        "action": "positional" if positional else action,
    }


def _reads() -> Json:
    """Return which keys mlx-lm reads in each part of the file, by reading its source."""
    keys: Json = {}
    for part, module, function, variable in _READERS:
        source = inspect.getsource(getattr(importlib.import_module(module), function))
        keys.setdefault(part, {}).update(read_keys(source, variable))
    del keys["hf_dataset"]["mask_prompt"]  # overwritten by the file's own (T75)
    return keys


def read_keys(source: str, variable: str) -> Json:
    """Return the keys a function's source reads of a variable, each required or with a default."""
    keys: Json = {}
    for node in ast.walk(ast.parse(textwrap.dedent(source))):
        match node:
            case ast.Subscript(ast.Name(id=name), ast.Constant(value=str(key)), ast.Load()):
                if name == variable:
                    keys[key] = {"required": True, "default": None}
            case ast.Call(
                ast.Attribute(ast.Name(id=name), "get"), [ast.Constant(value=str(key)), *rest]
            ) | ast.Call(
                ast.Name("getattr"), [ast.Name(id=name), ast.Constant(value=str(key)), *rest]
            ):
                if name == variable:
                    default = ast.literal_eval(rest[0]) if rest else None
                    keys.setdefault(key, {"required": False, "default": default})
    return keys


def _optimizers(names: Iterable[str]) -> Json:
    """Return the arguments of each optimizer lora knows, without the learning rate it passes."""
    optimizers = importlib.import_module("mlx.optimizers")
    classes = {name.lower(): one for name, one in vars(optimizers).items() if inspect.isclass(one)}
    signatures = {name: _signature(classes[name]) for name in names}
    return {
        name: {key: default for key, default in arguments.items() if key != "learning_rate"}
        for name, arguments in signatures.items()
    }


def _schedules() -> Json:
    schedulers = importlib.import_module("mlx.optimizers.schedulers")
    return {
        name: _signature(one)
        for name, one in vars(schedulers).items()
        if inspect.isfunction(one) and one.__module__ == schedulers.__name__
    }


def _signature(function: Any) -> Json:
    return {
        name: {
            "required": parameter.default is parameter.empty,
            "default": None if parameter.default is parameter.empty else _plain(parameter.default),
        }
        for name, parameter in inspect.signature(function).parameters.items()
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(child) for key, child in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(child) for child in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def main(names: list[str]) -> int:
    """Print what the named tools take, or all tools of the catalogue."""
    more = packaged_tools.tools(packaged_tools.names())
    catalog = load.installed_catalog(more)
    guard.arm()
    tools: Json = {}
    for name in names or catalog.names:
        tool = catalog.get(name)
        tools[name] = describe(tool) if tool else {"unavailable": "not in the catalogue"}
    printer.show_json(tools, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
