"""A stage -> the paths it reads, each with what it is and the parameter that names it."""

from collections.abc import Iterator
from typing import NamedTuple

from runner.core.catalog import Catalog
from runner.core.plan import Stage


class Reading(NamedTuple):
    """A path that a stage reads: the parameter's place in the stage, what it is, the path.

    A model or a data set may be a hub id, which looks the same.
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
            for path in parameter.paths(params) if kind and kind != "hub" else ():
                yield Reading(f"{above}{parameter.name}", kind or "", path)
