"""A seed in, choices out, the same on every machine.

For a seed, Python guarantees only the sequence of ``random()``. Sampling, shuffling and weights are
built on it here, in whole numbers, so that no Python release and no math library changes a choice.
"""

from __future__ import annotations

import random
from array import array
from heapq import heapify, heapreplace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import MutableSequence, Sequence

EXACT = 1 << 53
"""Whole numbers below this are exact as floating point."""


class Dice:
    """Choices that a seed decides."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random  # noqa: S311 - a seed must give the same choices

    def below(self, bound: int) -> int:
        """Return a whole number of at least 0 and below `bound`, which is below 2**53."""
        return int(self._random() * bound)

    def shuffle(self, rows: MutableSequence[int]) -> None:
        """Put rows in another order, each order as likely as any."""
        draw = self._random
        for last in range(len(rows) - 1, 0, -1):
            at = int(draw() * (last + 1))
            rows[last], rows[at] = rows[at], rows[last]

    def sample(self, rows: Sequence[int], count: int) -> array[int]:
        """Draw `count` of the rows, each at most once and each as likely as any."""
        pool, draw = array("I", rows), self._random
        for at in range(count):
            other = at + int(draw() * (len(pool) - at))
            pool[at], pool[other] = pool[other], pool[at]
        return pool[:count]

    def weighted_sample(
        self, rows: Sequence[int], weights: Sequence[int], count: int
    ) -> array[int]:
        """Draw `count` of the rows, each at most once: the next by weight among those left."""
        tree, sample = _Sums(weights), array("I")
        for _ in range(count):
            sample.append(rows[tree.take(self.below(tree.total))])
        return sample


class _Sums:
    """Weights by their running sums, from which one after the other is taken (a Fenwick tree)."""

    def __init__(self, weights: Sequence[int]) -> None:
        self.total = sum(weights)
        self._sums = array("Q", [0, *weights])
        self._top = 1 << max(len(weights).bit_length() - 1, 0)
        for at in range(1, len(self._sums)):
            above = at + (at & -at)
            if above < len(self._sums):
                self._sums[above] += self._sums[at]

    def take(self, target: int) -> int:
        """Remove the place where the running sum passes `target`, and return it."""
        sums, size = self._sums, len(self._sums)
        before, step, passed = 0, self._top, 0
        while step:
            at = before + step
            if at < size and passed + sums[at] <= target:
                before, passed = at, passed + sums[at]
            step >>= 1
        weight = self._weight(before + 1)
        self.total -= weight
        at = before + 1
        while at < size:
            sums[at] -= weight
            at += at & -at
        return before

    def _weight(self, at: int) -> int:
        weight, below, end = self._sums[at], at - 1, at - (at & -at)
        while below > end:
            weight -= self._sums[below]
            below -= below & -below
        return weight


def whole(weights: Sequence[float]) -> array[int]:
    """Return weights of at least 0 as whole numbers of an exact sum; above 0 stays above 0."""
    heaviest = max(weights, default=0.0) or 1.0
    scale = EXACT // (2 * max(len(weights), 1))
    return array("Q", (max(int(weight / heaviest * scale), weight > 0) for weight in weights))


def apportion(sizes: Sequence[int], seats: int) -> list[int]:
    """Share `seats` among classes by their sizes, one at least and never more than a size.

    The method of Webster: each next seat goes to the class that has fewest for its size. There are
    at least as many seats as classes, and not more than the sizes together.
    """
    shares = [1] * len(sizes)
    queue = [(_claim(size, 1), at) for at, size in enumerate(sizes)]
    heapify(queue)
    for _ in range(seats - len(sizes)):
        _, at = queue[0]
        shares[at] += 1
        heapreplace(queue, (_claim(sizes[at], shares[at]), at))
    return shares


def _claim(size: int, share: int) -> float:
    """Return how much a class waits for its next seat, the most first; a full one waits no more."""
    return -size / (2 * share + 1) if share < size else 0.0
