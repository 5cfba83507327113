"""What stages measured, as curves on one axis of iterations, thinned to what shows."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from runner.base.formatting import figure

Point = tuple[float, float]
Events = Iterable[Mapping[str, Any]]

MOST = 1200
TICKS = "▁▂▃▄▅▆▇█"


class Chart(Struct, frozen=True, kw_only=True):
    """Figures of one unit that belong in one picture."""

    title: str
    unit: str
    figures: tuple[str, ...]


CHARTS = (
    Chart(title="Loss", unit="loss", figures=("train_loss", "val_loss", "retention_loss")),
    Chart(title="Learning rate", unit="learning rate", figures=("learning_rate",)),
    Chart(title="Speed", unit="tokens per second", figures=("tokens_per_second",)),
    Chart(title="Peak memory", unit="GB", figures=("peak_memory",)),
    Chart(
        title="Preference", unit="share of batches", figures=("train_accuracies", "val_accuracies")
    ),
    Chart(
        title="Rewards",
        unit="reward",
        figures=("train_chosen_reward", "train_rejected_reward", "train_total_rewards_mean"),
    ),
)


class Series(Struct, frozen=True, kw_only=True):
    """One figure of one stage; x counts iterations, from where the stage before ended."""

    stage: str
    figure: str
    points: tuple[Point, ...]


class Curves(Struct, frozen=True, kw_only=True):
    """All series of a run, and where on their axis each stage begins."""

    series: tuple[Series, ...] = ()
    borders: tuple[tuple[str, float], ...] = ()

    def of(self, chart: Chart) -> list[Series]:
        """Return the series that belong in a chart."""
        return [one for one in self.series if one.figure in chart.figures]


def curves(stages: Iterable[tuple[str, Events]], most: int = MOST) -> Curves:
    """Return the series of stages in the order they ran, each of at most 2 x `most` points."""
    result: list[Series] = []
    borders: list[tuple[str, float]] = []
    start = 0.0
    for name, events in stages:
        figures, last = _read(events, start)
        series = [
            Series(stage=name, figure=figure, points=tuple(thin(points, most)))
            for figure, points in figures
        ]
        if series:
            borders.append((name, start))
            result += series
            start = last
    return Curves(series=tuple(result), borders=tuple(borders))


def _read(events: Events, start: float) -> tuple[list[tuple[str, list[Point]]], float]:
    """Return the points of each figure a stage measured, and where its last one lies."""
    points: dict[str, list[Point]] = {f: [] for chart in CHARTS for f in chart.figures}
    last = start
    for event in events:
        at = event.get("iteration")
        if not isinstance(at, int | float) or not _finite(at):
            continue
        last = max(last, start + at)
        for name in points.keys() & event.keys():
            if _finite(event[name]):
                points[name].append((start + at, float(event[name])))
    return [(name, rows) for name, rows in points.items() if rows], last


def thin(points: Sequence[Point], most: int) -> Sequence[Point]:
    """Return the lowest and the highest point of each of `most` stretches, and both ends.

    No peak is lost: what a loss did for one iteration still shows.
    """
    if len(points) <= 2 * most:
        return points
    width = len(points) / most
    indexes = [0, len(points) - 1]
    for stretch in range(most):
        inside = range(int(stretch * width), int((stretch + 1) * width))
        indexes += [
            min(inside, key=lambda at: points[at][1]),
            max(inside, key=lambda at: points[at][1]),
        ]
    return [points[at] for at in sorted(set(indexes))]


def sketch(curves: Curves) -> list[str]:
    """Return a line for each loss of each stage: how it went, from where to where."""
    rows = []
    for one in curves.of(CHARTS[0]):
        values = [value for _, value in one.points]
        if line := sparkline(values):
            ends = f"{figure(one.figure, values[0])} to {figure(one.figure, values[-1])}"
            rows.append((f"{one.stage} {one.figure}", f"{line} {ends}"))
    width = max((len(name) for name, _ in rows), default=0)
    return [f"  {name:{width}}  {line}" for name, line in rows]


def sparkline(values: Sequence[float], width: int = 40) -> str:
    """Return a line of block characters that shows how values went, '' for fewer than two."""
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < 2:  # noqa: PLR2004
        return ""
    step = max(1.0, len(finite) / width)
    means = []
    at = 0.0
    while round(at) < len(finite):
        part = finite[round(at) : max(round(at) + 1, round(at + step))]
        means.append(sum(part) / len(part))
        at += step
    low, high = min(means), max(means)
    reach = (high - low) or 1.0
    return "".join(TICKS[min(7, int((mean - low) / reach * 8))] for mean in means)


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
