"""Rows and their figures as a table: for a screen, and for a page."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.harness import MIB, Figures
from benchmarks.row import Row

HEAD = ("what", "median", "middle half", "CPU", "peak", "of the best peer", "of the limit", "goal")

CONTENDERS = ("command", *HEAD[1:5], "ours through it", "by CPU")


@dataclass(frozen=True, slots=True)
class Line:
    """One goal of a row, as text: what was measured and whether it is met."""

    cells: tuple[str, ...]
    met: bool | None


@dataclass(frozen=True, slots=True)
class Result:
    """A row with its figures, as JSON-ready values that a later run can show again."""

    what: str
    group: str
    date: str
    ours: str
    figures: Mapping[str, Mapping[str, Any]]
    limits: tuple[str, ...]
    goals: tuple[tuple[str, float | None, bool | None], ...]
    missing: tuple[tuple[str, str], ...]
    unit: str
    why: str


def result(row: Row, group: str, date: str, figures: Mapping[str, Figures]) -> Result:
    """Return what a row measured and which of its goals are met."""
    ours = figures[row.ours.name]
    goals = []
    for goal in row.goals:
        seen = goal.measured(ours, figures)
        goals.append((str(goal), seen, None if seen is None else goal.met(seen)))
    return Result(
        row.what,
        group,
        date,
        row.ours.name,
        {name: asdict(found) for name, found in figures.items()},
        tuple(limit.name for limit in row.limits),
        tuple(goals),
        row.missing,
        row.unit,
        row.why,
    )


def lines(found: Result) -> Iterator[Line]:
    """Yield a line for each goal of a row; one where it has none."""
    ours = found.figures[found.ours]
    cells = (*_cells(found.what, ours, found.unit), _best(found), _limit(found))
    for goal, seen, met in found.goals or (("", None, None),):
        words = "met" if met else "not met" if met is not None else "not measured" if goal else ""
        said = f"{goal}: {seen:.2f}, {words}" if seen is not None else f"{goal} {words}".strip()
        yield Line((*cells, said), met)
        cells = ("",) * len(cells)


def contenders(found: Result) -> Iterator[tuple[str, ...]]:
    """Yield everything that ran for a row, the fastest first, and what could not be set up."""
    ours = found.figures[found.ours]
    for name, one in sorted(found.figures.items(), key=lambda pair: pair[1]["wall"]):
        times = [f"{ours[key] / one[key]:.2f}" if one[key] else "" for key in ("wall", "cpu")]
        yield (*_cells(name, one, found.unit), *(times if name != found.ours else ("", "")))
    for name, why in found.missing:
        yield (name, f"not installed: {why}", *[""] * (len(CONTENDERS) - 2))


def text(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table for a screen."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    )


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table for a page."""
    body = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in body)


def _cells(name: str, one: Mapping[str, Any], unit: str) -> tuple[str, ...]:
    spread = f"{_time(one['low'])} to {_time(one['high'])}"
    said = f"{name} ({one['said']:.4g} {unit})" if unit else name
    return said, _time(one["wall"]), spread, _time(one["cpu"]), f"{one['peak'] / MIB:.0f} MB"


def _best(found: Result) -> str:
    others = [n for n in found.figures if n != found.ours and n not in found.limits]
    return _times(found, min(others, key=lambda n: found.figures[n]["wall"])) if others else ""


def _limit(found: Result) -> str:
    return ", ".join(_times(found, name) for name in found.limits)


def _times(found: Result, other: str) -> str:
    return f"{found.figures[found.ours]['wall'] / found.figures[other]['wall']:.2f} ({other})"


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
