"""A plan in, the same plan at toy scale out: a tiny base model, counts of iterations shrunk.

All counts measured in iterations shrink by one factor, so that warm-up, schedule, checkpoints and
validations keep their proportions and no rule is broken by smoke alone; a validation or a test
reads a few batches. Whatever a stage makes is made in the run directory, wherever the recipe puts
it: weights of a tiny model never replace real ones.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from fractions import Fraction
from typing import Any

from msgspec.structs import replace

from runner.base.constants import RUN_DIR, normal
from runner.catalog.tools import Catalog, Parameter, Tool, applies, branches, complete, resolve
from runner.plan.inputs import readings
from runner.plan.model import Plan, Stage
from runner.plan.staging import relocate_path
from runner.plan.training import training

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
    plan = _inside(_without_uploads(plan, catalog), catalog)
    factor = _factor(plan, catalog)
    model = f"{RUN_DIR}/{MODEL_STAGE}/model"
    downloads = tuple(
        f"{RUN_DIR}/{stage.name}/" for stage in plan.stages if _fetches(stage, catalog)
    )
    stages = tuple(
        replace(
            _shrink_stage(stage, _tool(stage, catalog), factor, model, downloads),
            trainer=_small(catalog.trainer.schema, stage.trainer, factor, catalog.trainer.schema),
        )
        for stage in plan.stages
    )
    if any(MODEL_STAGE in stage.after for stage in stages):
        depth = max((stage.params.get("num_layers") or 0 for stage in plan.stages), default=0)
        params = complete(maker.schema, {"path": model, "num_layers": max(2, depth)}, maker.schema)
        first = Stage(name=MODEL_STAGE, tool=MODEL_TOOL, params=params, outputs={"model": model})
        stages = (replace(first, description="Make the tiny base model of a smoke run."), *stages)
    return replace(plan, stages=stages, env={**plan.env, **ENV}, smoke=True)


def _without_uploads(plan: Plan, catalog: Catalog) -> Plan:
    """Return the plan without stages that no smoke run may run: what uploads."""
    skip = {
        s.name for s in plan.stages if _tool(s, catalog).schema["x-tool"].get("smoke") == "skip"
    }
    stages = tuple(
        replace(stage, after=tuple(name for name in stage.after if name not in skip))
        for stage in plan.stages
        if stage.name not in skip
    )
    return replace(plan, stages=stages)


def _inside(plan: Plan, catalog: Catalog) -> Plan:
    """Return the plan with every output in its stage's own folder, where later stages read it."""
    moves: dict[str, str] = {}
    stages = []
    for stage in plan.stages:
        tool = _tool(stage, catalog)
        reading = _reading(stage, {one.parameter for one in readings(stage, catalog)}, moves)
        params = {**reading.params, **dict(_elsewhere(reading, tool))}
        outputs = {name: tool.outputs[name].at(params) for name in stage.outputs}
        stages.append(replace(reading, params=params, outputs=outputs))
        moves |= {path: outputs[name] for name, path in stage.outputs.items() if path}
    return replace(plan, stages=tuple(stages))


def _reading(stage: Stage, read: Collection[str], moves: Mapping[str, str]) -> Stage:
    """Return a stage whose parameters that `read` name what earlier ones make where it is now."""

    def relocate(value: Any) -> Any:
        if isinstance(value, list):
            return [relocate(child) for child in value]
        if isinstance(value, dict):
            return {name: relocate(child) for name, child in value.items()}
        return relocate_path(value, moves) if isinstance(value, str) else value

    def fill(section: Mapping[str, Any], above: str = "") -> Json:
        return {name: relocate(v) if f"{above}{name}" in read else v for name, v in section.items()}

    launch = fill(stage.launch, "launch.")
    return replace(stage, params=fill(stage.params), trainer=fill(stage.trainer), launch=launch)


def _elsewhere(stage: Stage, tool: Tool) -> Iterator[tuple[str, str]]:
    """Yield each parameter that lets a stage write outside of its own folder, and its place there.

    What is a cache is written where it is not there yet, and else read: it is real models'.
    """
    own = f"{RUN_DIR}/{stage.name}/"
    for output in tool.outputs.values():
        path = stage.params[output.param] if output.param else None
        if output.param is None or not isinstance(path, str):
            continue
        cache = tool.parameters[output.param].input_kind(stage.params) == "cache"
        makes = applies({"when": output.when}, stage.params) or (cache and RUN_DIR not in path)
        if makes and not normal(path).startswith(own):
            yield output.param, output.within(stage.name)


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
            if (rule := parameter.schema.get("x-smoke", {})).get("total")
            and applies(rule, stage.params)
        ),
        default=MAX_ITERATIONS,
    )
    return max(Fraction(longest, MAX_ITERATIONS), Fraction(1))


def _fetches(stage: Stage, catalog: Catalog) -> bool:
    """Say whether a stage brings from the hub what no stage of the recipe makes."""
    return any(one.input_kind(stage.params) == "hub" for one in _tool(stage, catalog).inputs)


def _shrink_stage(
    stage: Stage, tool: Tool, factor: Fraction, model: str, downloads: tuple[str, ...]
) -> Stage:
    params: Json = {}
    after = stage.after
    for parameter in tool.parameters.values():
        value = _small(parameter.schema, stage.params[parameter.name], factor, tool.schema)
        if _outside_model(parameter, stage.params, value, downloads):
            value = model
            after = (MODEL_STAGE, *after) if MODEL_STAGE not in after else after
        params[parameter.name] = value
    smaller, before = replace(stage, params=params, after=after), training(stage, tool)
    one = training(smaller, tool)
    if before is None or one is None or tool.trains is None:
        return smaller
    least = max(one.iterations, min(before.iterations, one.least))
    return replace(smaller, params={**params, tool.trains.iterations: least})


def _outside_model(
    parameter: Parameter, params: Mapping[str, Any], value: Any, downloads: tuple[str, ...]
) -> bool:
    """Say whether a parameter reads a model that no stage makes, or one of the `downloads`."""
    if parameter.input_kind(params) != "model" or not isinstance(value, str):
        return False
    return RUN_DIR not in value or value.startswith(downloads)


def _scales(schema: Json) -> bool:
    return bool(schema.get("x-smoke", {}).get("scale") == "iterations")


def _small(schema: Json, value: Any, factor: Fraction, root: Json) -> Any:
    """Return a value at toy scale, counts inside mappings and lists included."""
    schema = resolve(schema, root)
    rule = schema.get("x-smoke", {})
    if "value" in rule:
        return rule["value"]
    if "at_most" in rule and type(value) is int:
        return min(value, rule["at_most"]) if value > 0 else rule["at_most"]
    if _scales(schema) and type(value) is int and value > 0:
        return max(1, math.floor(value / factor))
    if isinstance(value, dict):
        inside = {**schema.get("properties", {}), **dict(branches(schema, value))}
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
