"""What a person at a terminal sees of a run: every stage in a row, redrawn as it goes."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, TextIO, cast

from rich.console import Console, Group, RenderableType
from rich.live import Live as Screen
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from runner.base import visible
from runner.base.formatting import duration, figure
from runner.plan.model import Stage
from runner.plan.training import Training
from runner.report import wording
from runner.report.console.plain import Plain, show
from runner.runs.decisions import Action
from runner.runs.manifest import Manifest, StageRecord, State

_FIGURES = {
    "train_loss": "train",
    "val_loss": "val",
    "test_loss": "test",
    "tokens_per_second": "tok/s",
    "peak_memory": "GB",
}
_SIGNS = {
    State.PENDING: ("\u00b7", "dim"),
    State.FINISHED: ("\u2713", "green"),
    State.FAILED: ("\u2717", "red"),
    State.INTERRUPTED: ("\u2013", "yellow"),
}
_BAR = 24
_COLUMNS = 6


class Live(Plain):
    """A row for each stage: its state, its progress, its figures, its time."""

    def __init__(self, color: str, notes: Sequence[str] = ()) -> None:
        super().__init__(notes)
        plain = "NO_COLOR" in os.environ and color != "always"
        there = cast("TextIO", _Terminal(sys.stderr))
        console = Console(file=there, no_color=plain, force_terminal=color == "always" or None)
        self._rows: dict[str, _Row] = {}
        self._last_event = self._start = time.monotonic()
        self._screen = Screen(
            console=console, get_renderable=self._render, refresh_per_second=4, transient=True
        )
        self._screen.start()

    def close(self) -> None:
        """Give the terminal back."""
        self._screen.stop()

    def run_started(self, manifest: Manifest, actions: Sequence[Action]) -> None:
        """Say which run begins and where it is; show its stages."""
        super().run_started(manifest, actions)
        stages = [manifest.plan.stage(action.stage) for action in actions]
        self._rows = {one.name: _Row(one, self._trainings.get(one.name)) for one in stages}

    def stage_started(self, stage: Stage, action: Action, number: int, total: int) -> None:
        """Show that a stage runs; one that is skipped is done."""
        self._lead = f"[{number}/{total}] {stage.name}:"
        row = self._rows[stage.name]
        state = State.FINISHED if action.do == "skip" else State.RUNNING
        row.record = StageRecord(name=stage.name, state=state)
        row.start = time.monotonic()
        row.text = f"skipped: {action.cause}" if action.do == "skip" else stage.tool
        if action.do == "skip":
            self._outlook.drop(stage)

    def event(self, stage: Stage, event: Mapping[str, Any]) -> None:
        """Move the bar, and show the metrics; messages stay above."""
        self._last_event = time.monotonic()
        row = self._rows[stage.name]
        row.hear(event)
        if event.get("event") in {"train", "val", "test"}:
            self._outlook.hear(stage, event)
        else:
            super().event(stage, event)

    def stage_ended(self, stage: Stage, record: StageRecord) -> None:
        """Show how a stage ended; a failure is printed in full above."""
        self._outlook.drop(stage)
        row = self._rows[stage.name]
        row.record = record
        good = record.state is State.FINISHED
        row.text = (
            wording.success_text(record) if good else str(record.failure.get("kind", "stopped"))
        )
        if not good:
            self._say(wording.failure_text(stage, record))
        for text in wording.unenforced(record):
            self._say(f"{self._lead} {text}")

    def run_ended(self, manifest: Manifest) -> None:
        """Leave the rows as they are; say how the run ended and where everything is."""
        self.close()
        self._screen.console.print(self._table())
        show(wording.ending(manifest))

    def _say(self, text: str) -> None:
        self._screen.console.print(
            visible.text(text), markup=False, highlight=False, soft_wrap=True
        )

    def _render(self) -> RenderableType:
        remaining = self._outlook.seconds_left
        now = time.monotonic()
        text = f"{duration(now - self._start)} so far"
        if remaining is not None:
            seconds = max(0.0, remaining - (now - self._last_event))
            text += f", about {duration(seconds)} of training left"
        return Group(self._table(), Text(text, "dim")) if self._rows else Text("")

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 1))
        for _ in range(_COLUMNS):
            table.add_column(no_wrap=True, overflow="ellipsis")
        for row in self._rows.values():
            table.add_row(*row.cells())
        return table


class _Terminal:
    """A stream to a terminal; where that is gone, what is said is lost, and the run goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write if somebody is there."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush if somebody is there."""
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Row:
    """One stage as it is shown."""

    def __init__(self, stage: Stage, training: Training | None) -> None:
        self.stage = stage
        self.training = training
        self.record = StageRecord(name=stage.name)
        self.text = ""
        self.start = 0.0
        self._done = 0
        self._figures: dict[str, str] = {}

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take in a metric."""
        for name, text in _FIGURES.items():
            if isinstance(event.get(name), int | float):
                self._figures[name] = f"{text} {figure(name, event[name])}"
        if event.get("event") == "train":
            self._done = int(event["iteration"])
        self.text = "  ".join(self._figures.values()) or self.text

    def cells(self) -> tuple[RenderableType, ...]:
        """Return sign, name, progress, figures and time."""
        state = self.record.state
        runs = state is State.RUNNING
        sign: RenderableType = Spinner("dots") if runs else Text(*_SIGNS[state])
        iters = self.training.iterations if self.training else None
        bar: RenderableType = ""
        if runs and iters:
            bar = ProgressBar(iters, self._done, width=_BAR)
        elif runs:
            bar = ProgressBar(pulse=True, width=_BAR)
        done = f"{self._done}/{iters}" if runs and iters else ""
        seconds = time.monotonic() - self.start if runs else self.record.seconds
        elapsed = duration(seconds) if runs or seconds else ""
        return (
            sign,
            Text(visible.line(self.stage.name)),
            bar,
            Text(done),
            Text(visible.line(self.text)),
            Text(elapsed, "dim"),
        )
