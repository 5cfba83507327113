"""A plan in, a recipe with every value out: the ``recipe.yaml`` of a run."""

from collections.abc import Iterator
from typing import Any

from runner.base import visible
from runner.base.constants import RUN_DIR, upward
from runner.base.formatting import pretty_json
from runner.plan.model import Plan, Stage
from runner.plan.train_options import nested
from runner.recipe.template.render import literal
from runner.recipe.yaml_scalars import scalar

TOOLS = ".tools"
"""The folder beside it that holds the files of tools which the recipe brings along."""


def recipe_text(plan: Plan) -> str:
    """Return a recipe without inheritance and templates that compiles to the same plan."""
    return "\n".join(
        (*_head(plan), *(line for stage in plan.stages for line in _stage(stage, plan)), "")
    )


def _head(plan: Plan) -> Iterator[str]:
    yield f"# Resolved by run-recipe from {visible.line(' '.join(plan.file.split()))}."
    yield "version: 1"
    yield f"name: {pretty_json(plan.name)}"
    if plan.description:
        yield f"description: {pretty_json(literal(plan.description))}"
    if plan.vars:
        yield f"vars: {pretty_json(dict(plan.vars))}"
    if plan.track:
        yield f"track: {pretty_json({name: dict(options) for name, options in plan.track.items()})}"
    if plan.tools:
        yield f"tools: {pretty_json({name: f'{TOOLS}/{name}.json' for name in plan.tools})}"
    yield "stages:"


def _stage(stage: Stage, plan: Plan) -> Iterator[str]:
    yield f"  {stage.name if isinstance(scalar(stage.name), str) else pretty_json(stage.name)}:"
    yield f"    tool: {stage.tool}"
    if stage.description:
        yield f"    description: {pretty_json(literal(stage.description))}"
    if stage.after:
        yield f"    needs: {pretty_json(list(stage.after))}"
    if stage.timeout:
        yield f"    timeout: {stage.timeout}"
    if stage.retry.attempts > 1:
        limits = {"attempts": stage.retry.attempts, "backoff": stage.retry.backoff}
        delay = {"delay": stage.retry.delay} if stage.retry.delay else {}
        yield f"    retry: {pretty_json({**limits, **delay})}"
    if stage.launch:
        yield f"    launch: {pretty_json(dict(stage.launch), 4)}"
    yield from _training(stage, plan)
    for key in ("expect", "allow"):
        if getattr(stage, key):
            yield f"    {key}: {pretty_json(list(getattr(stage, key)))}"
    yield "    params:"
    own = f"{RUN_DIR}/{stage.name}/"
    for name, value in stage.params.items():
        if not (isinstance(value, str) and value.startswith(own)):
            yield f"      {name}: {pretty_json(_value(value, plan), 6)}"


def _training(stage: Stage, plan: Plan) -> Iterator[str]:
    for key, value in nested(stage.trainer).items():
        yield f"    {key}: {pretty_json(_value(value, plan), 4)}"
    if stage.continues:
        yield "    continue: true"


def _value(value: Any, plan: Plan) -> Any:
    if isinstance(value, dict):
        return {key: _value(child, plan) for key, child in value.items()}
    if isinstance(value, list):
        return [_value(child, plan) for child in value]
    if not isinstance(value, str):
        return value
    source = next((path for path in upward(value) if path in plan.outputs_by_path), None)
    if RUN_DIR in value and source is not None:
        stage, output = plan.outputs_by_path[source]
        return f"{{{{ stages.{stage}.{output} }}}}{literal(value.removeprefix(source))}"
    return literal(value)
