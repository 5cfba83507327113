"""New recipes: where they are put, the schema beside them, and shipped recipes to start from."""

import re
from pathlib import Path

from runner.core.document import parse
from runner.core.editor import recipe_schema
from runner.core.invocation import laid_out
from runner.core.naming import BUILTIN
from runner.core.problem import listing, suggest
from runner.edges import disk, schemas
from runner.errors import RecipeError

SCHEMA = "recipe.schema.json"
_MODELINE = re.compile(r"^# yaml-language-server: .*\n")
_EXTENDS = re.compile(r"^extends: (?!builtin:)(\S+?)(?:\.ya?ml)?$", re.MULTILINE)
_DATA = re.compile(r"\{\{ recipe\.dir \}\}/data/(?:\w+/)*(\w+)")


def place(name: str) -> Path:
    """Return where a recipe of this name is put. Raises RecipeError where there is one already."""
    path = Path(name if name.endswith((".yaml", ".yml")) else f"{name}.yaml")
    if path.parent == Path() and Path("recipes").is_dir() and path.name != name:
        path = Path("recipes") / path
    if path.exists():
        raise RecipeError(f"{path} is there already", "choose another name: nothing is overwritten")
    return path


def write(path: Path, text: str) -> None:
    """Write a new recipe, and beside it the schema that its first line names to editors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = path.parent / SCHEMA
    if not schema.exists():
        disk.write(schema, laid_out(recipe_schema(schemas.envelope(), schemas.catalog())) + "\n")
    disk.write(path, text)


def known() -> list[str]:
    """Return the names of the shipped recipes that have stages, not those that are only bases."""
    return [one for one in disk.beside(BUILTIN) if _has_stages(one)]


def shipped(name: str) -> str:
    """Return the text of a new recipe that starts from a shipped one. Raises RecipeError.

    What it extends is named as shipped, and its rows are the user's own.
    """
    there = known()
    if name not in there:
        hint = suggest(name, there, f"there are: {listing(there)}")
        raise RecipeError(f"there is no shipped recipe '{name}' to start from", hint)
    text = disk.read(f"{name}.yaml").decode()
    folder = name.rpartition("/")[0] + "/" if "/" in name else BUILTIN
    text = _EXTENDS.sub(rf"extends: {folder}\1", _MODELINE.sub("", text))
    several = len(set(_DATA.findall(text))) > 1
    text = _DATA.sub(r"./data/\1" if several else "data", text)
    return f"# yaml-language-server: $schema={SCHEMA}\n{text}"


def _has_stages(name: str) -> bool:
    root = parse(disk.read(f"{name}.yaml"), name).root
    return root is not None and root.get("stages") is not None
