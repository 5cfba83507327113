"""SwanLab; ``mode: offline`` keeps it on this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.runs.manifest import Manifest


class Swanlab:
    """One run of a project there."""

    def __init__(self, options: Mapping[str, Any], manifest: Manifest) -> None:
        import swanlab

        self._swanlab = swanlab
        self._run = swanlab.init(
            project=options.get("project", manifest.plan.name),
            workspace=options.get("workspace"),
            mode=options.get("mode"),
            experiment_name=manifest.id,
            logdir=str(Path(manifest.folder) / "swanlab"),
        )

    def describe(self, texts: Mapping[str, str]) -> None:
        """Keep texts in the run's configuration."""
        self._run.config.update(dict(texts))

    def measure(self, figures: Mapping[str, float], step: int) -> None:
        """Keep figures of an iteration."""
        self._run.log(dict(figures), step=step)

    def end(self, *, good: bool) -> None:
        """Close the run."""
        self._swanlab.finish(state="success" if good else "crashed")


connect = Swanlab
