"""The options that several verbs share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Return a decorator that adds all of the options, in their order."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def completes(what: str) -> Callable[[click.Context, click.Parameter, str], list[Any]]:
    """Return what completes a word of the command line: `what` of runner.cli.completion."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        from runner.cli import completion

        items: list[Any] = getattr(completion, what)(ctx, param, incomplete)
        return items

    return complete


overrides = click.option(
    "--set",
    "sets",
    metavar="PATH=VALUE",
    multiple=True,
    help="Override a value, typed as YAML.",
    shell_complete=completes("paths"),
)
profiles = click.option(
    "--profile",
    "profiles",
    metavar="NAME",
    multiple=True,
    help="Apply a profile of the recipe.",
    shell_complete=completes("profiles"),
)
smoke = click.option("--smoke", is_flag=True, help="Run at toy scale, with a tiny random model.")


def style(*more: str) -> Callable[[F], F]:
    """Return the option for what is printed: text, json, or one of `more`."""
    return click.option(
        "--format",
        "style",
        type=click.Choice(["text", "json", *more]),
        default="text",
        show_default=True,
        help="Output format.",
    )


RUNS = "runs"
runs = click.option("--runs", default=RUNS, show_default=True, help="Folder for runs.")
_stage = completes("stages")
stages = together(
    click.option(
        "--only",
        metavar="STAGE",
        multiple=True,
        help="Run only this stage (repeatable).",
        shell_complete=_stage,
    ),
    click.option(
        "--from", "first", metavar="STAGE", help="Start at this stage.", shell_complete=_stage
    ),
    click.option(
        "--to", "last", metavar="STAGE", help="Stop after this stage.", shell_complete=_stage
    ),
)
color = click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Colours; NO_COLOR is respected.",
)
