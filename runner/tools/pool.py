"""The rows a data set has to draw from: their weights, and their classes."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runner.core.problem import listing
from runner.core.rows import Flaw
from runner.tools.command import rows_of
from runner.tools.draw import Dice, apportion, whole
from runner.tools.error import ToolError
from runner.tools.rows import Index, Line, Reader, label, member, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


@dataclass
class Pool:
    """Rows by number, each with a weight and a class where a field gives them."""

    index: Index
    weight_by: str | None = None
    stratify_by: str | None = None
    weights: array[float] = field(default_factory=lambda: array("d"))
    kinds: dict[str, int] = field(default_factory=dict)
    kind: array[int] = field(default_factory=lambda: array("I"))

    @classmethod
    def of(cls, file: Path, reader: Reader, weight_by: str | None, stratify_by: str | None) -> Pool:
        """Check every row of a file and remember its place, weight and class."""
        pool = cls(Index(file), weight_by, stratify_by)
        for row in reader.rows(file):
            pool.index.add(row)
            if weight_by:
                pool.weights.append(_weight(row, weight_by, file))
            if stratify_by:
                value = label(member(row, stratify_by, file, "stratify_by"))
                pool.kind.append(pool.kinds.setdefault(value, len(pool.kinds)))
        return pool

    @property
    def drawable(self) -> int:
        """Count the rows whose weight is not 0."""
        return len(self.index) - self.weights.count(0.0)

    def draw(self, count: int, dice: Dice) -> array[int]:
        """Draw so many rows, of every class its share."""
        if not count or not self.stratify_by:
            return self._some(range(len(self.index)), count, dice)
        drawn = array("I")
        members = self._members()
        if count < len(members):
            raise ToolError(
                f"{rows_of(count, 'replay')} cannot hold all {len(members)} values of "
                f"'{self.stratify_by}'. Raise ratio, or stratify by a field of fewer values"
            )
        for rows, seats in zip(members, apportion([*map(len, members)], count), strict=True):
            drawn += self._some(rows, seats, dice)
        return drawn

    def classes(self, drawn: Iterable[int]) -> dict[str, int] | None:
        """Count the drawn rows of each class, None where nothing makes classes."""
        if not self.stratify_by:
            return None
        counts = Counter(self.kind[row] for row in drawn)
        return {value: counts[kind] for value, kind in self.kinds.items()}

    def _members(self) -> list[array[int]]:
        members = [array("I") for _ in self.kinds]
        for row, kind in enumerate(self.kind):
            if not self.weights or self.weights[row]:
                members[kind].append(row)
        empty = [value for value, kind in self.kinds.items() if not members[kind]]
        if empty:
            raise ToolError(
                f"every row whose '{self.stratify_by}' is {listing(empty)} has a "
                f"'{self.weight_by}' of 0, so that none of them can be replayed"
            )
        return members

    def _some(self, rows: Sequence[int], count: int, dice: Dice) -> array[int]:
        if not self.weights:
            return dice.sample(rows, count)
        return dice.weighted(rows, whole([self.weights[row] for row in rows]), count)


def _weight(row: Line, name: str, file: Path) -> float:
    value = member(row, name, file, "weight_by")
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        return float(value)
    path = (name,) if name in row.value else ()
    flaw = Flaw(
        "row-field-type", f"has {value!r} as '{name}', not a number of at least 0", "", path
    )
    raise refusal(flaw, file, row.number, row.line)
