"""The weights of one training and their measurements in, the weights to keep out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import asdict

if TYPE_CHECKING:
    from collections.abc import Sequence


class Weights(Struct, frozen=True, kw_only=True):
    """Weights after so many iterations: their file, and the losses that were measured of them.

    `retention_ratio` is the retention loss by that before the training. None is not measured.
    """

    iteration: int
    file: str
    val_loss: float | None = None
    retention_loss: float | None = None
    retention_ratio: float | None = None

    def within(self, bound: float | None) -> bool:
        """Return whether what was learned before is kept well enough."""
        return bound is None or self.retention_ratio is None or self.retention_ratio <= bound

    def as_dict(self) -> dict[str, Any]:
        """Return the weights as JSON-ready values."""
        return asdict(self)


def best(candidates: Sequence[Weights], bound: float | None) -> Weights | None:
    """Return the weights of the lowest validation loss within the bound, None if none is.

    Of equal losses the earlier weights win. Where nothing was validated it is the last within.
    """
    inside = [one for one in candidates if one.within(bound)]
    valid = [one for one in inside if one.val_loss is not None and math.isfinite(one.val_loss)]
    if not valid:
        return inside[-1] if inside else None
    return min(valid, key=lambda one: (one.val_loss, one.iteration))
