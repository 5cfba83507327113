"""When two values are equal, and reading JSON back as the value it was written from."""

import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, TypeVar

from msgspec import ValidationError, convert

T = TypeVar("T")


def read_as(data: Any, kind: type[T]) -> T:
    """Return JSON as a value of a class, checking the type of every part.

    Raises ValueError with the place of the wrong part.
    """
    try:
        return convert(data, kind)
    except (ValidationError, RecursionError) as error:
        raise ValueError(str(error)) from error


def same(one: Any, other: Any) -> bool:
    """Return whether two values are equal to MLX: 2 and 2.0 are, true and 1 are not.

    Numbers that differ by less than single precision are equal: MLX uses float32.
    """
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        whole = isinstance(one, int) and isinstance(other, int)
        return one == other if whole else math.isclose(one, other, rel_tol=2e-7)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(v, other[k]) for k, v in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(other, PurePath):
        return isinstance(one, str) and PurePath(one) == other
    return type(one) is type(other) and bool(one == other)
