"""Curves as SVG, drawn by pygal: pure Python and static, so the page needs no script for them.

Colours are CSS variables of the page: one picture works in light, dark and print.
"""

import re
import sys
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from runner.base import visible
from runner.base.formatting import figure
from runner.report.curves import CHARTS, Chart, Curves, Series

COLORS = 8
FEW = 60
_SCRIPTS = re.compile(r"<script.*?</script>|<!--.*?-->", re.DOTALL)
_WORDS = {
    "train_loss": "train",
    "val_loss": "validation",
    "retention_loss": "retention",
    "learning_rate": "learning rate",
    "tokens_per_second": "tokens per second",
    "peak_memory": "peak memory",
    "train_accuracies": "train",
    "val_accuracies": "validation",
    "train_chosen_reward": "chosen",
    "train_rejected_reward": "rejected",
    "train_total_rewards_mean": "mean",
}


class Picture(Struct, frozen=True, kw_only=True):
    """A chart drawn: its SVG, the key to its colours, and its figures for those who cannot see."""

    title: str
    svg: str
    key: tuple[tuple[str, int], ...]
    rows: tuple[tuple[str, str, str, str], ...]


def draw(curves: Curves) -> list[Picture]:
    """Return a picture of each chart that has something to show; a figure keeps its colour."""
    return [
        _picture(chart, chart.title, rows, curves.borders, [_color(one, chart) for one in rows])
        for chart in CHARTS
        if (rows := curves.of(chart))
    ]


def overlay(runs: Sequence[tuple[str, Curves]]) -> list[Picture]:
    """Return a picture of each figure that several runs measured; a run keeps its colour."""
    pictures = []
    for chart in CHARTS:
        for name in chart.figures:
            rows, colors = [], []
            for number, (run, curves) in enumerate(runs):
                parts = [one for one in curves.series if one.figure == name]
                rows += [Series(stage=run, figure=name, points=one.points) for one in parts]
                colors += [number % COLORS] * len(parts)
            if len(set(colors)) > 1:
                borders = runs[0][1].borders
                pictures.append(_picture(chart, _WORDS[name], rows, borders, colors, by="stage"))
    return pictures


def _color(one: Series, chart: Chart) -> int:
    return chart.figures.index(one.figure) if len(chart.figures) > 1 else 3 + CHARTS.index(chart)


def _picture(
    chart: Chart,
    title: str,
    rows: Sequence[Series],
    borders: Sequence[tuple[str, float]],
    colors: Sequence[int],
    by: str = "figure",
) -> Picture:
    blank = _blank(chart, [f"var(--c{color})" for color in colors])
    ends = max(point[0] for one in rows for point in one.points)
    blank.x_labels = [
        *({"label": visible.line(name), "value": start} for name, start in borders),
        {"label": f"{ends:g}", "value": ends},
    ]
    for number, one in enumerate(rows):
        blank.add(str(number), list(one.points), show_dots=len(one.points) < FEW)
    blank.uuid = f"chart-{re.sub('[^a-z]+', '-', title.lower())}"
    key = dict(zip((_name(one, by) for one in rows), colors, strict=True))
    svg = _SCRIPTS.sub("", str(blank.render(is_unicode=True)))
    return Picture(
        title=title, svg=svg, key=tuple(key.items()), rows=tuple(_row(one) for one in rows)
    )


def _name(one: Series, by: str) -> str:
    return one.stage if by == "stage" else _WORDS.get(one.figure, one.figure)


def _row(one: Series) -> tuple[str, str, str, str]:
    """Return a series in words: its name, first, lowest and last value."""
    values = [value for _, value in one.points]
    name = f"{one.stage}, {_WORDS.get(one.figure, one.figure)}"
    texts = (figure(one.figure, value) for value in (values[0], min(values), values[-1]))
    return (name, *texts)  # type: ignore[return-value]


def _blank(chart: Chart, colors: Sequence[str]) -> Any:
    import pygal  # only where a page is written
    from pygal.style import Style

    # It leaves a finder for plugins of its own behind, which warns at every later import.
    sys.meta_path[:] = [one for one in sys.meta_path if type(one).__module__ != "pygal"]
    style = Style(
        background="transparent",
        plot_background="transparent",
        foreground="var(--ink)",
        foreground_strong="var(--ink)",
        foreground_subtle="var(--faint)",
        guide_stroke_color="var(--line)",
        major_guide_stroke_color="var(--line)",
        opacity="1",
        opacity_hover="1",
        transition="0s",
        font_family="inherit",
        label_font_size=13,
        major_label_font_size=13,
        title_font_size=13,
        stroke_width="1.8",
        colors=tuple(colors),
    )
    return pygal.XY(
        style=style,
        js=(),
        disable_xml_declaration=True,
        width=920,
        height=300,
        margin=8,
        dots_size=2,
        show_legend=False,
        show_x_guides=True,
        truncate_label=-1,
        y_title=chart.unit,
        y_labels_major_count=4,
        max_scale=6,
    )
