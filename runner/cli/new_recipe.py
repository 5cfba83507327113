"""New recipes: their place, the schema of their project, and the shipped recipes they extend."""

import os
import re
from pathlib import Path

from runner.base.constants import BUILTIN, SUFFIXES
from runner.base.errors import RecipeError
from runner.base.formatting import pretty_json
from runner.base.patterns import pattern
from runner.base.problems import listing, suggest
from runner.catalog import load
from runner.catalog.editor_schema import recipe_schema
from runner.system import files

SCHEMA = "recipe.schema.json"
OURS = ".run-recipe"
_MODELINE = pattern(r"^# yaml-language-server: .*\n")
_EXTENDS = pattern(r"^extends: (?!builtin:)(\S+?)(?:\.ya?ml)?$", re.MULTILINE)
_DATA = pattern(r"\{\{ recipe\.dir \}\}/data/(?:\w+/)*(\w+)")


def place(name: str) -> Path:
    """Return where a recipe of this name is put. Raises RecipeError if there is one already."""
    path = Path(name if name.endswith(SUFFIXES) else f"{name}.yaml")
    if path.parent == Path() and Path("recipes").is_dir() and path.name != name:
        path = Path("recipes") / path
    if path.exists():
        raise RecipeError(
            f"{path} already exists", "choose another name: files are never overwritten"
        )
    return path


def schema(path: Path) -> str:
    """Return how a recipe's first line names its project's schema to editors, relative to it."""
    return Path(os.path.relpath(_schema(path), path.parent.resolve())).as_posix()


def write(path: Path, text: str) -> None:
    """Write a new recipe, and the schema that its first line names where the project has none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = _schema(path)
    if not schema.exists():
        schema.parent.mkdir(parents=True, exist_ok=True)
        files.write(schema, pretty_json(recipe_schema(load.envelope(), load.catalog())) + "\n")
    files.write(path, text)


def _schema(path: Path) -> Path:
    """Return where a project keeps its schema: the nearest there is, else a place at its top."""
    folder = path.parent.resolve()
    top = _top(folder)
    above = [one for one in (folder, *folder.parents) if one.is_relative_to(top)]
    places = [one / inside / SCHEMA for one in above for inside in ("", OURS)]
    return next((one for one in places if one.is_file()), top / OURS / SCHEMA)


def _top(folder: Path) -> Path:
    """Return the top of a folder's project: its repository, the working directory, or itself."""
    for one in (folder, *folder.parents):
        if (one / ".git").exists():
            return one
    return Path.cwd() if folder.is_relative_to(Path.cwd()) else folder


def names() -> list[str]:
    """Return the names of the shipped recipes that have stages, not those that are only bases."""
    return [one for one in files.beside(BUILTIN) if not one.startswith(f"{BUILTIN}base/")]


def shipped(name: str, schema: str = SCHEMA) -> str:
    """Return the text of a new recipe that starts from a shipped one. Raises RecipeError.

    What it extends is named as shipped, its rows are the user's own, and so is its `schema`.
    ``builtin:`` may be left out.
    """
    there = [one.removeprefix(BUILTIN) for one in names()]
    short = name.removeprefix(BUILTIN)
    if short not in there:
        hint = suggest(short, there, f"there are: {listing(there, 20)}")
        raise RecipeError(f"no shipped recipe '{name}'", hint)
    name = f"{BUILTIN}{short}"
    text = files.read(f"{name}.yaml").decode()
    folder = name.rpartition("/")[0] + "/" if "/" in name else BUILTIN
    text = _EXTENDS.sub(rf"extends: {folder}\1", _MODELINE.sub("", text))
    several = len(set(_DATA.findall(text))) > 1
    text = _DATA.sub(r"./data/\1" if several else "data", text)
    return f"# yaml-language-server: $schema={schema}\n{text}"
