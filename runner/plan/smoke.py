"""A plan in, the same plan at toy scale out: tiny models, fewer iterations.

All counts of iterations shrink by one factor, so that warm-up, schedule, checkpoints and
validations keep their proportions and the smoke run itself breaks no rule. A validation or a test
reads a few batches. All outputs are written in the run directory, wherever the recipe puts them:
weights of a tiny model never replace real ones.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from fractions import Fraction
from typing import Any

from msgspec.structs import replace

from runner.base.constants import RUN_DIR, normal
from runner.catalog.architectures import Architectures
from runner.catalog.tools import Catalog, Parameter, Tool, applies, branches, complete, resolve
from runner.plan import stand_ins
from runner.plan.inputs import readings
from runner.plan.model import Plan, Stage
from runner.plan.staging import relocate_path
from runner.plan.stand_ins import NoStandInError, StandIn
from runner.plan.training import training

Json = dict[str, Any]
MAX_ITERATIONS = 12
MODEL_STAGE = "smoke_model"
MODEL_TOOL = "model.tiny"
ENV = {
    # The CPU build compiles each kernel it first meets with the system's compiler: 22 s, not 4.
    "MLX_DISABLE_COMPILE": "1",
    # What is not on this disk fails at once, and nobody is asked for it.
    "HF_HUB_OFFLINE": "1",
}


def shrink(plan: Plan, catalog: Catalog, kinds: Architectures, configs: Mapping[str, Json]) -> Plan:
    """Return the smoke plan: stages that make the tiny models, and every stage at toy scale.

    `configs` are the configurations that are known of models, by the names that `models` gives.
    Raises NoStandInError if no tiny model fits the recipe.
    """
    places = stand_ins.downloads(plan, catalog)
    plan = _inside(_without_network(plan, catalog), catalog)
    _require_made(plan, catalog, places)
    factor = _factor(plan, catalog)
    makers, models = _tiny_models(plan, catalog, kinds, configs, places)
    stages = tuple(
        replace(
            _shrink_stage(stage, _tool(stage, catalog), factor, models),
            trainer=_small(catalog.trainer.schema, stage.trainer, factor, catalog.trainer.schema),
        )
        for stage in plan.stages
    )
    return replace(plan, stages=(*makers, *stages), env={**plan.env, **ENV}, smoke=True)


def models(plan: Plan, catalog: Catalog) -> set[str]:
    """Return the names of models whose configurations `shrink` would like to know."""
    places = stand_ins.downloads(plan, catalog)
    return {
        name
        for family in stand_ins.families(plan, catalog, places)
        for path in family.models
        for name in stand_ins.names(path, places)
    }


def own(plan: Plan) -> set[str]:
    """Return the names of the stages that are a smoke plan's own."""
    return {one.name for one in plan.stages if plan.smoke and one.name.startswith(MODEL_STAGE)}


def _tiny_models(
    plan: Plan,
    catalog: Catalog,
    kinds: Architectures,
    configs: Mapping[str, Json],
    places: Mapping[str, tuple[str, str]],
) -> tuple[tuple[Stage, ...], dict[str, Stage]]:
    """Return the stages that make tiny models, and which of them makes which model's."""
    maker = catalog.get(MODEL_TOOL)
    if maker is None:
        raise KeyError(MODEL_TOOL)
    depth = max((stage.params.get("num_layers") or 0 for stage in plan.stages), default=0)
    made: list[tuple[StandIn, Stage]] = []
    models: dict[str, Stage] = {}
    for family in stand_ins.families(plan, catalog, places):
        chosen = stand_ins.choose(family, places, configs, kinds)
        same = [stage for one, stage in made if _alike(one, chosen)]
        if not same:
            name = f"{MODEL_STAGE}_{len(made) + 1}" if made else MODEL_STAGE
            path = f"{RUN_DIR}/{name}/model"
            given = {"path": path, "num_layers": max(2, depth)}
            given |= {"architecture": chosen.architecture, "config": chosen.config}
            stage = Stage(
                name=name,
                tool=MODEL_TOOL,
                params=complete(maker.schema, given, maker.schema),
                outputs={"model": path},
                description=f"Make the tiny base model of a smoke run: {chosen.architecture}, "
                f"{chosen.why}.",
            )
            made.append((chosen, stage))
            same = [stage]
        models |= dict.fromkeys(family.models, same[0])
    return tuple(stage for _, stage in made), models


def _alike(one: StandIn, other: StandIn) -> bool:
    return (one.architecture, one.config) == (other.architecture, other.config)


def _require_made(plan: Plan, catalog: Catalog, places: Mapping[str, tuple[str, str]]) -> None:
    """Raise NoStandInError if a stage reads, other than a model, what is not downloaded."""
    for stage in plan.stages:
        for one in readings(stage, catalog):
            source = stand_ins.fetched(one.path, places) if RUN_DIR in one.path else None
            if source and one.kind != "model":
                name, repository = source
                why = f"a smoke run downloads nothing, and stage '{stage.name}' reads "
                why += f"'{one.parameter}' of '{repository}', which '{name}' downloads"
                hint = f"give '{name}' a local_dir, and download it once: "
                hint += f"run-recipe {plan.file} --only {name}"
                raise NoStandInError(why, hint, stage.name, one.parameter.split("."))


def _without_network(plan: Plan, catalog: Catalog) -> Plan:
    """Return the plan without stages that no smoke run may run: what downloads or uploads."""
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
            stage.params[parameter.name] or 0
            for stage in plan.stages
            for parameter in _tool(stage, catalog).parameters.values()
            if (rule := parameter.schema.get("x-smoke", {})).get("total")
            and applies(rule, stage.params)
        ),
        default=MAX_ITERATIONS,
    )
    return max(Fraction(longest, MAX_ITERATIONS), Fraction(1))


def _shrink_stage(stage: Stage, tool: Tool, factor: Fraction, models: Mapping[str, Stage]) -> Stage:
    params: Json = {}
    after = stage.after
    for parameter in tool.parameters.values():
        value = _small(parameter.schema, stage.params[parameter.name], factor, tool.schema)
        maker = _tiny(parameter, stage.params, value, models)
        if maker is not None:
            value = maker.outputs["model"]
            after = (maker.name, *after) if maker.name not in after else after
        params[parameter.name] = value
    smaller, before = replace(stage, params=params, after=after), training(stage, tool)
    one = training(smaller, tool)
    if before is None or one is None or tool.trains is None:
        return smaller
    least = max(one.iterations, min(before.iterations or MAX_ITERATIONS, one.least))
    if not before.iterations:  # its tool takes the length from elsewhere
        least = max(least, MAX_ITERATIONS)
    return replace(smaller, params={**params, tool.trains.iterations: least})


def _tiny(
    parameter: Parameter, params: Mapping[str, Any], value: Any, models: Mapping[str, Stage]
) -> Stage | None:
    """Return the stage that makes the tiny model in the place of one from outside."""
    reads = parameter.input_kind(params) == "model" and isinstance(value, str)
    return models.get(value) if reads else None


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
