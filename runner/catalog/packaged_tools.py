"""The entry points of installed packages in, the schemas of their tools out.

An entry point of the group ``run_recipe.tools`` has the tool's name; its value is the path of the
file, written like a module: ``mine.score = "mine.tools.score"`` is the file ``tools/score.json`` of
the package ``mine``. No code of a package is imported.
"""

import json
from collections.abc import Collection, Mapping
from functools import cache
from importlib import util
from pathlib import Path
from typing import Any

from runner.base.errors import RecipeError
from runner.catalog import load, tool_files
from runner.system import reader

Json = dict[str, Any]
GROUP = "run_recipe.tools"


def names() -> tuple[str, ...]:
    """Return the names of all tools that installed packages bring."""
    return tuple(sorted(_places()))


def tools(wanted: Collection[str]) -> Mapping[str, Json]:
    """Return the schemas of those of some tools that an installed package brings.

    Raises RecipeError for a file that is not as a tool's file has to be.
    """
    places = _places()
    return {name: _read(name, places[name]) for name in sorted(wanted) if name in places}


@cache
def _places() -> Mapping[str, Path]:
    """Return the file of each tool. Raises RecipeError if two packages bring one name."""
    from importlib.metadata import entry_points  # 30 ms, only where a recipe asks for more tools

    places: dict[str, tuple[Path, str]] = {}
    for one in entry_points(group=GROUP):
        file = _file(one.value)
        package = one.dist.name if one.dist else "?"
        if file is None or one.name in load.catalog().names:
            continue
        before = places.setdefault(one.name, (file, package))
        if before[0] != file:
            why = (
                f"two packages provide a tool '{one.name}': {before[1]} ({before[0]}) and {package}"
            )
            raise RecipeError(f"{why} ({file})", "uninstall one of them")
    return {name: file for name, (file, _) in places.items()}


def _file(value: str) -> Path | None:
    """Return the file that an entry point's value names, without importing its package."""
    package, *words = value.replace(":", ".").split(".")
    spec = util.find_spec(package) if words else None
    folders = spec.submodule_search_locations if spec is not None else None
    files = (Path(folder, *words).with_suffix(".json") for folder in folders or ())
    return next((file for file in files if file.is_file()), None)


def _read(name: str, file: Path) -> Json:
    try:
        schema: Json = json.loads(reader.read_text(file, reader.CONFIG))
    except (OSError, ValueError, RecursionError) as error:
        raise RecipeError(f"the file of '{name}' cannot be read: {file}: {error}") from error
    wrong = next(tool_files.faults(name, schema, load.tool_schema()), None)
    if wrong is not None:
        hint = "report it to the authors of the package"
        raise RecipeError(f"{file} is not a tool file: {wrong[1]}", hint)
    return schema
