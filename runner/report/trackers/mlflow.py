"""MLflow: a server, or a SQLite file if none is set."""

import logging
import os
import time
from collections.abc import Mapping
from typing import Any

from runner.runs.manifest import Manifest

LONGEST = 6000
BATCH = 100


class Mlflow:
    """One run of an MLflow experiment."""

    def __init__(self, options: Mapping[str, Any], manifest: Manifest) -> None:
        # A server's client prints a link to stdout, which is the payload's.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        from mlflow.tracking import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self._client = MlflowClient(tracking_uri=options.get("tracking_uri"))
        name = options.get("experiment", manifest.plan.name)
        experiment = self._client.get_experiment_by_name(name)
        place = experiment.experiment_id if experiment else self._client.create_experiment(name)
        self._run = self._client.create_run(place, run_name=manifest.id).info.run_id

    def describe(self, texts: Mapping[str, str]) -> None:
        """Keep texts as parameters of the run."""
        from mlflow.entities import Param

        rows = [Param(name, text[:LONGEST]) for name, text in texts.items()]
        for at in range(0, len(rows), BATCH):
            self._client.log_batch(self._run, params=rows[at : at + BATCH])

    def measure(self, figures: Mapping[str, float], step: int) -> None:
        """Keep figures of an iteration."""
        from mlflow.entities import Metric

        now = round(time.time() * 1000)
        rows = [Metric(name, value, now, step) for name, value in figures.items()]
        self._client.log_batch(self._run, metrics=rows)

    def end(self, *, good: bool) -> None:
        """Close the run as finished or failed."""
        self._client.set_terminated(self._run, "FINISHED" if good else "FAILED")


connect = Mlflow
