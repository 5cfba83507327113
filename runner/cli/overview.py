"""The help and version of the program; without a verb, nothing else is imported."""

import sys
from collections.abc import Sequence

from runner.base.version import __version__
from runner.cli import NAMES

SUMMARY = "Run declarative recipes for Apple's MLX: run-recipe RECIPE."
_OPTIONS = (
    ("--version", "Show the version and exit."),
    ("-h, --help", "Show this message and exit."),
)
_WIDEST, _NARROWEST = 78, 50  # as click's own pages, which those of the verbs are


def answers(words: Sequence[str]) -> bool:
    """Print the help or the version where the words ask for it and nothing else."""
    if words == ["--version"]:
        text = version()
    elif words in (["--help"], ["-h"]):
        import shutil

        columns = shutil.get_terminal_size().columns
        text = page(max(min(columns - 2, _WIDEST), _NARROWEST))
    else:
        return False
    if sys.stdout is not None:
        sys.stdout.write(text)
        sys.stdout.flush()
    return True


def version() -> str:
    """Return the line of ``--version``."""
    return f"run-recipe, version {__version__}\n"


def page(width: int) -> str:
    """Return the help in lines of at most this width: one line per verb."""
    longest = max(map(len, NAMES))
    room = width - 6 - longest
    verbs = [(name, short(text, room)) for name, text in NAMES.items()]
    return "\n".join(
        (
            "Usage: run-recipe [OPTIONS] COMMAND [ARGS]...",
            "",
            *_wrapped(SUMMARY, width),
            "",
            "Options:",
            *_table(_OPTIONS),
            "",
            "Commands:",
            *_table(verbs),
            "",
        )
    )


def _table(rows: Sequence[tuple[str, str]]) -> list[str]:
    longest = max(len(term) for term, _ in rows)
    return [f"  {term:{longest}}  {text}" for term, text in rows]


def short(text: str, most: int) -> str:
    """Return a sentence, shortened to at most this width."""
    return text if len(text) <= most else text[: most - 2].rpartition(" ")[0] + "..."


def _wrapped(text: str, width: int) -> list[str]:
    indent = "  "
    if len(indent + text) <= width:
        return [indent + text]
    import textwrap  # only a narrow screen needs it

    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent)
