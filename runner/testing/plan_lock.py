"""A plan as it is locked next to its script: only what the commands derive from.

A moved line, a description or an expectation changes no command, and so nothing that is locked.
"""

import json
from collections.abc import Mapping

from runner.base.formatting import pretty_json
from runner.base.values import read_as
from runner.catalog import load
from runner.plan.model import Plan, Stage
from runner.plan.pins import with_exact_names

FIELDS = ("name", "tool", "params", "outputs", "launch", "trainer")


def dump(plan: Plan) -> str:
    """Return a plan as JSON for people who read a diff: one value a line."""
    plan = _exact(plan)
    stages = [{key: getattr(stage, key) for key in FIELDS} for stage in plan.stages]
    tools = {"tools": plan.tools} if plan.tools else {}
    return pretty_json({"name": plan.name, "env": plan.env, **tools, "stages": stages}) + "\n"


def read(text: str) -> Plan | None:
    """Return the plan that was locked; None for a text that holds none."""
    try:
        value = json.loads(text)
        return read_as({"file": "", **value}, Plan) if isinstance(value, Mapping) else None
    except ValueError:
        return None


def bare(plan: Plan) -> Plan:
    """Return a plan with what is locked of it alone, to be compared with one that was."""
    plan = _exact(plan)
    stages = tuple(Stage(**{key: getattr(stage, key) for key in FIELDS}) for stage in plan.stages)
    return Plan(name=plan.name, file="", stages=stages, env=plan.env, tools=plan.tools)


def _exact(plan: Plan) -> Plan:
    """Return a plan with the commits of what its names of the hub are pinned to."""
    return with_exact_names(plan, load.catalog(plan.tools))
