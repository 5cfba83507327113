"""When two values are one, and JSON read back as the value it was."""

import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, TypeVar

from msgspec import ValidationError, convert

T = TypeVar("T")


def read_as(said: Any, kind: type[T]) -> T:
    """Return JSON as a value whose every part has the type that the class says.

    Raises ValueError, with the place of what is wrong.
    """
    try:
        return convert(said, kind)
    except (ValidationError, RecursionError) as error:
        raise ValueError(str(error)) from error


def same(planned: Any, seen: Any) -> bool:
    """Say whether two values are one to MLX: 2 and 2.0 are, true and 1 are not.

    Numbers that differ by less than single precision can tell are equal: MLX keeps float32.
    """
    if isinstance(planned, bool) or isinstance(seen, bool):
        return planned is seen
    if isinstance(planned, int | float) and isinstance(seen, int | float):
        whole = isinstance(planned, int) and isinstance(seen, int)
        return planned == seen if whole else math.isclose(planned, seen, rel_tol=2e-7)
    if isinstance(planned, Mapping) and isinstance(seen, Mapping):
        return planned.keys() == seen.keys() and all(same(v, seen[k]) for k, v in planned.items())
    if isinstance(planned, list | tuple) and isinstance(seen, list | tuple):
        return len(planned) == len(seen) and all(map(same, planned, seen))
    if isinstance(seen, PurePath):
        return isinstance(planned, str) and PurePath(planned) == seen
    return type(planned) is type(seen) and bool(planned == seen)
