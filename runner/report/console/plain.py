"""What a log sees of a run, a line an event; and how all views speak on stdout and stderr."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from runner.base import visible
from runner.catalog import load
from runner.plan.model import Stage
from runner.plan.training import Training, trainings
from runner.report import wording
from runner.report.eta import Outlook
from runner.runs.decisions import Action
from runner.runs.manifest import Manifest, StageRecord, State
from runner.system import printer


class Silent:
    """Says nothing."""

    def run_started(self, manifest: Manifest, actions: Sequence[Action]) -> None:
        """Say nothing."""

    def stage_started(self, stage: Stage, action: Action, number: int, total: int) -> None:
        """Say nothing."""

    def event(self, stage: Stage, event: Mapping[str, Any]) -> None:
        """Say nothing."""

    def stage_ended(self, stage: Stage, record: StageRecord) -> None:
        """Say nothing."""

    def run_ended(self, manifest: Manifest) -> None:
        """Say nothing."""


class Quiet(Silent):
    """Says only what goes wrong."""

    def stage_ended(self, stage: Stage, record: StageRecord) -> None:
        """Say how a stage failed."""
        if record.state is not State.FINISHED:
            say(wording.failure_text(stage, record))


class Plain(Quiet):
    """One line an event, for logs and CI."""

    def __init__(self, notes: Sequence[str] = ()) -> None:
        self._lead = ""
        self._notes = notes
        self._trainings: Mapping[str, Training] = {}
        self._outlook = Outlook({})

    def _say(self, text: str) -> None:
        say(text)

    def run_started(self, manifest: Manifest, actions: Sequence[Action]) -> None:
        """Say which run begins and where it is."""
        stages = [manifest.plan.stage(action.stage) for action in actions]
        self._trainings = trainings(stages, load.catalog(manifest.plan.tools))
        self._outlook = Outlook(self._trainings)
        self._say("\n".join([*self._notes, wording.begins(manifest, actions)]))

    def stage_started(self, stage: Stage, action: Action, number: int, total: int) -> None:
        """Say which stage begins."""
        self._lead = f"[{number}/{total}] {stage.name}:"
        if action.do == "skip":
            self._say(f"{self._lead} skipped: {action.cause}")
            return
        self._say(
            f"{self._lead} {stage.tool}{wording.why(action)}"
            + (f", {visible.line(stage.description)}" if stage.description else "")
        )

    def event(self, stage: Stage, event: Mapping[str, Any]) -> None:
        """Say a metric."""
        self._outlook.hear(stage, event)
        line = wording.metric(self._trainings.get(stage.name), event, self._outlook.of(stage))
        if line:
            self._say(f"{self._lead} {line}")

    def stage_ended(self, stage: Stage, record: StageRecord) -> None:
        """Say how a stage ended."""
        if record.state is State.FINISHED:
            for text in (wording.success_text(record), *wording.unenforced(record)):
                self._say(f"{self._lead} {text}")
        else:
            self._say(wording.failure_text(stage, record))

    def run_ended(self, manifest: Manifest) -> None:
        """Say how the run ended and where everything is."""
        show(wording.ending(manifest))


def say(text: str) -> None:
    """Tell a person, on stderr."""
    with suppress(OSError):  # who listened is gone; the training goes on
        printer.say(text)


def show(text: str) -> None:
    """Print the payload, on stdout."""
    with suppress(OSError):
        printer.show(text)
