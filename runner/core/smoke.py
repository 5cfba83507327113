"""A plan in, the same plan at toy scale out: a tiny base model, counts of iterations shrunk.

All counts measured in iterations shrink by one factor, so that warm-up, schedule, checkpoints and
validations keep their proportions and no rule is broken by smoke alone; a validation or a test
reads a few batches.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from runner.core.budget import least_iterations
from runner.core.catalog import Catalog, Parameter, Tool, applies, complete, resolve
from runner.core.naming import RUN_DIR
from runner.core.plan import Plan, Stage

Json = dict[str, Any]
MAX_ITERATIONS = 12
MODEL_STAGE = "smoke_model"
MODEL_TOOL = "model.tiny"
# The CPU build compiles each kernel it first meets with the system's compiler: 22 s instead of 4.
ENV = {"MLX_DISABLE_COMPILE": "1"}


def shrink(plan: Plan, catalog: Catalog) -> Plan:
    """Return the smoke plan: a stage that makes the tiny model, and every stage at toy scale."""
    maker = catalog.get(MODEL_TOOL)
    if maker is None:
        raise KeyError(MODEL_TOOL)
    plan = _kept(plan, catalog)
    factor = _factor(plan, catalog)
    model = f"{RUN_DIR}/{MODEL_STAGE}/model"
    stages = tuple(
        replace(
            _shrunk(stage, _tool(stage, catalog), factor, model),
            trainer=_small(catalog.trainer.schema, stage.trainer, factor, catalog.trainer.schema),
        )
        for stage in plan.stages
    )
    if any(MODEL_STAGE in stage.after for stage in stages):
        depth = max((stage.params.get("num_layers") or 0 for stage in plan.stages), default=0)
        params = complete(maker.schema, {"path": model, "num_layers": max(2, depth)}, maker.schema)
        first = Stage(MODEL_STAGE, MODEL_TOOL, params, {"model": model})
        stages = (replace(first, description="Make the tiny base model of a smoke run."), *stages)
    return replace(plan, stages=stages, env={**plan.env, **ENV}, smoke=True)


def _kept(plan: Plan, catalog: Catalog) -> Plan:
    """Return the plan without stages that no smoke run may run: what uploads."""
    gone = {
        s.name for s in plan.stages if _tool(s, catalog).schema["x-tool"].get("smoke") == "skip"
    }
    stages = tuple(
        replace(stage, after=tuple(name for name in stage.after if name not in gone))
        for stage in plan.stages
        if stage.name not in gone
    )
    return replace(plan, stages=stages)


def _tool(stage: Stage, catalog: Catalog) -> Tool:
    tool = catalog.get(stage.tool)
    if tool is None:
        raise KeyError(stage.tool)
    return tool


def _factor(plan: Plan, catalog: Catalog) -> Fraction:
    """Return what iteration counts are divided by: the longest training keeps MAX_ITERATIONS."""
    longest = max(
        (
            stage.params[parameter.name]
            for stage in plan.stages
            for parameter in _tool(stage, catalog).parameters.values()
            if (said := parameter.schema.get("x-smoke", {})).get("total")
            and applies(said, stage.params)
        ),
        default=MAX_ITERATIONS,
    )
    return max(Fraction(longest, MAX_ITERATIONS), Fraction(1))


def _shrunk(stage: Stage, tool: Tool, factor: Fraction, model: str) -> Stage:
    params: Json = {}
    after = stage.after
    for parameter in tool.parameters.values():
        value = _small(parameter.schema, stage.params[parameter.name], factor, tool.schema)
        if _outside_model(parameter, stage.params, value):
            value = model
            after = (MODEL_STAGE, *after) if MODEL_STAGE not in after else after
        params[parameter.name] = value
    if stage.params.get("train") and "iters" in params:
        least = min(stage.params["iters"], least_iterations(params))
        params["iters"] = max(params["iters"], least)
    return replace(stage, params=params, after=after)


def _outside_model(parameter: Parameter, params: Mapping[str, Any], value: Any) -> bool:
    """Say whether a parameter reads a model that no stage of the recipe makes."""
    reads = parameter.input_kind(params) == "model"
    return bool(reads and isinstance(value, str) and RUN_DIR not in value)


def _scaled(schema: Json) -> bool:
    return bool(schema.get("x-smoke", {}).get("scale") == "iterations")


def _small(schema: Json, value: Any, factor: Fraction, root: Json) -> Any:
    """Return a value at toy scale, counts inside mappings and lists included."""
    schema = resolve(schema, root)
    said = schema.get("x-smoke", {})
    if "value" in said:
        return said["value"]
    if "at_most" in said and type(value) is int:
        return min(value, said["at_most"]) if value > 0 else said["at_most"]
    if _scaled(schema) and type(value) is int and value > 0:
        return max(1, math.floor(value / factor))
    if isinstance(value, dict):
        inside = {**schema.get("properties", {}), **dict(_branches(schema, value))}
        return {
            key: _small(inside.get(key, {}), child, factor, root) for key, child in value.items()
        }
    if isinstance(value, list):
        places = schema.get("prefixItems", [])
        return [
            _small(places[at] if at < len(places) else {}, child, factor, root)
            for at, child in enumerate(value)
        ]
    return value


def _branches(schema: Json, value: Json) -> Iterator[tuple[str, Json]]:
    """Yield the properties of the conditional branches that hold for `value`."""
    for branch in schema.get("allOf", ()):
        wanted = branch.get("if", {}).get("properties", {})
        if wanted and all(value.get(key) == said.get("const") for key, said in wanted.items()):
            yield from branch.get("then", {}).get("properties", {}).items()
