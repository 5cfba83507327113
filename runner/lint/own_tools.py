"""A stage of a tool of ours -> what the tool would refuse when its turn comes, as it says itself.

What it reads is looked at where it is on this disk now and no stage makes it anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from runner.base.constants import RUN_DIR
from runner.base.errors import ToolError
from runner.base.problems import Mark, Problem, listing
from runner.catalog import load
from runner.command.argv import invoke
from runner.lint.facts import Finding
from runner.plan.inputs import readings
from runner.system.workers import Crew

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.catalog.tools import Tool
    from runner.data.refusals import Ahead
    from runner.plan.model import Plan, Stage

_HINT = "allow this rule where that is meant"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool says of a stage: what it refuses, the row at which, and what was not looked at.

    None where there is nothing to say.
    """

    refused: Finding | None = None
    row: Problem | None = None
    unseen: Finding | None = None


def asked(plan: Plan, stage: Stage, tool: Tool, *, rows: bool, workers: int = 1) -> Answer:
    """Return what the stage's tool, one of ours, says; without `rows` of its parameters alone."""
    ahead: Ahead = import_module(tool.main[0]).AHEAD
    made, absent = _inputs(plan, stage, ahead.unasked)
    words = invoke(stage, tool).arguments
    with Crew(workers) as crew:
        try:
            left = ahead.look(words, crew if rows and not made and not absent else None)
        except ToolError as error:
            return _refusal(stage, error)
        except OSError as error:
            return Answer(Finding("", f"{stage.tool} would stop: {error}"))
    return Answer(unseen=_unseen(stage, made, left) if rows else None)


def _inputs(plan: Plan, stage: Stage, unasked: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return the stages that make what a stage reads, by parameter, and what is not there."""
    made, absent = {}, []
    for name, kind, path in readings(stage, load.catalog()):
        if name in unasked or kind == "model":
            continue
        maker = plan.maker(path, stage)
        if maker is not None:
            made[name] = maker.name
        elif RUN_DIR in path or not Path(path).exists():
            absent.append(path)
    return made, absent


def _refusal(stage: Stage, error: ToolError) -> Answer:
    if error.problem is not None:
        note: tuple[Mark | None, str] = (None, f"{stage.tool} would stop there, in '{stage.name}'")
        return Answer(row=replace(error.problem, notes=(*error.problem.notes, note)))
    message, _, hint = str(error).partition("\n    hint: ")
    if not hint:
        message, _, hint = message.partition(". ")
        hint = f"{hint[:1].lower()}{hint[1:]}"
    return Answer(Finding(error.at, f"{stage.tool} would stop: {message}", hint))


def _unseen(stage: Stage, made: dict[str, str], left: Sequence[str]) -> Finding | None:
    if made:
        name, maker = next(iter(made.items()))
        why = f"stage '{maker}' makes it"
        others = f" and {listing(list(made)[1:])}" if len(made) > 1 else ""
        return Finding(name, f"whether {stage.tool} takes its {name}{others} is open: {why}", _HINT)
    if left:
        why = f"whether the tokenizer of its {left[0]} takes the rows of {stage.tool} is open"
        return Finding(left[0], f"{why}: only the run loads it", _HINT)
    return None
