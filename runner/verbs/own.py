"""Tools of our own as commands: their words are theirs to read."""

import importlib

import click

from runner.core import visible
from runner.errors import Exit, RecipeError
from runner.verbs.words import is_recipe

_AS_THEY_ARE = {"ignore_unknown_options": True, "help_option_names": []}


def alone(name: str, summary: str, *, wraps: bool = False) -> click.Command:
    """Return the tool ``runner.tools.NAME`` as a command.

    One that `wraps` another command takes no recipe, although its name may sound so.
    """

    @click.command(name, help=summary, context_settings=_AS_THEY_ARE)
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> int:
        if wraps and arguments and is_recipe(arguments[0]):
            why = f"'run-recipe {name}' takes a command to stand around, and no recipe"
            raise RecipeError(why, f"did you mean: run-recipe {visible.words(arguments)}?")
        main = importlib.import_module(f"runner.tools.{name}").main
        return main(list(arguments)) or Exit.OK

    return command


def own(group: click.Group, name: str, summary: str) -> None:
    """Add the tool ``runner.tools.NAME`` to a group of commands."""
    group.add_command(alone(name, summary))
