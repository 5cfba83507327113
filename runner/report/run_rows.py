"""Manifests in, one row a run out, as ``runs`` lists them: what was asked, its state, metrics."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runner.base.errors import RecipeError
from runner.base.patterns import pattern
from runner.base.problems import offer
from runner.runs.manifest import Manifest, State

Json = dict[str, Any]
_METRIC = pattern(r"stages\.([A-Za-z_]\w*)\.metrics\.([\w./-]+)\Z")


def asked(manifest: Manifest, option: str) -> list[str]:
    """Return the values of an option that a run was asked for with, as ``--profile``."""
    words = manifest.options
    return [value for name, value in zip(words[::2], words[1::2], strict=False) if name == option]


def require(metrics: Sequence[str], manifests: Sequence[Manifest]) -> None:
    """Raise RecipeError for a metric of another form, or one that none of these runs has."""
    known = {
        f"stages.{record.name}.metrics.{name}"
        for one in manifests
        for record in one.stages
        for name in record.metrics
    }
    for metric in metrics:
        if not _METRIC.match(metric):
            hint = "write stages.STAGE.metrics.METRIC, as an expectation reads it"
            raise RecipeError(f"'{metric}' is no metric of a stage", hint)
        if manifests and metric not in known:
            raise RecipeError(f"no run has {metric}", offer(metric, sorted(known)))


def values(manifest: Manifest, metrics: Iterable[str]) -> Mapping[str, float | None]:
    """Return the metrics of a run by their paths, None for one that it does not have."""
    records = {record.name: record.metrics for record in manifest.stages}
    parts = {metric: _METRIC.match(metric) for metric in metrics}
    return {m: records.get(p[1], {}).get(p[2]) if p else None for m, p in parts.items()}


def row(manifest: Manifest, metrics: Iterable[str], *, alive: bool) -> Json:
    """Return a run as JSON-ready values."""
    return {
        "id": manifest.id,
        "folder": manifest.folder,
        "recipe": manifest.plan.name,
        "file": manifest.plan.file,
        "profiles": asked(manifest, "--profile"),
        "sets": asked(manifest, "--set"),
        "smoke": manifest.plan.smoke,
        "state": manifest.state,
        "alive": alive,
        "started": manifest.started,
        "ended": manifest.ended,
        "stages": {
            "finished": sum(record.state is State.FINISHED for record in manifest.stages),
            "total": len(manifest.stages),
        },
        "metrics": dict(values(manifest, metrics)),
    }
