"""What a person, a log or a program sees of a run while it happens."""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from runner.core import trainer
from runner.core.figure import duration, figure
from runner.core.manifest import Manifest, StageRecord, State
from runner.core.plan import Stage
from runner.core.schedule import FIRST, Action

if TYPE_CHECKING:
    from rich.progress import TaskID

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
            _say(failed(stage, record))


class Plain(Quiet):
    """One line an event, for logs and CI."""

    def __init__(self, notes: Sequence[str] = ()) -> None:
        self._lead = ""
        self._notes = notes

    def run_started(self, manifest: Manifest, actions: Sequence[Action]) -> None:
        """Say which run begins and where it is."""
        _say("\n".join([*self._notes, _begins(manifest, actions)]))

    def stage_started(self, stage: Stage, action: Action, number: int, total: int) -> None:
        """Say which stage begins."""
        self._lead = f"[{number}/{total}] {stage.name}:"
        if action.do == "skip":
            _say(f"{self._lead} skipped, {action.cause}")
            return
        _say(
            f"{self._lead} {stage.tool}{_why(action)}"
            + (f", {stage.description}" if stage.description else "")
        )

    def event(self, stage: Stage, event: Mapping[str, Any]) -> None:
        """Say a metric."""
        line = metric(stage, event)
        if line:
            _say(f"{self._lead} {line}")

    def stage_ended(self, stage: Stage, record: StageRecord) -> None:
        """Say how a stage ended."""
        if record.state is State.FINISHED:
            _say(f"{self._lead} {finished(record)}")
        else:
            _say(failed(stage, record))

    def run_ended(self, manifest: Manifest) -> None:
        """Say how the run ended and where everything is."""
        _print(ending(manifest))


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
        _json("metric", stage=stage.name, **{k: v for k, v in event.items() if k != "event"})

    def stage_ended(self, stage: Stage, record: StageRecord) -> None:
        """Print a stage's record."""
        _json("stage-ended", **record.as_json())

    def run_ended(self, manifest: Manifest) -> None:
        """Print how the run ended."""
        _json("run-ended", run=manifest.id, state=manifest.state, exit_code=manifest.exit_code)


class Live(Plain):
    """A bar for the running stage under the lines of those before it."""

    def __init__(self, color: str, notes: Sequence[str] = ()) -> None:
        super().__init__(notes)
        from rich.console import Console  # noqa: PLC0415  (52 ms, only when a person looks)
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        plain = "NO_COLOR" in os.environ and color != "always"
        console = Console(stderr=True, no_color=plain, force_terminal=color == "always" or None)
        self._progress: Progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[figures]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._figures: dict[str, str] = {}
        self._progress.start()

    def close(self) -> None:
        """Give the terminal back."""
        self._progress.stop()

    def run_started(self, manifest: Manifest, actions: Sequence[Action]) -> None:
        """Say which run begins and where it is."""
        self._line("\n".join([*self._notes, _begins(manifest, actions)]))

    def stage_started(self, stage: Stage, action: Action, number: int, total: int) -> None:
        """Show a bar for the stage."""
        self._lead = f"[{number}/{total}] {stage.name}:"
        self._figures = {}
        if action.do == "skip":
            self._line(f"{self._lead} skipped, {action.cause}")
            return
        iters = stage.params.get("iters") if stage.params.get("train") else None
        self._task = self._progress.add_task(
            f"[{number}/{total}] {stage.name}", total=iters, figures=stage.tool
        )

    def event(self, stage: Stage, event: Mapping[str, Any]) -> None:
        """Move the bar."""
        for name, text in _FIGURES.items():
            if isinstance(event.get(name), int | float):
                self._figures[name] = f"{text} {figure(name, event[name])}"
        if self._task is not None:
            done = event.get("iteration") if event.get("event") == "train" else None
            shown = "  ".join(self._figures.values())
            self._progress.update(self._task, completed=done, figures=shown)

    def stage_ended(self, stage: Stage, record: StageRecord) -> None:
        """Put the stage's line above the bar."""
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
        good = record.state is State.FINISHED
        self._line(f"{self._lead} {finished(record)}" if good else failed(stage, record))

    def run_ended(self, manifest: Manifest) -> None:
        """Say how the run ended and where everything is."""
        self.close()
        _print(ending(manifest))

    def _line(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)


_FIGURES = {
    "train_loss": "train",
    "val_loss": "val",
    "test_loss": "test",
    "tokens_per_second": "tok/s",
}


def _why(action: Action) -> str:
    """Return why a stage of an earlier run runs again."""
    if action.do == "judge":
        return f", judged again: {action.cause}"
    return f", again: {action.cause}" if action.cause != FIRST else ""


def _begins(manifest: Manifest, actions: Sequence[Action]) -> str:
    count = len(actions)
    return f"{manifest.plan.name}: {count} stage{'s' * (count != 1)}, in {manifest.folder}"


def metric(stage: Stage, event: Mapping[str, Any]) -> str:
    """Return one metric event as a line."""
    iters = stage.params.get("iters")
    match event.get("event"):
        case "train":
            speed = event.get("iterations_per_second")
            left = (iters - event["iteration"]) / speed if iters and speed else 0
            parts = [
                f"iteration {event['iteration']}/{iters}",
                f"train loss {figure('train_loss', event.get('train_loss'))}",
                f"learning rate {figure('learning_rate', event.get('learning_rate'))}",
                f"{figure('tokens_per_second', event.get('tokens_per_second'))} tokens/s",
            ]
            return ", ".join([*parts, f"{duration(left)} left"] if left >= 1 else parts)
        case "val":
            loss = figure("val_loss", event.get("val_loss"))
            return f"iteration {event.get('iteration')}/{iters}, validation loss {loss}"
        case "test":
            loss = figure("test_loss", event.get("test_loss"))
            return f"test loss {loss}, perplexity {figure('test_ppl', event.get('test_ppl'))}"
        case "said":
            return str(event.get("text"))
        case str(kind):
            return trainer.line(kind, event)
    return ""


def finished(record: StageRecord) -> str:
    """Return how a stage ended well, with its last figures."""
    shown = [
        f"{text} loss {figure(name, record.metrics[name])}"
        for name, text in (
            ("train_loss", "train"),
            ("val_loss", "validation"),
            ("test_loss", "test"),
        )
        if name in record.metrics
    ]
    if "score" in record.metrics:
        shown.append(f"score {record.metrics['score']:.4g}")
    if "kept_iteration" in record.metrics:
        shown.append(f"kept iteration {record.metrics['kept_iteration']:.0f}")
    audit = record.audit.get("parameters")
    seen = (
        [f"{audit - record.audit['different']} of {audit} parameters as planned"] if audit else []
    )
    return ", ".join([f"finished in {duration(record.seconds)}", *shown, *seen])


def failed(stage: Stage, record: StageRecord) -> str:
    """Return how a stage failed: the log's tail, one clear line, the way out."""
    said = record.failure
    if record.state is State.INTERRUPTED:
        return f"{stage.name}: stopped"
    tail = [f"  | {line}" for line in str(said.get("tail", "")).splitlines()]
    code = f" (exit {record.exit_code})" if record.exit_code else ""
    lines = [*tail, f"{stage.name} failed: {said.get('kind', 'unknown')}{code}"]
    lines += [f"  {row}" for row in str(said.get("guidance", "")).splitlines()]
    lines += [f"  the whole log: {said['log']}"] if said.get("log") else []
    return "\n".join(lines)


def ending(manifest: Manifest) -> str:
    """Return where everything of a run is."""
    done = [record for record in manifest.stages if record.state is State.FINISHED]
    lines = [f"{manifest.plan.name}: {manifest.state}"]
    for record in done:
        lines += [f"  {record.name}.{name}: {path}" for name, path in record.outputs.items()]
    if manifest.state is not State.FINISHED:
        smoke = " --smoke" if manifest.plan.smoke else ""
        lines.append(f"  go on: run-recipe {manifest.plan.file}{smoke} --resume")
    lines.append(f"  everything: {manifest.folder} (run.json, commands.sh, each stage's log.txt)")
    return "\n".join(lines)


def line(manifest: Manifest) -> str:
    """Return a run in one line: id, recipe, state, stages done, when."""
    done = sum(record.state is State.FINISHED for record in manifest.stages)
    smoke = " (smoke)" if manifest.plan.smoke else ""
    state = f"{manifest.state}, {done}/{len(manifest.stages)} stages, {manifest.started}"
    return f"{manifest.id}  {manifest.plan.name}{smoke}  {state}"


def standing(manifest: Manifest, *, alive: bool) -> str:
    """Return where a run stands, stage by stage; a run whose process is gone was cut off."""
    cut = manifest.state is State.RUNNING and not alive
    lines = [line(manifest) + (", but its process is gone" if cut else "")]
    for record in manifest.stages:
        state = "cut off" if cut and record.state is State.RUNNING else str(record.state)
        shown = finished(record) if record.state is State.FINISHED else state
        lines.append(f"  {record.name}: {shown}")
        if record.failure.get("guidance"):
            rows = f"{record.failure['kind']}: {record.failure['guidance']}".splitlines()
            lines += [f"    {row}" for row in rows]
    return "\n".join([*lines, f"  {manifest.folder}"])


def _say(text: str) -> None:
    with suppress(BrokenPipeError):  # who listened is gone; the training goes on
        print(text, file=sys.stderr, flush=True)  # noqa: T201


def _print(text: str) -> None:
    with suppress(BrokenPipeError):
        print(text, flush=True)  # noqa: T201


def _json(what: str, **event: Any) -> None:
    _print(json.dumps({"event": what, **event}))
