"""The beginning of a line's first word in, the verbs and recipes it may become out.

Bash usually asks for nothing else, and gets its answer without importing click.
"""

import os
import sys
from collections.abc import Iterable, Mapping

from runner.base.constants import BUILTIN, SUFFIXES
from runner.base.patterns import pattern
from runner.cli import NAMES

# What bash makes something of inside double quotes, and what ends a line of the answer.
ACTS = pattern(r"[$`\"\\!\x00-\x1f\x7f]")
_PLAIN = pattern(r"[^\s'\"\\]+ ([A-Za-z0-9][A-Za-z0-9_./:-]*)\Z")


def answers(environ: Mapping[str, str]) -> bool:
    """Print what bash asks for where it is the first word of a line and nothing is quoted."""
    line = _PLAIN.match(environ.get("COMP_SO_FAR", ""))
    if environ.get("_RUN_RECIPE_COMPLETE") != "bash_complete" or line is None:
        return False
    names = [*verbs(line[1]), *recipes(line[1])]
    text = "\n".join(f"plain,{name}" for name in names if not ACTS.search(name))
    sys.stdout.buffer.write(f"{text}\n".encode())
    sys.stdout.flush()
    return True


def verbs(incomplete: str) -> list[str]:
    """Return the verbs that begin so."""
    return [name for name in NAMES if name.startswith(incomplete)]


def recipes(incomplete: str) -> list[str]:
    """Return recipes and folders that begin like a path, and the shipped recipes."""
    names = []
    folder, slash, prefix = incomplete.rpartition("/")
    for entry in _entries(folder + slash):
        if entry.name.startswith(prefix) and not entry.name.startswith("."):
            path = f"{folder}{slash}{entry.name}"
            if _is_folder(entry):
                names.append(f"{path}/")
            elif entry.name.endswith(SUFFIXES) and _is_recipe(path):
                names.append(path)
    shipped = _builtins() if BUILTIN.startswith(incomplete[: len(BUILTIN)]) else ()
    return [*names, *(name for name in shipped if name.startswith(incomplete))]


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        return sorted(os.scandir(folder or "."), key=lambda entry: entry.name)
    except (OSError, ValueError):
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_recipe(path: str) -> bool:
    from pathlib import Path

    from runner.recipe import find

    return find.is_recipe(Path(path))


def _builtins() -> Iterable[str]:
    from runner.system import files as disk

    return disk.beside(BUILTIN)
