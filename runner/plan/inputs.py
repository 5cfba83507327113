"""A stage -> the paths it reads, each with what it is and the parameter that names it."""

from collections.abc import Iterator
from typing import NamedTuple

from runner.catalog.tools import Catalog
from runner.plan.model import Stage

FILES = "files"


class Reading(NamedTuple):
    """A path that a stage reads: the parameter's place in the stage, what it is, the path.

    A model or a data set may be a hub id, which looks the same. Of the kind `FILES` is what may be
    in a repository, on a server, or a pattern: a rule has nothing to say where it is not there.
    """

    parameter: str
    kind: str
    path: str


def readings(stage: Stage, catalog: Catalog) -> Iterator[Reading]:
    """Yield what a stage reads: by its tool, by what stands around its trainer, by its launcher.

    What a tool fetches from the hub by its name is no path.
    """
    tool = catalog.get(stage.tool)
    parts = [(tool, stage.params, "")] if tool else []
    parts += [(catalog.trainer, stage.trainer, "")] if stage.trainer else []
    parts += [(catalog.launcher, stage.launch, "launch.")] if stage.launch else []
    for part, params, above in parts:
        for parameter in part.inputs:
            kind = parameter.input_kind(params) if parameter.name in params else None
            if kind and kind != "hub":
                name = f"{above}{parameter.name}"
                yield from (Reading(name, kind, path) for path in parameter.paths(params))
                yield from (Reading(name, FILES, path) for path in parameter.files(params))
