"""Whole numbers, counted and forgotten -> how they are spread."""

from collections import Counter
from dataclasses import dataclass, field


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
    """Counts of whole numbers in buckets that grow with them: exact below 128, then within 1 %."""

    counts: Counter[int] = field(default_factory=Counter)
    total: int = 0
    minimum: int | None = None
    maximum: int = 0

    def add(self, value: int) -> None:
        """Count one number of at least 0."""
        bits = value.bit_length()
        shift = bits - 7 if bits > 7 else 0  # noqa: PLR2004 - twice per row
        self.counts[(shift << 6) + (value >> shift)] += 1
        self.total += value
        if self.minimum is None or value < self.minimum:
            self.minimum = value
        self.maximum = max(self.maximum, value)

    def merge(self, other: "Histogram") -> None:
        """Count what another one counted."""
        self.counts.update(other.counts)
        self.total += other.total
        known = [m for m in (self.minimum, other.minimum) if m is not None]
        self.minimum = min(known, default=None)
        self.maximum = max(self.maximum, other.maximum)

    def spread(self) -> Spread:
        """Return the quantiles."""
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
