"""Sizes of two data sets and a share in, how many rows to replay out; or why no number fits."""

import math
from fractions import Fraction

from runner.base.problems import plural


class ShareError(ValueError):
    """A replay share that cannot be: the arithmetic, and how to fix it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def replay_rows(primary: int, available: int, share: Fraction, tolerance: Fraction) -> int:
    """Return how many of the `available` rows, beside all primary ones, are that share of both.

    Raises ShareError if no number is within the tolerance, or there are not as many.
    """
    rows = nearest(primary, share)
    if abs(_share(primary, rows) - share) > tolerance:
        raise _cannot_hold(primary, available, share, tolerance)
    if rows > available:
        raise _too_few(primary, available, share)
    return rows


def nearest(primary: int, share: Fraction) -> int:
    """Return the number of rows nearest to a share beside primary ones; of two the larger."""
    return math.floor(primary * share / (1 - share) + Fraction(1, 2))


def _cannot_hold(primary: int, available: int, share: Fraction, tolerance: Fraction) -> ShareError:
    margin = f"within {float(tolerance)} of" if tolerance else "of exactly"
    fewer = math.floor(primary * share / (1 - share))
    low, high = (_share(primary, number) for number in (fewer, fewer + 1))
    step = (share / (1 - share)).denominator
    below = primary // step * step
    better = f"{below} or {below + step}" if below else f"{step}"
    message = (
        f"{plural(primary, 'primary row')} cannot have a replay share {margin} {float(share)}: "
        f"{plural(fewer, 'replay row')} give{'s' * (fewer == 1)} {float(low):.6f}, {fewer + 1} "
        f"give{'s' * (not fewer)} {float(high):.6f}"
    )
    return ShareError(message, f"{_say(primary, available, share)}, or use {better} primary rows")


def _say(primary: int, available: int, share: Fraction) -> str:
    """Return how to get the nearest share that replays something at all."""
    rows = nearest(primary, share)
    if rows > available:
        return _all_of_them(primary, available)
    if rows:
        distance = _round_up(abs(_share(primary, rows) - share))
        return f"set tolerance to {distance} for {plural(rows, 'replay row')}"
    return f"set {_ratio(primary, 1)} for 1 replay row"


def _too_few(primary: int, available: int, share: Fraction) -> ShareError:
    step = share / (1 - share)
    fits = available // step.numerator * step.denominator
    fewer = f", or use at most {fits} primary rows" if fits else ""
    message = (
        f"{plural(primary, 'primary row')} at a replay share of {float(share)} need "
        f"{plural(nearest(primary, share), 'replay row')}, and the replay set has {available}"
    )
    return ShareError(message, f"{_all_of_them(primary, available)}{fewer}")


def _all_of_them(primary: int, available: int) -> str:
    if not available:
        return "add replay rows"
    every = f"all {available} rows" if available > 1 else "the only row"
    return f"set {_ratio(primary, available)} for {every} of the replay set"


def _ratio(primary: int, rows: int) -> str:
    """Return the ratio, and the tolerance where it is rounded, that takes so many rows."""
    exact = _share(primary, rows)
    digits = len(str(primary + rows)) + 1
    ratio = Fraction(round(exact * 10**digits), 10**digits)
    text = f"ratio to {float(ratio):g}" if ratio == exact else f"ratio to {float(ratio):.{digits}f}"
    apart = abs(exact - ratio)
    return f"{text} with tolerance {_round_up(apart)}" if apart else text


def _share(primary: int, rows: int) -> Fraction:
    return Fraction(rows, primary + rows)


def _round_up(value: Fraction, digits: int = 2) -> str:
    places = digits - 1 - math.floor(math.log10(value))
    return f"{math.ceil(value * 10**places) / 10**places:.{places}f}"
