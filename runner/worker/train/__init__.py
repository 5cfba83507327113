"""Trains like mlx_lm.lora, and chooses the weights: ``run-recipe train [OPTION…] -- COMMAND…``.

The command's own main runs in this process with its own arguments, unchanged.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from runner.base.errors import ToolError, TrainingError
from runner.catalog import load
from runner.catalog.validate import dotted
from runner.plan.train_options import full, line, refusals
from runner.system import printer
from runner.worker.train.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runner.catalog.tools import Parameter, Tool

_TYPES = {"integer": int, "number": float}


def parser() -> argparse.ArgumentParser:
    """Describe the command line, as schema/train.json does."""
    trainer = load.catalog().trainer
    result = argparse.ArgumentParser(
        prog=" ".join(trainer.command),
        description=trainer.description,
        usage="%(prog)s [OPTION …] -- mlx_lm.lora …",
        allow_abbrev=False,
    )
    for parameter in trainer.parameters.values():
        _add(result, parameter)
    result.add_argument("command", nargs=argparse.REMAINDER, help="the training command")
    return result


def read_words(words: Sequence[str] | None) -> tuple[dict[str, Any], list[str]]:
    """Return what the words say by the recipe's own names, and the command behind them.

    Raises ToolError for a value out of its bounds.
    """
    trainer = load.catalog().trainer
    options = vars(parser().parse_args(words))
    command = options.pop("command")
    for one in refusals(options, trainer):
        raise ToolError(f"{dotted(one.path)} {one.message}")
    return full(options, trainer), command[1:] if command[:1] == ["--"] else command


def tool_of(command: Sequence[str]) -> tuple[Tool, list[str]]:
    """Return the tool of a command, and its words. Raises ToolError for one that trains nothing."""
    for name in load.catalog().names:
        tool = load.catalog().get(name)
        if tool is not None and tool.loops:
            count = len(tool.command)
            if tuple(command[:count]) == tool.command:
                return tool, list(command[count:])
    raise ToolError(
        f"'{' '.join(command[:2])}' does not train: write -- mlx_lm.lora and its options"
    )


def main(words: Sequence[str] | None = None) -> None:
    """Train with what the command line names."""
    try:
        options, command = read_words(words)
        tool, rest = tool_of(command)
        module = importlib.import_module(tool.main[0])
        if options:
            Loop(options, _print, lambda _: None).install(module)
        sys.argv = [" ".join(tool.command), *rest]
        getattr(module, tool.main[1])()
    except (TrainingError, ToolError) as error:
        _fail(error)


def _add(parser: argparse.ArgumentParser, parameter: Parameter) -> None:
    schema = parameter.schema
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    parser.add_argument(
        str(parameter.flag),
        dest=parameter.name,
        type=_TYPES.get(kinds[0], str),
        choices=schema.get("enum"),
        default=parameter.default,
        metavar=None if "enum" in schema else kinds[0].upper(),
        help=schema["description"],
    )


def _print(kind: str, figures: Mapping[str, Any]) -> None:
    printer.show(line(kind, figures))


def _fail(error: Exception) -> NoReturn:
    printer.say(f"error: {error}")
    raise SystemExit(1) from error
