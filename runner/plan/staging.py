"""A stage -> the same stage, writing its outputs next to their places until they are complete.

Inside the run directory, a stage works in its own folder ``.part``. An output outside gets another
name in the same folder, so that moving it into place is one step (T58, T59).
"""

import posixpath
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from runner.base.constants import RUN_DIR, normal
from runner.catalog.tools import Tool
from runner.plan.model import Stage

PART = ".part"


def roots(paths: Iterable[str]) -> list[str]:
    """Return the paths that lie in no other of them."""
    unique = list(dict.fromkeys(paths))
    return [path for path in unique if not any(_inside(path, o) for o in unique if o != path)]


def beside(stage: Stage) -> dict[str, str]:
    """Return for each outermost output of a stage where it is made until it is whole."""
    own = f"{RUN_DIR}/{stage.name}/"
    places = {}
    for path in roots(stage.outputs.values()):
        folder, name = posixpath.split(normal(path))
        temporary = posixpath.join(folder, f".{name}{PART}")
        inside = path.removeprefix(own)
        places[path] = f"{own}{PART}/{inside}" if path.startswith(own) else temporary
    return places


def relocate(stage: Stage, tool: Tool, places: Mapping[str, str]) -> Stage:
    """Return the stage with its outputs at their other places; `places` as from beside."""
    own = {tool.outputs[name].param for name in stage.outputs} - {None}
    params = {
        name: relocate_path(value, places) if name in own and isinstance(value, str) else value
        for name, value in stage.params.items()
    }
    outputs = {name: relocate_path(path, places) for name, path in stage.outputs.items()}
    return replace(stage, params=params, outputs=outputs)


def relocate_path(path: str, places: Mapping[str, str]) -> str:
    """Return a path at its other place; one that lies in none of the places as it is."""
    for old, new in places.items():
        if normal(path) == normal(old):
            return new
        if _inside(path, old):
            return posixpath.join(new, posixpath.relpath(path, old))
    return path


def _inside(path: str, folder: str) -> bool:
    return normal(path).startswith(f"{normal(folder)}/")
