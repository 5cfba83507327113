"""Who hears a run: a person, a log or a program, as they ask for it."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from runner.plan.model import Stage
from runner.report.console.plain import Plain, Quiet, Silent
from runner.runs.decisions import Action
from runner.runs.manifest import Manifest, StageRecord
from runner.system import printer

if TYPE_CHECKING:
    from runner.runs.listener import Reporter


@contextmanager
def reporter(
    style: str, color: str = "auto", *, quiet: bool = False, notes: Sequence[str] = ()
) -> Iterator["Reporter"]:
    """Give the reporter for ``--format`` and ``--color``: live only where a person looks.

    `notes` are lines to say when the run starts.
    """
    if style == "json":
        yield JsonLines(notes)
    elif quiet:
        yield Quiet()
    elif color != "never" and (sys.stderr.isatty() or color == "always") and _capable():
        from runner.report.console.live import Live  # rich takes 50 ms

        live = Live(color, notes)
        try:
            yield live
        finally:
            live.close()
    else:
        yield Plain(notes)


def _capable() -> bool:
    return os.environ.get("TERM", "") != "dumb" and not os.environ.get("CI")


class Several(Silent):
    """Tells several reporters the same, one after the other."""

    def __init__(self, *reporters: "Reporter") -> None:
        self._reporters = reporters

    def run_started(self, manifest: Manifest, actions: Sequence[Action]) -> None:
        """Tell each."""
        for one in self._reporters:
            one.run_started(manifest, actions)

    def stage_started(self, stage: Stage, action: Action, number: int, total: int) -> None:
        """Tell each."""
        for one in self._reporters:
            one.stage_started(stage, action, number, total)

    def event(self, stage: Stage, event: Mapping[str, Any]) -> None:
        """Tell each."""
        for one in self._reporters:
            one.event(stage, event)

    def stage_ended(self, stage: Stage, record: StageRecord) -> None:
        """Tell each."""
        for one in self._reporters:
            one.stage_ended(stage, record)

    def run_ended(self, manifest: Manifest) -> None:
        """Tell each."""
        for one in self._reporters:
            one.run_ended(manifest)


class JsonLines(Silent):
    """One JSON object an event on stdout, for programs."""

    def __init__(self, notes: Sequence[str] = ()) -> None:
        self._notes = notes

    def run_started(self, manifest: Manifest, actions: Sequence[Action]) -> None:
        """Print the run's folder and stages."""
        facts = {"run": manifest.id, "folder": manifest.folder, "notes": list(self._notes)}
        _json("run", **facts, actions=[str(action) for action in actions])

    def stage_started(self, stage: Stage, action: Action, number: int, total: int) -> None:
        """Print that a stage begins."""
        facts = {"stage": stage.name, "tool": stage.tool, "number": number, "total": total}
        _json("stage-started", **facts, do=action.do, cause=action.cause)

    def event(self, stage: Stage, event: Mapping[str, Any]) -> None:
        """Print a metric."""
        figures = {k: v for k, v in event.items() if k not in {"event", "text"}}
        if event.get("event") == "said":
            _json("said", stage=stage.name, text=event.get("text"), **figures)
        else:
            _json("metric", stage=stage.name, kind=event.get("event"), **figures)

    def stage_ended(self, stage: Stage, record: StageRecord) -> None:
        """Print a stage's record."""
        _json("stage-ended", **record.as_json())

    def run_ended(self, manifest: Manifest) -> None:
        """Print how the run ended."""
        _json("run-ended", run=manifest.id, state=manifest.state, exit_code=manifest.exit_code)


def _json(what: str, **event: Any) -> None:
    with suppress(OSError):
        printer.show_json({"event": what, **event}, indent=None)
