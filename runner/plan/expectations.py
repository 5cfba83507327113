"""Expectations in, their problems and what they read out, before anything has run."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from runner.base.problems import Mark, Problem, as_yaml, listing, offer
from runner.catalog.tools import Catalog, Tool
from runner.plan.inheritance import Draft
from runner.plan.model import Plan, Stage
from runner.plan.resolve import Filled, Resolver
from runner.plan.scope import ToldError, Use
from runner.plan.train_options import lacks
from runner.recipe.template.allowance import Allowance
from runner.recipe.template.expressions import evaluate, is_figure, names
from runner.recipe.template.render import is_template
from runner.recipe.template.sandbox import TemplateError


def expectations(
    draft: Draft, resolver: Resolver, params: Mapping[str, Mapping[str, object]]
) -> tuple[tuple[tuple[str, str], ...], list[Filled]]:
    """Return a stage's expectations, each with its place, and what they read before it runs.

    `params` are the parameters of sound stages, and the options around their trainers.
    """
    declared = draft.node.get("expect")
    read: list[Filled] = []
    texts = []
    for line in declared.value if declared is not None and isinstance(declared.value, list) else ():
        if isinstance(line.value, str) and line.value.strip():
            texts.append((line.value, str(line.mark)))
            try:
                _read(line.value, draft, resolver, params, read)
            except TemplateError as error:
                read.append(resolver.trouble(line, error))
    return tuple(texts), read


def _read(
    text: str,
    draft: Draft,
    resolver: Resolver,
    params: Mapping[str, Mapping[str, object]],
    read: list[Filled],
) -> None:
    """Add what an expectation reads; raises TemplateError for a name that does not exist."""
    if is_template(text):
        bare = text.replace("{{", "").replace("}}", "").strip()
        raise TemplateError("an expectation is an expression, not a template", f"write {bare}")
    resolver.spend(text)
    measures = False
    for words in sorted(names(text)):
        match words:
            case ("metrics", metric):
                _metric(draft, metric, params, resolver.catalog.trainer)
                measures = True
            case ("stages", other, "metrics", metric):
                _metric(resolver.draft(other), metric, params, resolver.catalog.trainer)
                read.append(Filled(outputs=frozenset({("stages", other, "metrics")})))
                measures = True
            case ("vars" | "stages" | "stage" | "recipe", _, *_):
                read.append(resolver.read(words, draft.name))
            case _:
                raise _undefined(words, draft, _metrics(draft, params, resolver.catalog.trainer))
    if is_figure(text):
        why = f"'{text.strip()[:80]}' is neither true nor false"
        raise TemplateError(why, "compare it with a number")
    if not measures:
        why = "this expectation reads no metric: it is true or false before the stage runs"
        metrics = [f"metrics.{name}" for name in _metrics(draft, params, resolver.catalog.trainer)]
        hint = f"compare one of: {listing(metrics, 5)}" if metrics else "remove it"
        raise TemplateError(why, hint, "expect-no-metric")


def _metrics(draft: Draft, params: Mapping[str, Mapping[str, object]], trainer: Tool) -> list[str]:
    """Return the metrics that a stage measures with its parameters, the tool's first one first."""
    return [
        name
        for name in (draft.tool.metrics if draft.tool else ())
        if _is_measured(draft, name, params, trainer)
    ]


def _is_measured(
    draft: Draft, metric: str, params: Mapping[str, Mapping[str, object]], trainer: Tool
) -> bool:
    try:
        _metric(draft, metric, params, trainer)
    except TemplateError:
        return False
    return True


def _metric(
    draft: Draft, metric: str, params: Mapping[str, Mapping[str, object]], trainer: Tool
) -> None:
    """Raise TemplateError for a metric that a stage does not measure."""
    tool = draft.tool
    if tool is None:
        raise ToldError
    own = params.get(draft.name)
    if tool.loops and metric in trainer.metrics:
        remedy = None if own is None else lacks(metric, own, trainer)
        if remedy is not None:
            why = f"stage '{draft.name}' does not measure '{metric}'"
            raise TemplateError(why, f"add '{remedy}' to measure it", "undefined")
        return
    if not tool.has_metric(metric):
        why = f"{tool.name} does not measure '{metric}'"
        hint = offer(metric, tool.metrics) if tool.metrics else f"{tool.name} has no metrics"
        raise TemplateError(why, hint, "undefined")
    if own is None or tool.is_measured(metric, own):
        return
    when = tool.measures(metric)
    why = f"stage '{draft.name}' does not measure '{metric}'"
    if any(isinstance(one, list) and own[name] not in one for name, one in when.items()):
        others = [one for one in tool.metrics if tool.is_measured(one, own)]
        raise TemplateError(why, offer(metric, others), "undefined")
    plain = {name: one for name, one in when.items() if not isinstance(one, list)}
    remedy = ", ".join(f"{name}: {as_yaml(value)}" for name, value in plain.items())
    raise TemplateError(why, f"add '{remedy}' to measure it", "undefined")


def unknown_figures(
    plan: Plan, catalog: Catalog, ends: Mapping[str, Collection[str]]
) -> Iterator[Problem]:
    """Yield each expectation of a figure whose name ends with none of those its file gives.

    `ends` are the names that a file gives, by path; a file that is not there yet is not in it.
    """
    stages = {stage.name: stage for stage in plan.stages}
    for stage in plan.stages:
        for text, place in zip(stage.expect, stage.expect_at, strict=True):
            for words in sorted(names(text)):
                owner = stages.get(words[1], stage) if words[0] == "stages" else stage
                tool = catalog.get(owner.tool)
                parameter = tool.family(words[-1]) if tool and "metrics" in words else None
                endings = ends.get(str(owner.params[parameter])) if parameter else None
                if tool is None or endings is None:
                    continue
                figures = [f"{lead}{end}" for lead in tool.families for end in sorted(endings)]
                if words[-1] not in figures:
                    why = f"stage '{owner.name}' does not measure '{words[-1]}'"
                    file, line, column = place.rsplit(":", 2)
                    mark = Mark(file=file, line=int(line), column=int(column))
                    yield Problem(
                        mark=mark, message=why, rule="undefined", hint=offer(words[-1], figures)
                    )


def _undefined(words: Use, draft: Draft, measures: Sequence[str]) -> TemplateError:
    tool: Tool | None = draft.tool
    every = tool.metrics if tool else ()
    why = f"'{'.'.join(words)}' is not defined in an expectation"
    if words[0] in every:
        hint = f"write metrics.{words[0]}"
    elif words == ("metrics",):
        hint = f"write metrics.{measures[0]}" if measures else "this stage measures nothing"
    elif words[0] == "metrics":
        hint = "a metric is a number: write metrics.NAME"
    else:
        hint = "it may read metrics, stages, vars"
    return TemplateError(why, hint, "undefined")


class Judgement(Struct, frozen=True, kw_only=True):
    """One expectation: what was expected, where the recipe says so, whether it holds.

    `figures` are the values it reads by name; `trouble` says why it has no answer, which is a no.
    """

    expected: str
    place: str
    held: bool
    figures: Mapping[str, Any]
    trouble: str = ""

    def __str__(self) -> str:
        place = f"{self.place}: " if self.place else ""
        figures = ", ".join(f"{name} is {_short(value)}" for name, value in self.figures.items())
        return f"{place}expected {self.expected}, but {self.trouble or figures or 'it is false'}"

    def as_dict(self) -> dict[str, Any]:
        """Return the judgement as JSON-ready values."""
        record = {"expected": self.expected, "place": self.place, "held": self.held}
        return {**record, "figures": dict(self.figures), "trouble": self.trouble}


def judge(stage: Stage, scope: Mapping[str, Any]) -> list[Judgement]:
    """Return what becomes of a finished stage's expectations; `scope` holds what was measured."""
    places: Sequence[str] = stage.expect_at or [""] * len(stage.expect)
    pairs = zip(stage.expect, places, strict=True)
    allowance = Allowance()
    return [_judgement(text, place, scope, allowance) for text, place in pairs]


def _judgement(text: str, place: str, scope: Mapping[str, Any], allowance: Allowance) -> Judgement:
    try:
        figures = dict(_figures(text, scope))
        value = evaluate(text, scope, allowance)
    except TemplateError as error:
        hint = f" ({error.hint})" if error.hint else ""
        return Judgement(
            expected=text, place=place, held=False, figures={}, trouble=f"{error}{hint}"
        )
    trouble = "" if isinstance(value, bool) else f"it is {_short(value)}, neither true nor false"
    return Judgement(
        expected=text, place=place, held=value is True, figures=figures, trouble=trouble
    )


def _figures(text: str, scope: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the values an expectation reads; raises TemplateError where one is not there."""
    for words in sorted(names(text), key=lambda words: (words[0] != "metrics", words)):
        name = ".".join(words)
        value = evaluate(name, scope) if len(words) > 1 else scope.get(name)
        if isinstance(value, int | float | str):
            yield name, value


def _short(value: Any) -> str:
    return f"{value:.6g}" if type(value) is float else as_yaml(value)
