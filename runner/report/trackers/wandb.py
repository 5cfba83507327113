"""Weights & Biases; ``mode: offline`` and WANDB_MODE keep it on this machine."""

from collections.abc import Mapping
from typing import Any

from runner.runs.manifest import Manifest


class Wandb:
    """One run of a project there."""

    def __init__(self, options: Mapping[str, Any], manifest: Manifest) -> None:
        import wandb

        self._run = wandb.init(
            project=options.get("project", manifest.plan.name),
            entity=options.get("entity"),
            mode=options.get("mode"),
            name=manifest.id,
            dir=manifest.folder,
            settings=wandb.Settings(silent=True, console="off"),
        )

    def describe(self, texts: Mapping[str, str]) -> None:
        """Keep texts in the run's configuration."""
        self._run.config.update(dict(texts), allow_val_change=True)

    def measure(self, figures: Mapping[str, float], step: int) -> None:
        """Keep figures; each stage counts its own iterations."""
        stage = next(iter(figures)).partition("/")[0]
        self._run.define_metric(f"{stage}/*", step_metric=f"{stage}/iteration")
        self._run.log({**figures, f"{stage}/iteration": step})

    def end(self, *, good: bool) -> None:
        """Close the run."""
        self._run.finish(exit_code=0 if good else 1)


connect = Wandb
