"""The command line: runs a command, and turns errors into a sentence and an exit code.

Everything else, including click, is imported here, so that an error during an import is reported
like any other, and the garbage collector does not search what imports create.
"""

import atexit
import gc
import io
import os
import sys
from typing import Any

from runner.base.errors import WAYS_OUT, Exit, InvalidRecipeError, RecipeError
from runner.base.version import __version__
from runner.cli import overview

_CIRCLES = 100_000  # objects made before the first look for cycles: imports and plans make none


def main() -> None:
    """Run the command line; known errors are a sentence and an exit code."""
    gc.set_threshold(_CIRCLES, 20, 20)
    atexit.register(gc.freeze)  # Python's last look for cycles takes a seventh of a short start
    _streams()
    sys.excepthook = _surprise
    try:
        if overview.answers(sys.argv[1:]) or _completes():
            sys.exit(Exit.OK)
        from runner.cli import verbs

        sys.exit(verbs.run())
    except InvalidRecipeError as error:
        from runner.base.problems import tally

        _say(str(error))
        _say(tally(error.problems))
        sys.exit(error.code)
    except RecipeError as error:
        _complain(str(error), error.hint)
        sys.exit(error.code)
    except KeyboardInterrupt as error:
        import signal

        number = getattr(error, "number", signal.SIGINT)
        sys.exit(Exit.INTERRUPTED if number == signal.SIGINT else Exit.TERMINATED)
    except BrokenPipeError:
        if sys.stderr is not None:
            sys.stderr.close()
        sys.exit(Exit.STAGE_FAILED)
    except OSError as error:
        hint = WAYS_OUT.get(error.errno or 0, "")
        _complain(f"{error.filename or 'the disk'}: {error.strerror or error}", hint)
        sys.exit(Exit.STAGE_FAILED)


def _completes() -> bool:
    """Answer a shell that asks what comes next, where that takes none of the verbs."""
    if "_RUN_RECIPE_COMPLETE" not in os.environ:
        return False
    from runner.cli import first_word

    return first_word.answers(os.environ)


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
            from pathlib import Path

            # Of the numbers that are free the lowest is taken: that of the closed one.
            nobody = Path(os.devnull).open("r+b")  # noqa: SIM115  (it stays open)
            setattr(sys, name, io.TextIOWrapper(nobody, encoding="utf-8", write_through=True))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _surprise(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Say that an error is ours, with what a report of it needs."""
    import platform
    import traceback

    _say("".join(traceback.format_exception(kind, error, trace)), end="")
    version = f"run-recipe {__version__}, Python {platform.python_version()}, {platform.platform()}"
    _complain(f"this is a bug in run-recipe, not in your recipe ({version})", "please report it")
    sys.exit(Exit.INTERNAL)


def _complain(message: str, hint: str = "") -> None:
    _say(f"error: {message}")
    if hint:
        _say(f"  hint: {hint}")


def _say(text: str, end: str = "\n") -> None:
    from runner.system import printer  # --help and --version say nothing else

    printer.say(text, end)
