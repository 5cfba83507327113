"""What a person, a log or a program sees of a run while it happens."""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from runner.core import telling
from runner.core.manifest import Manifest, StageRecord, State
from runner.core.plan import Stage
from runner.core.schedule import Action

if TYPE_CHECKING:
    from runner.edges.reporter import Reporter


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
        from runner.edges.live import Live  # noqa: PLC0415  (rich takes 50 ms)

        live = Live(color, notes)
        try:
            yield live
        finally:
            live.close()
    else:
        yield Plain(notes)


def _capable() -> bool:
    return os.environ.get("TERM", "") != "dumb" and not os.environ.get("CI")


class Silent:
    """Says nothing; also the words the others share."""

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


class Quiet(Silent):
    """Says only what goes wrong."""

    def stage_ended(self, stage: Stage, record: StageRecord) -> None:
        """Say how a stage failed."""
        if record.state is not State.FINISHED:
            say(telling.failed(stage, record))


class Plain(Quiet):
    """One line an event, for logs and CI."""

    def __init__(self, notes: Sequence[str] = ()) -> None:
        self._lead = ""
        self._notes = notes

    def _say(self, text: str) -> None:
        say(text)

    def run_started(self, manifest: Manifest, actions: Sequence[Action]) -> None:
        """Say which run begins and where it is."""
        self._say("\n".join([*self._notes, telling.begins(manifest, actions)]))

    def stage_started(self, stage: Stage, action: Action, number: int, total: int) -> None:
        """Say which stage begins."""
        self._lead = f"[{number}/{total}] {stage.name}:"
        if action.do == "skip":
            self._say(f"{self._lead} skipped, {action.cause}")
            return
        self._say(
            f"{self._lead} {stage.tool}{telling.why(action)}"
            + (f", {stage.description}" if stage.description else "")
        )

    def event(self, stage: Stage, event: Mapping[str, Any]) -> None:
        """Say a metric."""
        line = telling.metric(stage, event)
        if line:
            self._say(f"{self._lead} {line}")

    def stage_ended(self, stage: Stage, record: StageRecord) -> None:
        """Say how a stage ended."""
        if record.state is State.FINISHED:
            for said in (telling.finished(record), *telling.unenforced(record)):
                self._say(f"{self._lead} {said}")
        else:
            self._say(telling.failed(stage, record))

    def run_ended(self, manifest: Manifest) -> None:
        """Say how the run ended and where everything is."""
        show(telling.ending(manifest))


class JsonLines(Silent):
    """One JSON object an event on stdout, for programs."""

    def __init__(self, notes: Sequence[str] = ()) -> None:
        self._notes = notes

    def run_started(self, manifest: Manifest, actions: Sequence[Action]) -> None:
        """Print the run's folder and stages."""
        said = {"run": manifest.id, "folder": manifest.folder, "notes": list(self._notes)}
        _json("run", **said, actions=[str(action) for action in actions])

    def stage_started(self, stage: Stage, action: Action, number: int, total: int) -> None:
        """Print that a stage begins."""
        said = {"stage": stage.name, "tool": stage.tool, "number": number, "total": total}
        _json("stage-started", **said, do=action.do, cause=action.cause)

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


def say(text: str) -> None:
    """Tell a person, on stderr."""
    with suppress(OSError):  # who listened is gone; the training goes on
        print(text, file=sys.stderr, flush=True)  # noqa: T201


def show(text: str) -> None:
    """Print the payload, on stdout."""
    with suppress(OSError):
        print(text, flush=True)  # noqa: T201


def _json(what: str, **event: Any) -> None:
    show(json.dumps({"event": what, **event}))
