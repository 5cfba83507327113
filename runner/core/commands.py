"""A Plan in, its commands as JSON-ready values out: words, configuration files, parameters."""

import json
from typing import Any

from runner.core.catalog import Catalog
from runner.core.invocation import invoke, launched
from runner.core.plan import Plan, Stage

Json = dict[str, Any]


def commands(plan: Plan, catalog: Catalog) -> Json:
    """Return a plan with the command of each stage: what the script says, for programs.

    The run directory is the text ``${RUN_DIR}`` wherever it is meant.
    """
    said = plan.as_dict()
    stages = [
        {**row, **_command(stage, catalog)}
        for row, stage in zip(said["stages"], plan.stages, strict=True)
    ]
    return {**said, "stages": stages}


def _command(stage: Stage, catalog: Catalog) -> Json:
    tool = catalog.get(stage.tool)
    if tool is None:
        raise KeyError(stage.tool)
    invocation = launched(invoke(stage, tool), stage.launch, catalog.launcher)
    config = None if invocation.config is None else json.loads(invocation.config)
    return {"argv": [*invocation.argv], "config": config, "config_path": invocation.config_path}
