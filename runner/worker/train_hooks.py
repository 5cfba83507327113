"""The options around the trainer of a stage, from the same arguments as in the script."""

import importlib
import time
from collections.abc import Mapping
from typing import Any

from runner.catalog import load
from runner.command.argv import options
from runner.plan.model import bind
from runner.plan.train_options import line
from runner.plan.training import training
from runner.runs import checkpoints
from runner.runs import checkpoints as states
from runner.system import files, printer
from runner.worker import train
from runner.worker.observer import Observer
from runner.worker.train.loop import Loop
from runner.worker.train.state import TrainingState


def install(host: Observer, identity: str) -> None:
    """Put a stage's keep, watch and continue around what its tool trains with, and hear them.

    `identity` is the digest of what the stage is made of.
    """
    trainer = load.catalog().trainer
    words = [str(bind(w, host.folder)) for o in options(trainer, host.stage.trainer) for w in o]
    host.around, _ = train.read_words([*words, "--", *host.tool.command])

    def hear(kind: str, figures: Mapping[str, Any]) -> None:
        printer.show(line(kind, figures))
        host.metrics.write(event=kind, time=round(time.time(), 3), **figures)

    def note(options: Mapping[str, Any]) -> None:
        host.effective |= options
        host.hold()

    state = _state(host, identity) if host.stage.continues else None
    loop = Loop(host.around, hear, note, state)
    loop.install(importlib.import_module(host.tool.main[0]))


def _state(host: Observer, identity: str) -> TrainingState:
    """Return where the training's state is kept; what lies there is one to go on from."""
    folder = checkpoints.place(host.place)
    before = states.read_note(files.read_json(folder / checkpoints.NOTE))
    if before is not None:
        printer.show(states.goes_on(before, training(host.stage, host.tool)))
        host.observed["went_on_after_iteration"] = before.iteration
    return TrainingState(folder=folder, identity=identity, metrics=host.metrics.path, before=before)
