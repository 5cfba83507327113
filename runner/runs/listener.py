"""The interface for whoever receives the events of a run."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from runner.plan.model import Stage
from runner.runs.decisions import Action
from runner.runs.manifest import Manifest, StageRecord


class Reporter(Protocol):
    """Who hears what happens; each call returns at once."""

    def run_started(self, manifest: Manifest, actions: Sequence[Action]) -> None:
        """Hear that a run begins, and what will be done."""

    def stage_started(self, stage: Stage, action: Action, number: int, total: int) -> None:
        """Hear that a stage begins, or is skipped."""

    def event(self, stage: Stage, event: Mapping[str, Any]) -> None:
        """Hear a metric of a running stage."""

    def stage_ended(self, stage: Stage, record: StageRecord) -> None:
        """Hear how a stage ended."""

    def run_ended(self, manifest: Manifest) -> None:
        """Hear how the run ended."""
