"""Files and folders in, the recipes and the test files among them out."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from runner.base import visible
from runner.base.constants import ENDING, SUFFIXES
from runner.base.errors import RecipeError
from runner.base.patterns import pattern
from runner.system import reader
from runner.system.files import is_folder

SPLITS = ("train", "valid", "test")
MAX_RECIPES = 1_000
"""Recipes, and test files, that one command looks at."""
_MODELINE = pattern(rb"^# yaml-language-server: .*\brecipe\.schema\.json", re.MULTILINE)
_KEYS = pattern(rb"^(version|extends|stages|vars|defaults|profiles):", re.MULTILINE)
_LIST = pattern(rb"^stages:[ \t]*(?:#.*)?(?:\r?\n[ \t]*(?:#.*)?)*(?:-|\r?\n-)", re.MULTILINE)
KEPT = "recipe.yaml"
_CASES = pattern(rb"^(tests|snapshots):", re.MULTILINE)


def recipes(paths: Iterable[str]) -> Iterator[str]:
    """Yield each file as it is named, and of each folder the recipes in it, however deep.

    Raises RecipeError if they are more than MAX_RECIPES.
    """
    return _so_many(_recipes(paths), "recipes")


def _recipes(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        if is_folder(Path(path)):
            yield from (one.as_posix() for one in sorted(_files(Path(path))) if is_recipe(one))
        else:
            yield path


def _so_many(files: Iterable[str], what: str) -> Iterator[str]:
    for number, file in enumerate(files, 1):
        if number > MAX_RECIPES:
            why = f"more than {MAX_RECIPES:,} {what}: that is the limit for one command"
            raise RecipeError(why, "name smaller folders, one after the other")
        yield file


def suites(paths: Iterable[str]) -> Iterator[str]:
    """Yield the test files in each folder, however deep, also those with no recipe beside them.

    Raises RecipeError if they are more than MAX_RECIPES.
    """
    return _so_many(_suites(paths), "test files")


def _suites(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        files = _files(Path(path)) if is_folder(Path(path)) else ()
        yield from (one.as_posix() for one in sorted(files) if is_suite(one))


def of_rows(paths: Iterable[str]) -> str | None:
    """Return the first of these folders that holds a data set, None if none does."""
    return next((path for path in paths if any(Path(path).glob("*.jsonl"))), None)


def rows_hint(folder: str) -> str:
    """Return what to run to have the rows of a folder checked."""
    there = [split for split in SPLITS if Path(folder, f"{split}.jsonl").exists()]
    command = ["run-recipe", "data", "check", folder]
    command += ["--require", there[0]] if there and there[0] != SPLITS[0] else []
    once = "" if there else f", once they are named {SPLITS[0]}.jsonl"
    return f"rows are checked{once} by: {visible.words(command)}"


def is_recipe(path: Path) -> bool:
    """Return whether a file is meant as a recipe: readable or not, but no other tool's YAML.

    The resolved recipe that a run keeps is none.
    """
    if not has_recipe_suffix(path.name) or (
        path.name == KEPT and (path.parent / "run.json").exists()
    ):
        return False
    return reads_as_recipe(path.name, _read(path))


def reads_as_recipe(name: str, text: bytes) -> bool:
    """Return whether a file of this name and text is meant as a recipe."""
    if not has_recipe_suffix(name):
        return False
    keys = set(_KEYS.findall(text))
    ours = len(keys) > 1 and bool(keys & {b"stages", b"extends"}) and not _LIST.search(text)
    return ours or bool(_MODELINE.search(text))


def is_suite(path: Path) -> bool:
    """Return whether a file holds tests of a recipe: what it says, or the recipe beside it."""
    if not path.name.endswith(ENDING) or not path.exists():
        return False
    stem = path.name.removesuffix(ENDING)
    beside = (path.with_name(stem + suffix) for suffix in SUFFIXES)
    return bool(_CASES.search(_read(path))) or any(map(is_recipe, beside))


def suite_of(recipe: str) -> str | None:
    """Return the test file beside a recipe, None if there is none."""
    path = Path(recipe)
    beside = path.with_name(f"{path.stem}{ENDING}")
    return beside.as_posix() if is_suite(beside) else None


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, without hidden ones and what packages brought along."""
    for above, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _foreign(Path(above, name))]
        yield from (Path(above, name) for name in names if not name.startswith("."))


def _foreign(folder: Path) -> bool:
    hidden = folder.name.startswith(".") or folder.name == "node_modules"
    return hidden or (folder / "pyvenv.cfg").exists()


def has_recipe_suffix(name: str) -> bool:
    """Return whether a file may be a recipe by its name: what is none is not opened."""
    return name.endswith(SUFFIXES) and not name.endswith(ENDING)


def _read(path: Path) -> bytes:
    try:
        return reader.read(path, reader.RECIPE)
    except OSError:
        return b""
