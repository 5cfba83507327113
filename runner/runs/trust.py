"""What a plan lets others do -> permission for it, asked for once and kept in the cache folder.

A permission is the digest of each value and what it applies to, not of the recipe: users may change
their own recipe, and another recipe that asks for the same needs no new permission.
"""

import hashlib
import json
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from runner.base import visible
from runner.base.errors import RecipeError
from runner.base.problems import plural
from runner.cache import folder
from runner.catalog import load, packaged_tools
from runner.catalog.tools import Catalog
from runner.plan import reach
from runner.plan.model import Plan
from runner.system import files

Json = dict[str, Any]
NAME = "trusted"


def require(plan: Plan, catalog: Catalog, names: Collection[str], *, consent: bool) -> None:
    """Raise RecipeError if a plan lets others do what has no permission yet.

    `names` are the stages that will run; `consent` gives permission now, and stores it.
    """
    reaches = reach.reaches(plan, catalog, load.envelope())
    questions = [one for one in reaches if not one.stage or one.stage in names]
    digests = _digests() if questions else set()
    new = [one for one in questions if one.digest not in digests]
    if new and consent:
        _remember({*digests, *(one.digest for one in new)})
    elif new:
        rows = "".join(f"\n  {one}" for one in new)
        why = f"{plural(len(new), 'value')} in this recipe may do more than train here:{rows}"
        hint = "review them, then run with --trust, which is remembered for exactly these values"
        raise RecipeError(why, hint)


def require_tools(plan: Plan, names: Collection[str], *, consent: bool) -> None:
    """Raise RecipeError if stages use tools of a recipe that have no permission yet.

    `names` are the stages; `consent` gives permission now, and stores it.
    """
    new = new_tools(plan, names, consent=consent)
    if new:
        rows = "".join(f"\n  {name} {_does(one)}" for name, one in sorted(new.items()))
        why = f"this recipe comes with {plural(len(new), 'tool')}, which would run here:{rows}"
        hint = "review the files under 'tools:', then run with --trust-tools, which is remembered"
        raise RecipeError(why, f"{hint} for exactly these files")


def new_tools(plan: Plan, names: Collection[str], *, consent: bool) -> dict[str, Json]:
    """Return the tools of a recipe that stages use and that have no permission yet.

    `consent` gives it now. A tool of an installed package needs none.
    """
    brought = {one.tool for one in plan.stages if one.name in names and one.tool in plan.tools}
    installed = packaged_tools.tools(brought) if brought else {}
    asked = {name: plan.tools[name] for name in brought if installed.get(name) != plan.tools[name]}
    digests = _digests() if asked else set()
    new = {name: one for name, one in asked.items() if _digest(one) not in digests}
    if new and consent:
        _remember({*digests, *map(_digest, new.values())})
        return {}
    return new


def _does(schema: Json) -> str:
    """Return what runs when a tool runs."""
    head = schema["x-tool"]
    what = f"imports {head['main']}" if "main" in head else f"starts {' '.join(head['command'])}"
    return visible.line(what)


def _digest(schema: Json) -> str:
    text = json.dumps(schema, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _file() -> Path | None:
    place = folder.folder()
    return place / "trust" / NAME if place else None


def _digests() -> set[str]:
    file = _file()
    with suppress(OSError, ValueError):
        return set(folder.read(file).decode("ascii").split()) if file else set()
    return set()


def _remember(digests: Iterable[str]) -> None:
    """Keep what leave was given for; where nothing can be kept, it is asked for again."""
    file = _file()
    if file is not None:
        with suppress(OSError):
            folder.make(file.parent)
            files.write(file, "".join(f"{one}\n" for one in sorted(digests)))
