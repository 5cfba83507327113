"""Trackio: a local database, or a Space if one is set."""

import functools
import sys
from collections.abc import Mapping
from typing import Any

from runner.runs.manifest import Manifest


class Trackio:
    """One run of a project there."""

    def __init__(self, options: Mapping[str, Any], manifest: Manifest) -> None:
        import trackio

        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] == "trackio":  # it prints to stdout, which is the payload's
                vars(module)["print"] = functools.partial(print, file=sys.stderr)
        config = {
            f"{stage.name}.{name}": str(value)
            for stage in manifest.plan.stages
            for name, value in stage.params.items()
        }
        self._run = trackio.init(
            project=options.get("project", manifest.plan.name),
            name=manifest.id,
            space_id=options.get("space"),
            config=config,
            embed=False,
        )

    def describe(self, texts: Mapping[str, str]) -> None:
        """Do nothing: the configuration is sent when a run begins."""

    def measure(self, figures: Mapping[str, float], step: int) -> None:
        """Keep figures of an iteration."""
        self._run.log(dict(figures), step=step)

    def end(self, *, good: bool) -> None:
        """Close the run with its verdict."""
        self._run.log({"finished": int(good)})
        self._run.finish()


connect = Trackio
