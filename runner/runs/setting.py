"""What a stage's result depends on beside its recipe and its files: releases, device, commits."""

import os
from collections.abc import Mapping
from pathlib import Path

from runner.base.constants import RUN_DIR
from runner.base.version import __version__
from runner.catalog.tools import Catalog
from runner.plan.inputs import readings
from runner.plan.model import Pin, Plan, Stage
from runner.system import files, hub, machine

PACKAGES = ("mlx", "mlx-lm", "transformers", "tokenizers", "numpy")
"""What computes, initialises, tokenizes and shuffles, whichever package the tool itself is of."""
_HUB = {"model": "model", "dataset": "dataset", "data": "dataset"}


def setting(plan: Plan, stage: Stage, catalog: Catalog) -> dict[str, str]:
    """Return each of these by its name; one that is not known is "", and equals nothing.

    Two results with one identity and one setting are the same work: each may stand for the other.
    """
    tool = catalog.get(stage.tool)
    names = [*PACKAGES, *([tool.distribution] if tool and tool.distribution else [])]
    releases = {f"release of {name}": machine.installed(name) or "none" for name in names}
    releases["release of run-recipe"] = __version__
    variables = {
        f"variable {name}": value
        for name, value in os.environ.items()
        if name.startswith("MLX_") and name not in plan.env
    }
    return {**releases, "device": machine.device(), **variables, **_commits(plan, stage, catalog)}


def unknown(setting: Mapping[str, str]) -> str:
    """Return what of a setting nobody knows, '' where all is known."""
    return next((name for name, value in setting.items() if not value), "")


def _commits(plan: Plan, stage: Stage, catalog: Catalog) -> dict[str, str]:
    """Return the commit of each thing that the stage reads from the hub.

    What is neither here, nor made by a stage, nor in the hub's cache, is not known.
    """
    tool = catalog.get(stage.tool)
    names = [
        (parameter.input_kind(stage.params), path)
        for parameter in (tool.inputs if tool else ())
        if stage.params.get(parameter.name) and parameter.input_kind(stage.params) == "hub"
        for path in parameter.paths(stage.params)
    ]
    names += [(one.kind, one.path) for one in readings(stage, catalog)]
    pins = {one.name: one for one in stage.pins}
    return {
        f"commit of {path}": _commit(path, str(kind), pins.get(path))
        for kind, path in names
        if RUN_DIR not in path
        and plan.maker(path) is None
        and (kind == "hub" or not files.is_there(Path(path)))
    }


def _commit(name: str, kind: str, pin: Pin | None) -> str:
    """Return the commit that a name of the hub stands for, '' where nobody knows it."""
    cache = hub.cache(os.environ)
    if pin is not None:
        return pin.commit or hub.commit(pin.repository, pin.kind, cache, pin.revision)
    return hub.commit(name, _HUB[kind], cache) if kind in _HUB else ""
