"""The rows that a data set can draw from: their weights and their classes."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from typing import TYPE_CHECKING, Any

from runner.base.errors import ToolError
from runner.base.problems import listing, plural
from runner.data.dice import Dice, apportion, whole
from runner.data.index import Index
from runner.data.reader import label, member
from runner.data.rows import Flaw, Row, RowError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path


class Pool:
    """Rows by number, each with a weight and a class where a field gives them."""

    def __init__(
        self, *, file: Path, weight_by: str | None = None, stratify_by: str | None = None
    ) -> None:
        self.index = Index(file=file)
        self.weight_by = weight_by
        self.stratify_by = stratify_by
        self.weights = array("d")
        self.kinds: dict[str, int] = {}
        self.kind = array("I")

    def take(self, line: bytes, row: Row) -> None:
        """Remember the place, weight and class of the next row."""
        self.index.take(line, row)
        if self.weight_by:
            self.weights.append(_weight(row.value, self.weight_by))
        if self.stratify_by:
            value = label(member(row.value, self.stratify_by, "stratify_by"))
            self.kind.append(self.kinds.setdefault(value, len(self.kinds)))

    def merge(self, later: Pool) -> None:
        """Take over the rows of the piece that follows."""
        self.index.merge(later.index)
        self.weights += later.weights
        numbers = [self.kinds.setdefault(value, len(self.kinds)) for value in later.kinds]
        self.kind.extend(numbers[kind] for kind in later.kind)

    @property
    def drawable(self) -> int:
        """Count the rows whose weight is not 0."""
        return len(self.index) - self.weights.count(0.0)

    def draw(self, count: int, dice: Dice) -> array[int]:
        """Draw this many rows, of every class its share."""
        if not count or not self.stratify_by:
            return self._some(range(len(self.index)), count, dice)
        sample = array("I")
        members = self._members()
        if count < len(members):
            raise ToolError(
                f"{plural(count, 'replay row')} cannot hold all {len(members)} values of "
                f"'{self.stratify_by}'. Raise ratio, or stratify by a field of fewer values",
                "stratify_by",
            )
        for rows, seats in zip(members, apportion([*map(len, members)], count), strict=True):
            sample += self._some(rows, seats, dice)
        return sample

    def classes(self, sample: Iterable[int]) -> dict[str, int] | None:
        """Count the drawn rows of each class, None if nothing makes classes."""
        if not self.stratify_by:
            return None
        counts = Counter(self.kind[row] for row in sample)
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
                f"'{self.weight_by}' of 0, so none of them can be replayed",
                "weight_by",
            )
        return members

    def _some(self, rows: Sequence[int], count: int, dice: Dice) -> array[int]:
        if not self.weights:
            return dice.sample(rows, count)
        return dice.weighted_sample(rows, whole([self.weights[row] for row in rows]), count)


def _weight(row: Mapping[str, Any], name: str) -> float:
    value = member(row, name, "weight_by")
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        return float(value)
    path = (name,) if name in row else ()
    message = f"has {value!r} as '{name}', not a number of at least 0"
    raise RowError(Flaw(rule="row-field-type", message=message, hint="", path=path))
