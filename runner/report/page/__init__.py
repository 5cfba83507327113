"""A report as a single HTML file: no network, no scripts to load, no fonts.

Its only script copies the commands; the page is complete without it.
"""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from runner.base import visible
from runner.base.formatting import duration, figure
from runner.report.comparison import Comparison
from runner.report.page.charts import draw, overlay
from runner.report.report import Report
from runner.report.wording import changes, gates


def page(one: Report, *, refresh: int = 0) -> str:
    """Return the page of a run; with `refresh`, a browser reloads it after this many seconds."""
    context = {"charts": draw(one.curves), "spans": _spans(one), "refresh": refresh}
    return str(_template("run.html").render(one=one, **context))


def comparing(comparison: Comparison, reports: Sequence[Report]) -> str:
    """Return the page of several runs side by side."""
    charts = overlay([(one.manifest.id, one.curves) for one in reports])
    return str(
        _template("comparison.html").render(comparison=comparison, charts=charts, reports=reports)
    )


def _spans(one: Report) -> list[tuple[str, str, float, float]]:
    """Return each stage's name, state, and its bar's begin and width in percent of the whole."""
    whole = one.seconds or 1.0
    spans, start = [], 0.0
    for stage in one.stages:
        record = stage.record
        width = 100 * record.seconds / whole
        spans.append((record.name, str(record.state), start, width))
        start += width
    return spans


@cache
def _template(name: str) -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": duration, "value": _value}
    environment.globals |= {"figure": figure, "changes": changes, "gates_of": gates}
    return environment.get_template(name)


def _visible(value: Any) -> Any:
    """Return what a template puts into the page as it may be there; a picture is ours."""
    return value if isinstance(value, Markup) else visible.text(str(value))


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
