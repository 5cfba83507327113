"""Tools of our own as commands: their words are theirs to read."""

import importlib

import click

from runner.errors import Exit

_AS_THEY_ARE = {"ignore_unknown_options": True, "help_option_names": []}


def alone(name: str, summary: str) -> click.Command:
    """Return the tool ``runner.tools.NAME`` as a command."""

    @click.command(name, help=summary, context_settings=_AS_THEY_ARE)
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> int:
        main = importlib.import_module(f"runner.tools.{name}").main
        return main(list(arguments)) or Exit.OK

    return command


def own(group: click.Group, name: str, summary: str) -> None:
    """Add the tool ``runner.tools.NAME`` to a group of commands."""
    group.add_command(alone(name, summary))
