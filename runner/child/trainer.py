"""What stands around the trainer of a stage, from the very words of the script."""

import importlib
import time
from collections.abc import Mapping
from typing import Any

from runner.child.seen import Host
from runner.core.invocation import options
from runner.core.plan import bind
from runner.core.trainer import line
from runner.edges import disk
from runner.tools import train
from runner.tools.train.loop import Loop


def install(host: Host) -> None:
    """Put a stage's keep and watch around what its tool trains with, and hear what they measure."""
    trainer = disk.catalog().trainer
    words = [str(bind(w, host.folder)) for o in options(trainer, host.stage.trainer) for w in o]
    host.around, _ = train.parsed([*words, "--", *host.tool.command])

    def hear(kind: str, figures: Mapping[str, Any]) -> None:
        print(line(kind, figures), flush=True)  # noqa: T201
        host.metrics.write(event=kind, time=round(time.time(), 3), **figures)

    def seen(said: Mapping[str, Any]) -> None:
        host.effective |= said
        host.hold()

    Loop(host.around, hear, seen).install(importlib.import_module(host.tool.main[0]))
