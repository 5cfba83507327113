"""The folder schema/ as values: the tool catalogue, and the schemas of recipes and test files."""

import json
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from msgspec import convert

from runner.catalog.architectures import Architectures
from runner.catalog.tools import HUB_FILES, LAUNCHER, TRAINER, Catalog
from runner.system.files import shipped

Json = dict[str, Any]
_NONE: Mapping[str, Json] = MappingProxyType({})


def catalog(tools: Mapping[str, Json] = _NONE) -> Catalog:
    """Return the tools of schema/tools in their newest releases, and those of a recipe."""
    return _catalog(_text(tools), installed=False)


def installed_catalog(tools: Mapping[str, Json] = _NONE) -> Catalog:
    """Return the tools in their installed releases, or the newest if not installed."""
    return _catalog(_text(tools), installed=True)


def _text(tools: Mapping[str, Json]) -> str:
    return json.dumps(tools) if tools else ""


@lru_cache(maxsize=16)
def _catalog(tools: str, *, installed: bool) -> Catalog:
    """Return the catalogue with the tools of a text of JSON; the same one for the same text."""
    files = _files()
    names = tuple(name for name in files if name not in {LAUNCHER, TRAINER, HUB_FILES})
    release = None
    if installed:
        from runner.system import machine  # only what runs or looks asks for it

        release = machine.installed
    more = json.loads(tools) if tools else {}
    return Catalog(names, lambda name: _json(files[name]), release, more)


@cache
def _files() -> Mapping[str, Path]:
    """Return the file of each tool that is shipped, and of what stands around tools."""
    folder = shipped("schema") / "tools"
    own = {path.stem: path for path in sorted(folder.glob("*.json"))}
    return {
        **own,
        LAUNCHER: shipped("schema") / "launch.json",
        TRAINER: shipped("schema") / "train.json",
        HUB_FILES: shipped("schema") / "hub.json",
    }


@cache
def tool_schema() -> Json:
    """Return the schema of a tool's file."""
    return _json(shipped("schema") / "tool.meta.json")


@cache
def envelope() -> Json:
    """Return the schema of a recipe around its stages."""
    return _json(shipped("schema") / "envelope.json")


@cache
def architectures() -> Architectures:
    """Return the architectures of mlx-lm, at toy scale."""
    written = _json(shipped("schema") / "architectures.json")
    written["known"] = {name: {"name": name, **one} for name, one in written["known"].items()}
    return convert(written, Architectures)


@cache
def test_schema() -> Json:
    """Return the schema of a NAME.test.yaml."""
    return _json(shipped("schema") / "test.schema.json")


def _json(path: Path) -> Json:
    value: Json = json.loads(path.read_text(encoding="utf-8"))
    return value
