"""A run's folder on disk -> its report."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.catalog import load
from runner.plan.model import Stage
from runner.report.console.plain import Silent, say
from runner.report.curves import MOST, curves
from runner.report.report import Report, report
from runner.runs import history
from runner.runs.decisions import Action
from runner.runs.manifest import Manifest, StageRecord
from runner.system import files, hub, reader

if TYPE_CHECKING:
    from runner.report.comparison import Comparison

NAME, NOTES = "report.html", "notes.txt"
SHARE = 20
"""While stages run, the page takes one part in so many of the time: a long run's takes seconds."""


def gather(manifest: Manifest, *, most: int = MOST) -> Report:
    """Return the report of a run from what its folder holds; `most` thins the curves."""
    folder = Path(manifest.folder)
    verdicts = history.audits(manifest)
    audits = {name: (rows, history.observations(folder / name)) for name, rows in verdicts.items()}
    ran = [(stage.name, events(folder / stage.name)) for stage in manifest.plan.stages]
    return report(
        manifest,
        load.catalog(manifest.plan.tools),
        audits,
        curves(ran, most),
        (_text(folder / "commands.sh"), _text(folder / "recipe.yaml"), _text(folder / NOTES)),
        alive=history.alive(manifest),
    )


def events(place: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the metrics of a stage, one line in memory at a time; a torn line is left out.

    What follows a line that no stage writes, as it is too long, is not read.
    """
    with suppress(OSError), reader.open_file(place / "metrics.jsonl") as file:
        for line in reader.lines(file):
            with suppress(reader.NotJsonError):
                yield reader.json_object(line)


def write(manifest: Manifest, path: Path | None = None, *, refresh: int = 0) -> Path:
    """Write the page of a run, report.html in its folder by default; return its path.

    With `refresh`, a browser reloads it after this many seconds. Raises OSError.
    """
    from runner.report.page import page  # jinja2 and pygal only for a page

    target = path or Path(manifest.folder) / NAME
    files.write(target, hub.mask().text(page(gather(manifest), refresh=refresh)))
    return target


def write_comparison(comparison: "Comparison", reports: Sequence[Report], path: Path) -> Path:
    """Write the page of several runs side by side; return its path. Raises OSError."""
    from runner.report.page import comparing

    files.write(path, hub.mask().text(comparing(comparison, reports)))
    return path


class Page(Silent):
    """Keeps a run's report.html as it goes; a page that cannot be written stops nothing.

    It is written beside the run, which does not wait for it before the end.
    """

    def __init__(self, notes: Sequence[str] = (), every: float = 30.0) -> None:
        self._notes = notes
        self._every = every
        self._folder = Path()
        self._next = self._rested = 0.0
        self._idle = False
        self._writing = threading.Thread()

    def run_started(self, manifest: Manifest, actions: Sequence[Action]) -> None:
        """Remember the run, and keep the messages before it."""
        self._folder = Path(manifest.folder)
        nothing = all(action.do == "skip" for action in actions)
        self._idle = nothing and (self._folder / NAME).exists()
        if self._idle:
            return
        try:
            text = hub.mask().text("".join(f"{note}\n" for note in self._notes))
            files.write(self._folder / NOTES, text)
        except OSError as error:
            say(f"{NOTES} could not be written: {error}")

    def event(self, stage: Stage, event: Mapping[str, Any]) -> None:
        """Write the page again, at most once per interval."""
        if time.monotonic() >= self._next:
            self._begin()

    def stage_ended(self, stage: Stage, record: StageRecord) -> None:
        """Write the page with the stage's result, unless it was just written and that took long."""
        if time.monotonic() >= self._rested:
            self._begin()

    def run_ended(self, manifest: Manifest) -> None:
        """Write the page for good; where nothing was left to do, it is that already."""
        if self._idle:
            return
        if self._writing.ident:
            self._writing.join()
        self._write()

    def _begin(self) -> None:
        self._next = time.monotonic() + self._every
        if not self._writing.is_alive():
            refresh = round(self._every)
            self._writing = threading.Thread(target=self._write, args=(refresh,), daemon=True)
            self._writing.start()

    def _write(self, refresh: int = 0) -> None:
        start = time.monotonic()
        try:
            manifest = history.read(self._folder)
            if manifest is not None:
                write(manifest, refresh=refresh)
        except Exception as error:  # noqa: BLE001  (whatever is wrong with a page, the run goes on)
            say(f"{NAME} could not be written: {error or type(error).__name__}")
        now = time.monotonic()
        self._rested = now + SHARE * (now - start)


def _text(path: Path) -> str:
    try:
        return reader.read_text(path, reader.RECORD)
    except OSError:
        return ""
