"""A run that is what its recipe asks for still: nothing is run, nothing written, nothing compiled.

What a recipe became is kept as an answer: the digest of its plan, and what was said before it ran.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from runner.cache import answers
from runner.cache.inputs import World
from runner.catalog.tools import Catalog
from runner.plan.model import Plan
from runner.runs import history
from runner.runs.decide import Decision, decide
from runner.runs.listener import Reporter
from runner.runs.manifest import Manifest, State


def keep(
    question: Path | None,
    world: World,
    plan: Plan,
    notes: Sequence[str],
    gaps: Sequence[str],
    *,
    whole: bool,
) -> None:
    """Keep what a recipe became, its `notes` and its `gaps`, where nothing was wrong with it.

    The `whole` of it was looked at, or only what some stages read.
    """
    remarks = {"notes": [*notes], "gaps": [*gaps]}
    note = {"name": plan.name, "digest": plan.digest, **remarks, "whole": whole}
    answers.keep(question, world, json.dumps(note))


def sound(question: Path | None, plan: Plan) -> list[str] | None:
    """Return the notes on a plan whose whole was looked at before; None where that is not known."""
    note = json.loads(answers.recall(question) or "{}")
    notes: list[str] = [*note.get("notes", []), *note.get("gaps", [])]
    return notes if note.get("digest") == plan.digest and note["whole"] else None


def recall(
    question: Path | None, runs: Path, run: str, *, smoke: bool
) -> tuple[Manifest, list[str]] | None:
    """Return the run to go on from, if the recipe would become its very plan again, and the notes.

    Raises RecipeError where there is no such run.
    """
    answer = answers.recall(question)
    if answer is None:
        return None
    note = json.loads(answer)
    before = history.to_resume(runs, run, note["name"], smoke=smoke)
    return (before, note["notes"]) if before.plan.digest == note["digest"] else None


def at_rest(before: Manifest, catalog: Catalog, runs: Path) -> Decision | None:
    """Return why each stage of a run is left as it is, None where something is to do."""
    names = [stage.name for stage in before.plan.stages]
    decision = decide(before.plan, catalog, names, before, runs)
    return decision if done(before.plan, before, decision) else None


def done(plan: Plan, before: Manifest, decision: Decision) -> bool:
    """Say whether a run is what a plan asks for: nothing is to do, and nothing to write down."""
    over = before.state is State.FINISHED and not before.exit_code
    idle = over and all(action.do == "skip" for action in decision.actions)
    return idle and (before.plan is plan or before.plan == plan)


def tell(before: Manifest, decision: Decision, reporter: Reporter) -> Manifest:
    """Tell that there is nothing to do; the run is the one last worked on, and stays as it is."""
    history.link(Path(before.folder))
    os.utime(Path(before.folder) / "run.json")
    reporter.run_started(before, decision.actions)
    for number, action in enumerate(decision.actions, start=1):
        stage = before.plan.stage(action.stage)
        reporter.stage_started(stage, action, number, len(decision.actions))
    reporter.run_ended(before)
    return before
