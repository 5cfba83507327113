"""The process of the next stage, started early: it imports its tool and waits for its turn.

At most one waits while a stage runs; before the first stage runs, the second's is started, too.
None is started for a stage that may be skipped, for our own tools, which start quickly, or on a
single core, where it would only slow down the running stage.
"""

import os
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.base.constants import UTF8
from runner.catalog.tools import Catalog, Tool
from runner.plan.model import Plan, Stage
from runner.runs import history
from runner.runs.job import Job
from runner.runs.process import Child
from runner.system import machine


class WarmStart:
    """The children that wait for their stages to begin, by the names of these."""

    def __init__(self, folder: Path, plan: Plan, catalog: Catalog) -> None:
        self.folder = folder
        self.plan = plan
        self.catalog = catalog
        self._waiting: dict[str, Child] = {}

    def take(self, stage: Stage) -> Child:
        """Return a stage's child: the one that waits for it if it is alive, or a new one."""
        child = self._waiting.pop(stage.name, None)
        if child is not None:
            if child.wait(0) is None:
                return child
            child.finish()  # something ended it while it waited: that says nothing of the stage
        return self._spawn(stage)

    def start(self, coming: Iterable[Stage], most: int = 1) -> None:
        """Start the processes of the first `coming` stages that benefit from it.

        The stages are those that will run if the ones before them succeed; at `most` this many
        wait.
        """
        if machine.cores() < 2:  # noqa: PLR2004
            return
        for stage in coming:
            if len(self._waiting) >= most:
                break
            if stage.name not in self._waiting and self._worth(stage):
                self._waiting[stage.name] = self._spawn(stage)

    def keep(self, names: Collection[str]) -> None:
        """End the children whose stages are not among those that will run."""
        for name in self._waiting.keys() - {*names}:
            self._waiting.pop(name).finish()

    def end(self) -> None:
        """End the waiting processes; nobody has used them."""
        while self._waiting:
            self._waiting.popitem()[1].finish()

    def env(self) -> dict[str, str]:
        """Return a child's environment: ours, the plan's, and plain text in the log."""
        plain = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "100", "PYTHONUNBUFFERED": "1", **UTF8}
        watch = {"RUN_RECIPE_PARENT": str(os.getpid())}
        return {**os.environ, **plain, **watch, **self.plan.env}

    def _worth(self, stage: Stage) -> bool:
        tool = self._tool(stage)
        return not stage.launch and not tool.own and not tool.is_program

    def _tool(self, stage: Stage) -> Tool:
        tool = self.catalog.get(stage.tool)
        if tool is None:
            raise KeyError(stage.tool)
        return tool

    def _modules(self, stage: Stage) -> list[str]:
        tool = self._tool(stage)
        observer = [f"runner.worker.{tool.observer}"] if tool.observer else []
        return [] if tool.is_program else [tool.main[0], *observer]

    def _spawn(self, stage: Stage) -> Child:
        words = [*command(self.folder, stage.name), "--wait", *self._modules(stage)]
        return Child(words, self.env())


@contextmanager
def early(job: Job, catalog: Catalog) -> Iterator[WarmStart]:
    """Start the first stage's process of a new run while its recipe is still checked."""
    plan, before = job.plan, job.before
    folder = Path(before.folder) if before else history.fresh(job.runs, plan.name, job.label)
    ahead = WarmStart(folder, plan, catalog)
    try:
        if before is None:
            ahead.start(stage for stage in plan.stages if stage.name in job.names)
        yield ahead
    finally:
        ahead.end()


def command(folder: Path, stage: str) -> list[str]:
    """Return the words of a stage's child.

    With -P a queue.py or a folder runner/ where the user is is not what the tool imports.
    """
    return [sys.executable, "-P", "-m", "runner.worker", str(folder), stage]
