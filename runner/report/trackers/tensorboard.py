"""TensorBoard: event files in a folder, by default the run's own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.runs.manifest import Manifest


class Tensorboard:
    """One folder of event files."""

    def __init__(self, options: Mapping[str, Any], manifest: Manifest) -> None:
        from tensorboardX import SummaryWriter

        option = options.get("folder")
        folder = Path(option) / manifest.id if option else Path(manifest.folder) / "tensorboard"
        self._writer = SummaryWriter(str(folder))

    def describe(self, texts: Mapping[str, str]) -> None:
        """Keep texts as text summaries."""
        for name, text in texts.items():
            self._writer.add_text(name, text)

    def measure(self, figures: Mapping[str, float], step: int) -> None:
        """Keep figures of an iteration."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def end(self, *, good: bool) -> None:
        """Close the files."""
        self._writer.add_text("state", "finished" if good else "failed")
        self._writer.close()


connect = Tensorboard
