"""Whole numbers, counted and forgotten -> how they are spread."""

from collections import Counter
from dataclasses import dataclass, field

MANY = 4096
"""So many numbers are counted at once."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How a number is spread over the rows; quantiles are within 1 %."""

    rows: int
    total: int
    minimum: int
    median: int
    p90: int
    p99: int
    maximum: int


@dataclass(slots=True)
class Histogram:
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
        known = [m for m in (self.minimum, other.minimum) if m is not None]
        self.minimum = min(known, default=None)
        self.maximum = max(self.maximum, other.maximum)

    def spread(self) -> Spread:
        """Return the quantiles."""
        self.fold()
        rows = self.counts.total()
        median, p90, p99 = (self._quantile(share, rows) for share in (50, 90, 99))
        return Spread(rows, self.total, self.minimum or 0, median, p90, p99, self.maximum)

    def _quantile(self, share: int, rows: int) -> int:
        wanted, seen = -(-rows * share // 100), 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= wanted:
                shift = max((bucket >> 6) - 1, 0)
                middle = (bucket - (shift << 6) << shift) + (1 << shift >> 1)
                return min(max(middle, self.minimum or 0), self.maximum)
        return 0
