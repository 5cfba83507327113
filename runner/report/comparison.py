"""Several runs side by side: what differs, what was better, and whether they can be compared."""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from runner.base.visible import code
from runner.base.visible import markdown as markup
from runner.report.report import Report

Json = dict[str, Any]
ABSENT = "(absent)"
HIGHER = ("tokens_per_second", "iterations_per_second", "score", "realised_share")
LOWER = ("loss", "ppl", "perplexity", "peak_memory", "seconds")


class Line(Struct, frozen=True, kw_only=True):
    """One parameter or figure of one stage across runs; `best` are the numbers of the better."""

    stage: str
    name: str
    values: tuple[Any, ...]
    best: tuple[int, ...] = ()


class Comparison(Struct, frozen=True, kw_only=True):
    """Runs side by side; `warnings` say why figures may not be comparable."""

    runs: tuple[str, ...]
    parameters: tuple[Line, ...]
    metrics: tuple[Line, ...]
    warnings: tuple[str, ...]

    def as_dict(self) -> Json:
        """Return the comparison as JSON-ready values."""
        return {
            "runs": list(self.runs),
            "parameters": [_line(line) for line in self.parameters],
            "metrics": [{**_line(line), "best": list(line.best)} for line in self.metrics],
            "warnings": list(self.warnings),
        }


def comparison(reports: Sequence[Report]) -> Comparison:
    """Return what differs between runs, in the first one's order of stages."""
    runs = tuple(one.manifest.id for one in reports)
    return Comparison(
        runs=runs,
        parameters=tuple(_parameters(reports)),
        metrics=tuple(_metrics(reports)),
        warnings=tuple(_warnings(reports)),
    )


def _line(line: Line) -> Json:
    return {"stage": line.stage, "name": line.name, "values": list(line.values)}


def _stages(reports: Sequence[Report]) -> list[str]:
    return list(dict.fromkeys(stage.record.name for one in reports for stage in one.stages))


def _parameters(reports: Sequence[Report]) -> Iterator[Line]:
    for name in _stages(reports):
        rows = [_parameters_of(one, name) for one in reports]
        for parameter in dict.fromkeys(key for row in rows for key in row):
            values = tuple(row.get(parameter, ABSENT) for row in rows)
            if any(value != values[0] for value in values):
                yield Line(stage=name, name=parameter, values=values)


def _parameters_of(one: Report, name: str) -> Json:
    """Return a stage's parameters by their names, those inside of mappings by their paths."""
    stage = next((stage for stage in one.stages if stage.record.name == name), None)
    return dict(_leaves({row.name: row.planned for row in stage.rows}, "")) if stage else {}


def _leaves(values: Json, above: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _metrics(reports: Sequence[Report]) -> Iterator[Line]:
    for name in _stages(reports):
        rows = [
            {**stage.record.metrics, "seconds": stage.record.seconds}
            for one in reports
            for stage in [next((s for s in one.stages if s.record.name == name), None)]
            if stage is not None
        ]
        if len(rows) < len(reports):
            continue
        for metric in dict.fromkeys(key for row in rows for key in row):
            values = tuple(row.get(metric, ABSENT) for row in rows)
            yield Line(stage=name, name=metric, values=values, best=_best(metric, values))


def _best(metric: str, values: Sequence[Any]) -> tuple[int, ...]:
    """Return which values are the better ones; none where nothing says what better is."""
    numbers = [value for value in values if isinstance(value, int | float)]
    if len(numbers) < len(values) or len(set(numbers)) < 2:  # noqa: PLR2004
        return ()
    if metric in HIGHER or metric.startswith("score"):
        best = max(numbers)
    elif any(metric.endswith(ending) for ending in LOWER):
        best = min(numbers)
    else:
        return ()
    return tuple(at for at, value in enumerate(values) if value == best)


def _warnings(reports: Sequence[Report]) -> Iterator[str]:
    """Yield why figures may not be comparable: other data, another base, another scale."""
    if len({one.manifest.plan.smoke for one in reports}) > 1:
        yield "one is a smoke run and another is not: their metrics are not comparable"
    if len({one.manifest.plan.name for one in reports}) > 1:
        yield "they are runs of different recipes"
    for name in _stages(reports):
        identities = [
            dict(stage.record.identity)
            for one in reports
            for stage in one.stages
            if stage.record.name == name and stage.record.identity
        ]
        yield from _inputs(name, identities)
    yield from (f"{one.manifest.id} did not finish: {one.state}" for one in reports if _open(one))


def _inputs(stage: str, identities: Sequence[Json]) -> Iterator[str]:
    """Yield which inputs of a stage were not the same."""
    for part in dict.fromkeys(
        part for one in identities for part in one if part.startswith("input ")
    ):
        digests = {one.get(part) for one in identities}
        if len(digests) > 1:
            what = part.removeprefix("input ")
            yield f"stage {stage} read different content: {what}"
    for part in ("model", "data", "test_batches", "val_batches", "max_seq_length"):
        if len({str(one.get(part)) for one in identities}) > 1:
            yield f"stage {stage} had a different {part}"


def _open(one: Report) -> bool:
    return one.state != "finished"


def markdown(result: Comparison) -> str:
    """Return a comparison as Markdown; the better figure is bold."""
    head = " | ".join(map(code, result.runs))
    rule = "|".join(["---"] * (len(result.runs) + 1))
    lines = [f"# {len(result.runs)} runs side by side", ""]
    lines += [f"**Not directly comparable:** {markup(warning)}." for warning in result.warnings]
    for title, rows in (("Parameters that differ", result.parameters), ("Figures", result.metrics)):
        lines += ["", f"## {title}", "", f"| | {head} |", f"|{rule}|"]
        lines += [
            f"| {markup(f'{row.stage}.{row.name}')} | "
            + " | ".join(
                f"**{_cell(value)}**" if at in row.best else _cell(value)
                for at, value in enumerate(row.values)
            )
            + " |"
            for row in rows
        ]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else markup(str(value))
