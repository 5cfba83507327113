"""Expectations and what was measured in, which of them hold out, with the figures they read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.core.allowance import Allowance
from runner.core.expression import evaluate, names
from runner.core.plan import Stage
from runner.core.problem import shown
from runner.core.sandbox import TemplateError


@dataclass(frozen=True, slots=True)
class Judgement:
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
        said = {"expected": self.expected, "place": self.place, "held": self.held}
        return {**said, "figures": dict(self.figures), "trouble": self.trouble}


def judge(stage: Stage, scope: Mapping[str, Any]) -> list[Judgement]:
    """Return what becomes of a finished stage's expectations; `scope` holds what was measured."""
    places: Sequence[str] = stage.expect_at or [""] * len(stage.expect)
    pairs = zip(stage.expect, places, strict=True)
    allowance = Allowance()
    return [_judged(text, place, scope, allowance) for text, place in pairs]


def _judged(text: str, place: str, scope: Mapping[str, Any], allowance: Allowance) -> Judgement:
    try:
        figures = dict(_figures(text, scope))
        held = evaluate(text, scope, allowance)
    except TemplateError as error:
        hint = f" ({error.hint})" if error.hint else ""
        return Judgement(text, place, held=False, figures={}, trouble=f"{error}{hint}")
    trouble = "" if isinstance(held, bool) else f"it is {_short(held)}, neither true nor false"
    return Judgement(text, place, held is True, figures, trouble)


def _figures(text: str, scope: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the values an expectation reads; raises TemplateError where one is not there."""
    for words in sorted(names(text), key=lambda words: (words[0] != "metrics", words)):
        name = ".".join(words)
        value = evaluate(name, scope) if len(words) > 1 else scope.get(name)
        if isinstance(value, int | float | str):
            yield name, value


def _short(value: Any) -> str:
    return f"{value:.6g}" if type(value) is float else shown(value)
