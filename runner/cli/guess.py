"""Arguments of the command line: which is a recipe, and what a wrong one may have meant."""

from collections.abc import Sequence
from pathlib import Path

import click

from runner import cli
from runner.base import visible
from runner.base.constants import BUILTIN, SUFFIXES
from runner.base.errors import RecipeError

_TOOLS = ("data", "model", "eval", "train", "hub")
_GROUP = ("-h", "--help", "--version")


def is_recipe(word: str) -> bool:
    """Return whether a word is a file, or looks like a recipe's."""
    return word.endswith(SUFFIXES) or word.startswith(BUILTIN) or Path(word).is_file()


def require_values(words: Sequence[str]) -> None:
    """Raise RecipeError for a word that is empty: a shell makes one of a variable that is not set.

    An option that was given nothing would be read as one that was left out, and '' as the working
    directory. The words of a tool of our own may hold an empty text behind ``=``, as scripts do.
    """
    before = words[: words.index("--")] if "--" in words else words
    ours = bool(words) and words[0] in _TOOLS
    for at, word in enumerate(before):
        bare = word.startswith("--") and word.endswith("=") and word.count("=") == 1 and not ours
        if word and not bare:
            continue
        option = before[at - 1] if at and before[at - 1].startswith("-") else ""
        what = word.removesuffix("=") or option
        why = f"{what} has no value" if what else "an argument is empty"
        raise RecipeError(why, "a shell variable may be unset")


def in_order(words: Sequence[str]) -> list[str]:
    """Return the words with the verb first; what has none is run.

    Raises RecipeError if the options of another verb stand before it.
    """
    if not words or not words[0].startswith("-") or words[0] in _GROUP:
        return [*words]
    at = _first(words)
    verb = words[at] if at is not None else None
    if verb not in cli.NAMES or any(map(is_recipe, words[:at])):
        return ["run", *words]
    after = words[(at or 0) + 1 :]
    if verb == "run":
        return ["run", *words[:at], *after]
    command = cli.find(verb)
    own, foreign = _partition(words[:at], command) if command else ([*words[:at]], [])
    hint = f"write: run-recipe {visible.words([verb, *after, *own])}"
    if foreign:
        hint += f" ({verb} has no {visible.words(foreign)})"
    raise RecipeError(f"options go after the command '{verb}'", hint)


def unknown(word: str) -> RecipeError:
    """Return the error for a word that is neither a verb nor a recipe, but perhaps a folder."""
    if Path(word).is_dir():
        return of_folder(word)
    why = f"no command and no recipe '{word}'"
    return RecipeError(
        why, suggestion(word, [*cli.NAMES]) or "run-recipe --help lists the commands"
    )


def of_folder(word: str) -> RecipeError:
    """Return the error for a folder where one recipe is needed, with the recipes in it."""
    from runner.base.problems import listing
    from runner.recipe import find

    there = listing(find.recipes([word]), 6)
    hint = f"name one recipe: {there}" if there else "there is no recipe in it"
    return RecipeError(f"'{word}' is a folder", hint)


def suggestion(word: str, others: Sequence[str] = ()) -> str:
    """Return ``did you mean …?`` for a recipe near here or one of the other words, "" for none."""
    from runner.base.problems import nearest
    from runner.system import files

    file_of: dict[str, str] = {}
    for place in (word, f"recipes/{word}"):
        for file in files.beside(place):
            file_of.setdefault(Path(file).stem, file)
    near = nearest(word, [*others, *file_of])
    name = near if near in others else file_of.get(near, "")
    return f"did you mean '{name}'?" if name else ""


def _partition(words: Sequence[str], verb: click.Command) -> tuple[list[str], list[str]]:
    """Return the options that a verb has, with their values, and the names of those it has not."""
    has, takes = {name for one in _options(verb) for name in one.opts}, _takes()
    own: list[str] = []
    foreign: list[str] = []
    is_value, into = False, own
    for word in words:
        if not is_value:
            into = own if word.partition("=")[0] in has else foreign
        if into is own or not is_value:
            into.append(word)
        is_value = word in takes and not is_value
    return own, foreign


def _options(verb: click.Command | None) -> list[click.Option]:
    return [one for one in (verb.params if verb else ()) if isinstance(one, click.Option)]


def _takes() -> set[str]:
    """Return the options of ``run`` that have a value."""
    options = _options(cli.find("run"))
    return {name for one in options if not one.is_flag for name in one.opts}


def _first(words: Sequence[str]) -> int | None:
    """Return where the first word stands that is neither an option of ``run`` nor its value."""
    takes = _takes()
    is_value = False
    for at, word in enumerate(words):
        if not word.startswith("-") and not is_value:
            return at
        is_value = word in takes and not is_value
    return None
