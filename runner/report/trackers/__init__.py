"""Trackers: a run's metrics, sent to the services that a recipe lists under ``track:``.

They receive our own metrics, so that every stage, gate and verdict arrives, and mlx-lm is not
involved. Each runs in its own thread behind a queue: a slow one delays nothing, and one that fails
is reported once and then skipped.
"""

import importlib
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

from runner.base.errors import UnfitError
from runner.catalog import load
from runner.plan.model import Plan, Stage
from runner.plan.training import Training, trainings
from runner.report.console.plain import Silent, say
from runner.runs import history
from runner.runs.audit import Verdict
from runner.runs.decisions import Action
from runner.runs.manifest import Manifest, StageRecord
from runner.system import hub, machine

# What each tracker imports, and what installs it.
PACKAGES = {
    "mlflow": ("mlflow", "mlflow"),
    "tensorboard": ("tensorboardX", "tensorboardX"),
    "wandb": ("wandb", "wandb"),
    "swanlab": ("swanlab", "swanlab"),
    "trackio": ("trackio", "trackio"),
}
PATIENCE = 60.0


class Tracker(Protocol):
    """One service; `options` are the recipe's, every call may take its time or fail."""

    def __init__(self, options: Mapping[str, Any], manifest: Manifest) -> None:
        """Begin a run there."""

    def describe(self, texts: Mapping[str, str]) -> None:
        """Keep texts: parameters, verdicts."""

    def measure(self, figures: Mapping[str, float], step: int) -> None:
        """Keep figures of an iteration, by names like ``STAGE/train_loss``."""

    def end(self, *, good: bool) -> None:
        """Close the run there."""


def trackers(plan: Plan) -> list["Listener"]:
    """Return a listener for each tracker a plan names; a smoke run is not tracked.

    Raises UnfitError if a tracker's package is not installed.
    """
    if plan.smoke:
        return []
    for name in plan.track:
        module, package = PACKAGES[name]
        if not machine.importable(module):
            why = f"the recipe sets track: {name}, but {module} is not installed here"
            raise UnfitError(why, f"pip install {package}, or remove track: {name} from the recipe")
    return [Listener(name, options) for name, options in plan.track.items()]


class Listener(Silent):
    """Hears a run and tells one tracker, in another thread."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        self.name = name
        self._options = options
        self._calls: queue.SimpleQueue[Callable[[Tracker], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._manifest: Manifest | None = None
        self._trainings: Mapping[str, Training] = {}

    def run_started(self, manifest: Manifest, actions: Sequence[Action]) -> None:
        """Begin a run there, and tell every parameter of its stages."""
        self._manifest = manifest
        plan = manifest.plan
        self._trainings = trainings(plan.stages, load.catalog(plan.tools))
        self._thread = threading.Thread(target=self._work, args=(manifest,), daemon=True)
        self._thread.start()
        texts = {
            f"{stage.name}.{name}": str(value)
            for stage in manifest.plan.stages
            for name, value in stage.params.items()
        }
        self._calls.put(lambda tracker: tracker.describe(texts))

    def event(self, stage: Stage, event: Mapping[str, Any]) -> None:
        """Tell the figures of an iteration."""
        step = event.get("iteration", 0)
        figures = _figures(stage.name, {k: v for k, v in event.items() if k not in _NO_FIGURES})
        if figures and isinstance(step, int):
            self._calls.put(lambda tracker: tracker.measure(figures, step))

    def stage_ended(self, stage: Stage, record: StageRecord) -> None:
        """Tell how a stage ended: its last figures, its gates, its audit."""
        last = {f"final/{name}": value for name, value in record.metrics.items()}
        gates = {f"gate/{at}": int(held) for at, (_, held) in enumerate(record.expectations)}
        figures = _figures(stage.name, {"seconds": record.seconds, **last, **gates})
        figures |= _figures(stage.name, {f"audit/{k}": v for k, v in record.audit.items()})
        texts = {f"{stage.name}.state": str(record.state)}
        texts |= {f"{stage.name}.gate.{at}": t for at, (t, _) in enumerate(record.expectations)}
        texts |= {f"{stage.name}.not as planned": _names(self._verdicts(stage.name))}
        step = self._trainings[stage.name].iterations if stage.name in self._trainings else 0
        self._calls.put(lambda tracker: tracker.measure(figures, step))
        self._calls.put(lambda tracker: tracker.describe({k: v for k, v in texts.items() if v}))

    def run_ended(self, manifest: Manifest) -> None:
        """Close the run there; wait for what is still queued, but not for ever."""
        good = manifest.exit_code == 0
        self._calls.put(lambda tracker: tracker.end(good=good))
        self._calls.put(None)
        if self._thread is not None:
            self._thread.join(PATIENCE)
            if self._thread.is_alive():
                say(f"{self.name}: still busy after {PATIENCE:g} s, no longer waiting")

    def _verdicts(self, stage: str) -> list[Verdict]:
        return history.audits(self._manifest).get(stage, []) if self._manifest else []

    def _work(self, manifest: Manifest) -> None:
        """Tell the tracker everything in turn; after its first failure nothing more."""
        try:
            connect = importlib.import_module(f"runner.report.trackers.{self.name}").connect
            tracker = cast("Tracker", connect(self._options, manifest))
            while (call := self._calls.get()) is not None:
                call(tracker)
        except Exception as error:  # noqa: BLE001  (whatever a service does, the training goes on)
            lines = str(error).strip().splitlines() or [type(error).__name__]
            text = hub.mask().text(lines[0])
            say(f"{self.name}: {text}; tracking stops for this run")


_NO_FIGURES = {"event", "time", "iteration"}


def _figures(stage: str, values: Mapping[str, Any]) -> dict[str, float]:
    return {
        f"{stage}/{name}": float(value)
        for name, value in values.items()
        if isinstance(value, int | float)
    }


def _names(verdicts: Sequence[Verdict]) -> str:
    return ", ".join(verdict.parameter for verdict in verdicts if not verdict.equal)
