"""An answer and its rules in, a verdict for each out; verdicts in, scores out."""

import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from msgspec import Struct, field

from runner.tools.evaluate.prompts import AnswerRule, Category, Question

Search = Callable[[str, str], bool]
# A comma parts thousands; a sign after a digit is a dash.
_NUMBER = re.compile(r"(?<![\d.])-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?")
_DASH = re.compile(r"(?<=\d)-(?=\d)")


class Grade(Struct, frozen=True, kw_only=True):
    """Whether an answer holds to a rule; None where the search for a pattern was given up."""

    rule: AnswerRule
    held: bool | None
    number: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict as a reader of samples wants it: the rule as it is said, and held."""
        record: dict[str, Any] = {self.rule.kind: self.rule.target}
        for name, default in (("tolerance", 0.0), ("ignore_case", False), ("weight", 1.0)):
            if getattr(self.rule, name) != default:
                record[name] = getattr(self.rule, name)
        if self.rule.kind == "number":
            record["seen"] = self.number
        return {**record, "held": self.held}


def verdicts(rules: Sequence[AnswerRule], answer: str, search: Search) -> list[Grade]:
    """Return a verdict for each rule; `search` may give a pattern up with a TimeoutError."""
    return [_verdict(rule, answer, search) for rule in rules]


def score(grades: Sequence[Grade]) -> Fraction:
    """Return the share of the rules that hold, by their weights."""
    whole = sum(Fraction(str(one.rule.weight)) for one in grades)
    return sum((Fraction(str(one.rule.weight)) for one in grades if one.held), Fraction()) / whole


def last_number(answer: str) -> float | None:
    """Return the last number in a text, None if there is none."""
    numbers = _NUMBER.findall(_DASH.sub(" ", answer))
    return float(numbers[-1].replace(",", "")) if numbers else None


def _verdict(rule: AnswerRule, answer: str, search: Search) -> Grade:
    target = rule.target
    if isinstance(target, int | float):
        number = last_number(answer)
        near = number is not None and _near(number, target, rule.tolerance)
        return Grade(rule=rule, held=near, number=number)
    if rule.kind in {"match", "not_match"}:
        try:
            return Grade(rule=rule, held=search(target, answer) is (rule.kind == "match"))
        except TimeoutError:
            return Grade(rule=rule, held=None)
    if rule.ignore_case:
        target, answer = target.casefold(), answer.casefold()
    if rule.kind == "exact":
        return Grade(rule=rule, held=answer.strip() == target.strip())
    return Grade(rule=rule, held=(target in answer) is (rule.kind == "contain"))


def _near(number: float, target: float, tolerance: float) -> bool:
    """Compare as the numbers are written: 0.3 is within 0.1 of 0.2, which floats deny."""
    if number in {float("inf"), float("-inf")}:
        return False
    exact = [Fraction(str(value)) for value in (number, target, tolerance)]
    return abs(exact[0] - exact[1]) <= exact[2]


class Sum(Struct, kw_only=True):
    """What is known of the questions of one category so far."""

    rows: int = 0
    passed: int = 0
    weight: Fraction = field(default_factory=Fraction)
    points: Fraction = field(default_factory=Fraction)

    @property
    def score(self) -> Fraction:
        """The mean of the questions' scores, by their weights."""
        return self.points / self.weight


class Scores:
    """Scores by category, added up exactly, so that 7 of 10 are not below 0.7."""

    def __init__(self, categories: Mapping[str, Category]) -> None:
        self._categories = categories
        self._sums: dict[str, Sum] = {}
        self.undecided = 0

    def add(self, question: Question, grades: Sequence[Grade]) -> None:
        """Add the verdicts on one answer."""
        one = self._sums.setdefault(question.category, Sum())
        weight = Fraction(str(question.weight))
        one.rows += 1
        one.passed += all(verdict.held for verdict in grades)
        one.weight += weight
        one.points += weight * score(grades)
        self.undecided += sum(verdict.held is None for verdict in grades)

    def figures(self) -> dict[str, Any]:
        """Return the figures of a report; there must be a question.

        ``score`` is the mean of the categories' scores by their weights, ``score_NAME`` that of
        one, ``passed`` the share of answers that hold to every rule.
        """
        self._sums = dict(sorted(self._sums.items()))
        weights = {name: self._weight(name) for name in self._sums}
        whole = sum((weights[n] * one.score for n, one in self._sums.items()), Fraction())
        rows = sum(one.rows for one in self._sums.values())
        passed = Fraction(sum(one.passed for one in self._sums.values()), rows)
        sums = {name: one for name, one in self._sums.items() if name}
        return {
            "score": float(whole / sum(weights.values())),
            **{f"score_{name}": float(one.score) for name, one in sums.items()},
            "passed": float(passed),
            "rows": rows,
            "undecided": self.undecided,
            "categories": {
                name: {
                    "score": float(one.score),
                    "weight": float(weights[name]),
                    "rows": one.rows,
                    "passed": one.passed,
                }
                for name, one in sums.items()
            },
        }

    def _weight(self, name: str) -> Fraction:
        category = self._categories.get(name)
        return Fraction(str(category.weight)) if category else Fraction(1)
