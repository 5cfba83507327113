"""Problems of one file -> the first few of each kind, and how many there are."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from runner.core.problem import Mark, Problem


@dataclass(slots=True)
class Tally:
    """Problems of one file: the first few of each kind, and the number of all."""

    limit: int
    shown: dict[str, list[Problem]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    last: dict[str, int] = field(default_factory=dict)

    def count(self, rule: str, line: int) -> bool:
        """Count one; say whether it is among those to show."""
        self.counts[rule] += 1
        self.last[rule] = max(line, self.last.get(rule, 0))
        shown = self.shown.setdefault(rule, [])
        return len(shown) < self.limit or line < shown[-1].mark.line

    def show(self, problem: Problem) -> None:
        """Keep a problem that `count` said is to be shown."""
        shown = [*self.shown.get(problem.rule, ()), problem]
        shown.sort(key=lambda p: p.mark)
        self.shown[problem.rule] = shown[: self.limit]

    def merge(self, other: "Tally") -> None:
        """Take over the problems of later lines of the same file."""
        for rule, problems in other.shown.items():
            for problem in problems:
                self.show(problem)
            self.counts[rule] += other.counts[rule]
            self.last[rule] = max(self.last.get(rule, 0), other.last[rule])

    def problems(self) -> Iterator[Problem]:
        """Yield those shown, and one that counts the rest of its kind, at the last of them."""
        for rule, shown in self.shown.items():
            yield from shown
            if rest := self.counts[rule] - len(shown):
                example = shown[0]
                mark = Mark(example.mark.file, self.last[rule], 1)
                message = f"{rest} more like the {len(shown)} shown; this is the last"
                yield Problem(mark, message, rule, example.hint, (), example.severity)
