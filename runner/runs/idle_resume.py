"""A run that already matches its recipe: nothing is run, and nothing is written."""

import os
from pathlib import Path

from runner.plan.model import Plan
from runner.runs import history
from runner.runs.decide import Decision
from runner.runs.listener import Reporter
from runner.runs.manifest import Manifest, State


def done(plan: Plan, before: Manifest, decision: Decision) -> bool:
    """Return whether a run is what a plan asks for: nothing is to do, and nothing to write down."""
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
