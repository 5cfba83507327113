"""The folder schema/ as values: the tool catalogue, and the shapes of recipes and test files."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from runner.catalog.tools import LAUNCHER, TRAINER, Catalog, at
from runner.system.files import shipped

Json = dict[str, Any]


@cache
def catalog(release: str | None = None) -> Catalog:
    """Return the tool catalogue of schema/tools, as the newest mlx-lm has it or `release`."""
    folder = shipped("schema") / "tools"
    names = tuple(sorted(path.stem for path in folder.glob("*.json")))
    files = {name: folder / f"{name}.json" for name in names}
    files |= {
        LAUNCHER: shipped("schema") / "launch.json",
        TRAINER: shipped("schema") / "train.json",
    }
    return Catalog(names, lambda name: at(_json(files[name]), release), release)


def installed_catalog() -> Catalog:
    """Return the tool catalogue as the installed mlx-lm has it; the newest where there is none."""
    from runner.system import machine  # only what runs or looks asks for it

    return catalog(machine.installed("mlx-lm"))


@cache
def envelope() -> Json:
    """Return the schema of a recipe around its stages."""
    return _json(shipped("schema") / "envelope.json")


@cache
def test_schema() -> Json:
    """Return the schema of a NAME.test.yaml."""
    return _json(shipped("schema") / "test.schema.json")


def _json(path: Path) -> Json:
    value: Json = json.loads(path.read_text(encoding="utf-8"))
    return value
