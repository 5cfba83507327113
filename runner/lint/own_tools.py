"""A stage of our own tool -> what the tool would refuse during the run, in its own words.

An input is checked only if it is on this disk now and no stage writes it.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from runner.base.constants import RUN_DIR
from runner.base.errors import ToolError
from runner.base.problems import Mark, Problem, listing
from runner.catalog import load
from runner.command.argv import invoke
from runner.lint.facts import Finding
from runner.plan.inputs import readings
from runner.system.workers import Crew

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from runner.catalog.tools import Tool
    from runner.data.refusals import Precheck
    from runner.plan.model import Plan, Stage

_HINT = "if intended, allow this rule"


class PrecheckResult(Struct, frozen=True, kw_only=True):
    """What a tool reports about a stage: refusals, the row of each, and what was not checked.

    None if there is nothing to report.
    """

    refusal: Finding | None = None
    row: Problem | None = None
    gap: Finding | None = None


def precheck(
    plan: Plan, stage: Stage, tool: Tool, *, rows: bool, workers: int = 1, own: Collection[str] = ()
) -> PrecheckResult:
    """Return what the stage's tool, one of ours, says; without `rows` of its parameters alone.

    `own` are outputs that the run made itself, or that no stage writes now.
    """
    ahead: Precheck = import_module(tool.main[0]).AHEAD
    makers, absent = _inputs(plan, stage, ahead.run_only)
    words = invoke(stage, tool).arguments
    with Crew(workers) as crew:
        try:
            readable = rows and not makers and not absent
            open_models = ahead.look(words, crew if readable else None, own)
        except ToolError as error:
            return _refusal(stage, error)
        except OSError as error:
            return PrecheckResult(
                refusal=Finding(parameter="", message=f"{stage.tool} would fail: {error}")
            )
    return PrecheckResult(gap=_gap(stage, makers, open_models) if rows else None)


def _inputs(plan: Plan, stage: Stage, run_only: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return the stages that make what a stage reads, by parameter, and what is not there."""
    makers, absent = {}, []
    for one in readings(stage, load.catalog(plan.tools)):
        if one.parameter in run_only or one.kind == "model":
            continue
        maker = plan.maker(one.path, stage)
        if maker is not None:
            makers[one.parameter] = maker.name
        elif RUN_DIR in one.path or not Path(one.path).exists():
            absent.append(one.path)
    return makers, absent


def _refusal(stage: Stage, error: ToolError) -> PrecheckResult:
    if error.problem is not None:
        note: tuple[Mark | None, str] = (None, f"{stage.tool} would fail there, in '{stage.name}'")
        return PrecheckResult(row=replace(error.problem, notes=(*error.problem.notes, note)))
    message, _, hint = str(error).partition("\n    hint: ")
    if not hint:
        message, _, hint = message.partition(". ")
        hint = f"{hint[:1].lower()}{hint[1:]}"
    return PrecheckResult(
        refusal=Finding(
            parameter=error.at, message=f"{stage.tool} would fail: {message}", hint=hint
        )
    )


def _gap(stage: Stage, makers: dict[str, str], open_models: Sequence[str]) -> Finding | None:
    if makers:
        name, maker = next(iter(makers.items()))
        why = f"stage '{maker}' creates it"
        others = f" and {listing(list(makers)[1:])}" if len(makers) > 1 else ""
        return Finding(
            parameter=name,
            message=f"{stage.tool} could not check its {name}{others} yet: {why}",
            hint=_HINT,
        )
    if open_models:
        why = f"{stage.tool} could not check its rows with the tokenizer of its {open_models[0]}"
        return Finding(
            parameter=open_models[0], message=f"{why}: it is loaded only during the run", hint=_HINT
        )
    return None
