"""A Plan in, its commands as JSON-ready values out: arguments, configuration files, parameters."""

import json
from typing import Any

from runner.catalog.tools import Catalog
from runner.command.argv import Invocation, command
from runner.plan.model import Plan

Json = dict[str, Any]


def commands(plan: Plan, catalog: Catalog) -> Json:
    """Return a plan with the command of each stage: what the script says, for programs.

    The run directory is the text ``${RUN_DIR}`` wherever it is meant.
    """
    record = plan.as_dict()
    stages = [
        {**row, **_command(command(stage, catalog))}
        for row, stage in zip(record["stages"], plan.stages, strict=True)
    ]
    return {**record, "stages": stages}


def _command(whole: Invocation) -> Json:
    config = None if whole.config is None else json.loads(whole.config)
    return {"argv": [*whole.argv], "config": config, "config_path": whole.config_path}
