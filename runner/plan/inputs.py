"""A stage -> the paths it reads, each with what it is and the parameter that names it."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from runner.base.constants import MAX_FOLDERS, MAX_NAME, MAX_PATH
from runner.catalog.tools import Catalog, Tool
from runner.catalog.validate import Violation
from runner.plan.model import Stage

FILES = "files"


class Reading(Struct, frozen=True, kw_only=True):
    """A path that a stage reads: the parameter's place in the stage, what it is, the path.

    A model or a data set may be a hub id, which looks the same. Of the kind `FILES` is what may be
    in a repository, on a server, or a pattern: a rule has nothing to say where it is not there.
    """

    parameter: str
    kind: str
    path: str


def readings(stage: Stage, catalog: Catalog) -> Iterator[Reading]:
    """Yield what a stage reads: through its tool, the options around its trainer, its launcher.

    What a tool downloads from the hub by name is not a path; a program's own files are read, too.
    """
    tool = catalog.get(stage.tool)
    for path in tool.program_files if tool else ():
        yield Reading(parameter="", kind=FILES, path=path)
    parts = [(tool, stage.params, "")] if tool else []
    parts += [(catalog.trainer, stage.trainer, "")] if stage.trainer else []
    parts += [(catalog.launcher, stage.launch, "launch.")] if stage.launch else []
    for part, params, above in parts:
        for parameter in part.inputs:
            kind = parameter.input_kind(params) if params.get(parameter.name) else None
            if kind and kind != "hub":
                name = f"{above}{parameter.name}"
                yield from (
                    Reading(parameter=name, kind=kind, path=path)
                    for path in parameter.paths(params)
                )
                yield from (
                    Reading(parameter=name, kind=FILES, path=path)
                    for path in parameter.files(params)
                )


def no_paths(tool: Tool, params: Mapping[str, Any]) -> Iterator[Violation]:
    """Yield each parameter whose value is not a valid path on any system, before it is used."""
    writes = {output.param for output in tool.outputs.values()}
    for name, parameter in tool.parameters.items():
        if name not in params or not (name in writes or "x-input" in parameter.schema):
            continue
        candidates = (
            parameter.paths(params) if "x-input" in parameter.schema else iter((params[name],))
        )
        why = next(
            (why for path in candidates if isinstance(path, str) and (why := _no_path(path))), ""
        )
        if why:
            hint = "shorten it; is it a path?"
            yield Violation(
                path=(name,), message=f"is not a valid path: {why}", rule="path-too-long", hint=hint
            )


def _no_path(path: str) -> str:
    """Return why no system has a path, '' if one may."""
    names = path.split("/")
    if len(path) > MAX_PATH:
        return f"it has {len(path):,} characters, and a path at most {MAX_PATH:,}"
    if len(names) > MAX_FOLDERS:
        return f"it has {len(names):,} folders, and a path at most {MAX_FOLDERS:,}"
    longest = max(map(len, names))
    if longest > MAX_NAME:
        return f"a name in it has {longest:,} characters, and a file's at most {MAX_NAME:,}"
    return ""
