"""Arguments in, an exit code out: the group that finds the verb, and click's own errors."""

import io
import os
from typing import Any

import click

from runner.base.errors import Exit, RecipeError
from runner.base.version import __version__
from runner.cli import NAMES, find, overview


class Verbs(click.Group):
    """A group whose default verb is ``run``: ``run-recipe RECIPE`` runs it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order people meet them."""
        return list(NAMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb, imported at its first use."""
        return find(cmd_name)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help of the whole, for which no verb is imported."""
        formatter.write(overview.page(formatter.width))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Take a first word that is no verb for a recipe to run. Raises RecipeError."""
        word = args[0]
        if word not in NAMES:
            from runner.cli import guess  # a completion has nothing to guess

            if not guess.is_recipe(word):
                raise guess.unknown(word)
            args = ["run", *args]
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Complete a verb, of which none is imported, or the recipe that ``run`` is for."""
        from click.shell_completion import CompletionItem

        from runner.cli import completion, first_word

        items = [
            CompletionItem(name, help=overview.short(NAMES[name], 45))
            for name in first_word.verbs(incomplete)
        ]
        options = click.Command.shell_complete(self, ctx, incomplete)
        recipes = completion.recipes(ctx, self.params[0], incomplete) if incomplete else []
        return [*items, *options, *recipes]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let the options of ``run`` stand before the recipe, too. Raises RecipeError."""
        if args:
            from runner.cli import guess

            if "" in args or any(word.endswith("=") for word in args):
                guess.require_values(args)
            if args[0].startswith("-") and args[0] not in {"-h", "--help", "--version"}:
                args = guess.in_order(args)
        return super().parse_args(ctx, args)


def run() -> int:
    """Run the verb that the words of this process name; return the exit code.

    Raises RecipeError, KeyboardInterrupt for a signal, OSError.
    """
    if "_RUN_RECIPE_COMPLETE" in os.environ:  # a shell asks what comes next
        from runner.cli import completion

        completion.register()
    try:
        return int(cli(standalone_mode=False, prog_name="run-recipe") or Exit.OK)
    except click.UsageError as error:
        _refuse(error)
        return Exit.INVALID
    except click.ClickException as error:
        _refuse(error)
        return error.exit_code
    except click.Abort as error:  # click makes one of what a signal raised
        cause = error.__cause__
        raise cause if isinstance(cause, KeyboardInterrupt) else KeyboardInterrupt from error


def _here() -> None:
    """Raise RecipeError if the working directory was removed: no path means anything then."""
    try:
        os.getcwd()  # noqa: PTH109  (Path.cwd imports pathlib for a look)
    except FileNotFoundError:
        why = "the working directory was removed"
        raise RecipeError(why, "cd to an existing folder: every path is relative to it") from None


def _refuse(error: click.ClickException) -> None:
    from runner.system import printer

    stream = io.StringIO()
    error.show(file=stream)
    printer.say(stream.getvalue(), end="")


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="run-recipe")
def cli() -> None:
    """Run a verb; the help of the whole is `overview`'s."""
    _here()
