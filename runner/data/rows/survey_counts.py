"""Whole numbers, counted without being stored -> their distribution."""

from collections import Counter
from collections.abc import Iterator

from msgspec import Struct, field

from runner.base.problems import Mark, Problem

MANY = 4096
"""So many numbers are counted at once."""


class Spread(Struct, frozen=True, kw_only=True):
    """How a number is spread over the rows; quantiles are within 1 %."""

    rows: int
    total: int
    minimum: int
    median: int
    p90: int
    p99: int
    maximum: int


class Histogram(Struct, kw_only=True):
    """Counts of whole numbers in buckets that grow with them: exact below 128, then within 1 %.

    `recent` are numbers that wait to be counted, many at once.
    """

    counts: Counter[int] = field(default_factory=Counter)
    total: int = 0
    minimum: int | None = None
    maximum: int = 0
    recent: list[int] = field(default_factory=list)

    def add(self, value: int) -> None:
        """Count one number of at least 0."""
        self.recent.append(value)
        if len(self.recent) >= MANY:
            self.fold()

    def fold(self) -> None:
        """Count the numbers that wait."""
        if not self.recent:
            return
        for value, times in Counter(self.recent).items():
            shift = max(value.bit_length() - 7, 0)
            self.counts[(shift << 6) + (value >> shift)] += times
        self.total += sum(self.recent)
        least = min(self.recent)
        self.minimum = least if self.minimum is None else min(self.minimum, least)
        self.maximum = max(self.maximum, *self.recent)
        self.recent.clear()

    def merge(self, other: "Histogram") -> None:
        """Count what another one counted."""
        other.fold()
        self.counts.update(other.counts)
        self.total += other.total
        minima = [m for m in (self.minimum, other.minimum) if m is not None]
        self.minimum = min(minima, default=None)
        self.maximum = max(self.maximum, other.maximum)

    def spread(self) -> Spread:
        """Return the quantiles."""
        self.fold()
        rows = self.counts.total()
        median, p90, p99 = (self._quantile(share, rows) for share in (50, 90, 99))
        return Spread(
            rows=rows,
            total=self.total,
            minimum=self.minimum or 0,
            median=median,
            p90=p90,
            p99=p99,
            maximum=self.maximum,
        )

    def _quantile(self, share: int, rows: int) -> int:
        rank, passed = -(-rows * share // 100), 0
        for bucket in sorted(self.counts):
            passed += self.counts[bucket]
            if passed >= rank:
                shift = max((bucket >> 6) - 1, 0)
                middle = (bucket - (shift << 6) << shift) + (1 << shift >> 1)
                return min(max(middle, self.minimum or 0), self.maximum)
        return 0


class Tally(Struct, kw_only=True):
    """Problems of one file: the first few of each kind, and the number of all."""

    limit: int
    examples: dict[str, list[Problem]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    last: dict[str, int] = field(default_factory=dict)

    def count(self, rule: str, line: int) -> bool:
        """Count one; say whether it is among those to show."""
        self.counts[rule] += 1
        self.last[rule] = max(line, self.last.get(rule, 0))
        examples = self.examples.setdefault(rule, [])
        return len(examples) < self.limit or line < examples[-1].mark.line

    def show(self, problem: Problem) -> None:
        """Keep a problem that `count` selected to be shown."""
        examples = [*self.examples.get(problem.rule, ()), problem]
        examples.sort(key=lambda p: p.mark)
        self.examples[problem.rule] = examples[: self.limit]

    def merge(self, other: "Tally") -> None:
        """Take over the problems of later lines of the same file."""
        for rule, problems in other.examples.items():
            for problem in problems:
                self.show(problem)
            self.counts[rule] += other.counts[rule]
            self.last[rule] = max(self.last.get(rule, 0), other.last[rule])

    def problems(self) -> Iterator[Problem]:
        """Yield those shown, and one that counts the rest of its kind, at the last of them."""
        for rule, examples in self.examples.items():
            yield from examples
            if rest := self.counts[rule] - len(examples):
                example = examples[0]
                mark = Mark(file=example.mark.file, line=self.last[rule], column=1)
                message = f"{rest} more not shown (last: line {mark.line})"
                yield Problem(
                    mark=mark,
                    message=message,
                    rule=rule,
                    hint=example.hint,
                    notes=(),
                    severity=example.severity,
                )
