"""Observes how a click program uses its arguments, as host does for argparse."""

import importlib
import sys
from typing import TYPE_CHECKING, Any

from runner.worker.observer import Observer, read_namespace
from runner.worker.parsing import command_of

if TYPE_CHECKING:
    import click


def install(host: Observer) -> bool:
    """Compare what a click command makes of the words, before it does anything.

    Return False for a program without click.
    """
    command = command_of(host.tool)
    if command is None:
        return False
    original = command.invoke

    def invoke(context: "click.Context") -> Any:
        host.parsed = read_namespace(host.tool, host.params, context.params)
        host.hold()
        return original(context)

    command.invoke = invoke  # type: ignore[method-assign, assignment]
    module, function = host.tool.main
    imported = importlib.import_module(module)
    if getattr(imported, function) is not command:  # it is one of a program with many
        sys.argv[1:1] = host.tool.command[1:]
        _return_from(imported)
    return True


def _return_from(module: Any) -> None:
    """Let a click program that ended well return, as argparse's do: click exits with 0 itself."""
    original = module.app

    def app(*args: Any, **kwargs: Any) -> Any:
        try:
            return original(*args, **kwargs)
        except SystemExit as end:
            if end.code:
                raise
        return None

    module.app = app
