"""The command line: finds the verb, and turns what went wrong into a sentence and an exit code."""

import io
import os
import sys
from pathlib import Path
from typing import Any

import click

from runner import cli as verbs
from runner.base.errors import WAYS_OUT, Exit, InvalidRecipeError, RecipeError
from runner.base.version import __version__
from runner.cli import guess
from runner.system import printer


class Verbs(click.Group):
    """A group whose default verb is ``run``: ``run-recipe RECIPE`` runs it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order people meet them."""
        return list(verbs.NAMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb, imported when it is first asked for."""
        return verbs.find(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs, of which none is imported."""
        longest = max(len(name) for name in verbs.NAMES)
        width = formatter.width - 6 - longest
        rows = [(name, _short(name, width)) for name in verbs.NAMES]
        formatter.write_paragraph()
        formatter.write_heading("Commands")
        formatter.indent()
        formatter.write_dl(rows)
        formatter.dedent()

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Take a first word that is no verb for a recipe to run. Raises RecipeError."""
        word = args[0]
        if word not in verbs.NAMES:
            if not guess.is_recipe(word):
                raise guess.unknown(word)
            args = ["run", *args]
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Complete a verb, of which none is imported, or the recipe that ``run`` is for."""
        from click.shell_completion import CompletionItem

        from runner.cli import completion

        items = [
            CompletionItem(name, help=_short(name, 45))
            for name in verbs.NAMES
            if name.startswith(incomplete)
        ]
        options = click.Command.shell_complete(self, ctx, incomplete)
        recipes = completion.recipes(ctx, self.params[0], incomplete) if incomplete else []
        return [*items, *options, *recipes]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let the options of ``run`` stand before the recipe, too. Raises RecipeError."""
        if "" in args or any(word.endswith("=") for word in args):
            guess.require_values(args)
        if args and args[0].startswith("-") and args[0] not in {"-h", "--help", "--version"}:
            args = guess.in_order(args)
        return super().parse_args(ctx, args)


def _short(verb: str, width: int) -> str:
    """Return what a verb does, in so many signs; the verb is not imported."""
    return click.Command(verb, help=verbs.NAMES[verb]).get_short_help_str(width)


def main() -> None:
    """Run the command line; known errors are a sentence and an exit code."""
    _streams()
    sys.excepthook = _surprise
    if "_RUN_RECIPE_COMPLETE" in os.environ:  # a shell asks what comes next
        from runner.cli import completion

        completion.register()
    try:
        sys.exit(cli(standalone_mode=False, prog_name="run-recipe") or Exit.OK)
    except InvalidRecipeError as error:
        from runner.base.problems import tally

        printer.say(str(error))
        printer.say(tally(error.problems))
        sys.exit(error.code)
    except RecipeError as error:
        _complain(str(error), error.hint)
        sys.exit(error.code)
    except click.UsageError as error:
        _refuse(error)
        sys.exit(Exit.INVALID)
    except click.ClickException as error:
        _refuse(error)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt) as error:
        import signal

        number = getattr(error.__cause__ or error, "number", signal.SIGINT)  # click makes an Abort
        sys.exit(Exit.INTERRUPTED if number == signal.SIGINT else Exit.TERMINATED)
    except BrokenPipeError:
        if sys.stderr is not None:
            sys.stderr.close()
        sys.exit(Exit.STAGE_FAILED)
    except OSError as error:
        hint = WAYS_OUT.get(error.errno or 0, "")
        _complain(f"{error.filename or 'the disk'}: {error.strerror or error}", hint)
        sys.exit(Exit.STAGE_FAILED)


def _streams() -> None:
    """Let the three streams be open, and take every text.

    One that was closed (2>&-) is given to nobody: else a file that is opened later would get its
    number, and what a child says would be written into it. What is printed is UTF-8, as a script
    has to be whatever PYTHONIOENCODING says.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # Of the numbers that are free the lowest is taken: that of the closed one.
            nobody = Path(os.devnull).open("r+b")  # noqa: SIM115  (it stays open)
            setattr(sys, name, io.TextIOWrapper(nobody, encoding="utf-8", write_through=True))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _here() -> None:
    """Raise RecipeError where the working directory was removed: no path means anything then."""
    try:
        os.getcwd()  # noqa: PTH109  (Path.cwd imports pathlib for a look)
    except FileNotFoundError:
        why = "the working directory was removed"
        raise RecipeError(
            why, "cd to a folder that is there: every path is relative to it"
        ) from None


def _surprise(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Say that an error is ours, with what a report of it needs."""
    import platform
    import traceback

    printer.say("".join(traceback.format_exception(kind, error, trace)), end="")
    version = f"run-recipe {__version__}, Python {platform.python_version()}, {platform.platform()}"
    _complain(
        f"this is a mistake in run-recipe, not in your recipe ({version})", "please report it"
    )
    sys.exit(Exit.INTERNAL)


def _refuse(error: click.ClickException) -> None:
    stream = io.StringIO()
    error.show(file=stream)
    printer.say(stream.getvalue(), end="")


def _complain(message: str, hint: str = "") -> None:
    printer.say(f"error: {message}")
    if hint:
        printer.say(f"  hint: {hint}")


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="run-recipe")
def cli() -> None:
    """Run declarative recipes for Apple's MLX: run-recipe RECIPE."""
    _here()
