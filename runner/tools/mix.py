"""data.mix: replay rows of an earlier data set mixed into a new one at an exact share.

Two data sets in; out comes a folder of mlx-lm's own shape, with a record of what was mixed. Only
the places of the rows are kept in memory, never the rows.
"""

from __future__ import annotations

import math
import sys
from array import array
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.tools import command
from runner.tools.command import rows_of
from runner.tools.draw import Dice
from runner.tools.error import ToolError
from runner.tools.pool import Pool
from runner.tools.replacement import replacing, require_replaceable, write, write_record
from runner.tools.rows import Index, Reader, chunks, require_equal, splits_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence


def mix(
    primary: Path,
    replay: Path,
    out: Path,
    *,
    ratio: float,
    tolerance: float = 0.0,
    seed: int = 0,
    weight_by: str | None = None,
    stratify_by: str | None = None,
    reader: Reader = Reader(),  # noqa: B008 - frozen
) -> dict[str, Any]:
    """Write the mixed data set to `out` and return what `mix.json` records."""
    command.require_seed(seed)
    share, allowed = _exact(ratio, tolerance)
    target = out.resolve()
    require_replaceable(target, "mix", primary, replay)
    splits = splits_of(primary)
    file = splits.pop("train")
    ours = reader.learn(file, partial(Index, file))
    file = splits_of(replay)["train"]
    pool = reader.learn(file, partial(Pool, file, weight_by, stratify_by))
    theirs = pool.index
    require_equal((ours.kind, f"{ours.file}:1"), (theirs.kind, f"{theirs.file}:1"))
    picked = count(len(ours), pool.drawable, share, allowed)
    dice = Dice(seed)
    drawn = pool.draw(picked, dice)
    record = {
        "seed": seed,
        "ratio": ratio,
        "primary_rows": len(ours),
        "replay_rows": picked,
        "replay_available": len(theirs),
        "realised_share": float(Fraction(picked, len(ours) + picked)),
        "rows": len(ours) + picked,
        "weight_by": weight_by,
        "stratify_by": stratify_by,
        "replay_classes": pool.classes(drawn),
    }
    with replacing(target) as folder:
        write(folder / "train.jsonl", _rows(ours, theirs, order(len(ours), drawn, dice)))
        for name, file in splits.items():
            write(folder / f"{name}.jsonl", chunks(file))
        return write_record(folder, "mix", record)


def count(primary: int, available: int, share: Fraction, tolerance: Fraction) -> int:
    """Decide how many of the `available` rows give the share, or refuse with the arithmetic."""
    if not primary:
        raise ToolError("the primary train.jsonl has no rows; there is nothing to mix into")
    exact = primary * share / (1 - share)
    rows = math.floor(exact + Fraction(1, 2))
    if abs(Fraction(rows, primary + rows) - share) > tolerance:
        raise ToolError(_cannot_hold(primary, available, share, tolerance, rows))
    if rows > available:
        raise ToolError(_too_few(primary, available, share, rows))
    return rows


def order(primary: int, drawn: Sequence[int], dice: Dice) -> array[int]:
    """Shuffle all primary rows (numbered first) and the drawn replay rows (numbered after them)."""
    rows = array("I", range(primary))
    rows.extend(primary + number for number in drawn)
    dice.shuffle(rows)
    return rows


def _exact(ratio: float, tolerance: float) -> tuple[Fraction, Fraction]:
    if not 0 <= ratio < 1:
        raise ToolError(f"ratio is {ratio}; a share of the mixed rows is at least 0 and below 1")
    if not 0 <= tolerance < 1:
        raise ToolError(f"tolerance is {tolerance}; it must be at least 0 and below 1")
    return Fraction(str(ratio)), Fraction(str(tolerance))


def _cannot_hold(
    primary: int, available: int, share: Fraction, tolerance: Fraction, rows: int
) -> str:
    wanted = f"within {float(tolerance)} of" if tolerance else "of exactly"
    fewer = math.floor(primary * share / (1 - share))
    low, high = (_share(primary, number) for number in (fewer, fewer + 1))
    step = (share / (1 - share)).denominator
    below = primary // step * step
    better = f"{below} or {below + step}" if below else f"{step}"
    return (
        f"{rows_of(primary, 'primary')} cannot hold a replay share {wanted} {float(share)}: "
        f"{rows_of(fewer, 'replay')} give{'s' * (fewer == 1)} {float(low):.6f}, "
        f"{fewer + 1} give{'s' * (not fewer)} {float(high):.6f}. "
        f"{_nearest(primary, available, share, rows)}, or use {better} primary rows"
    )


def _nearest(primary: int, available: int, share: Fraction, rows: int) -> str:
    """Return how to get the nearest share that replays something at all."""
    if rows > available:
        return _all_of_them(primary, available)
    if rows:
        distance = _rounded_up(abs(_share(primary, rows) - share))
        return f"Say tolerance {distance} for {rows_of(rows, 'replay')}"
    return f"Say {_ratio(primary, 1)} for 1 replay row"


def _too_few(primary: int, available: int, share: Fraction, rows: int) -> str:
    step = share / (1 - share)
    fits = available // step.numerator * step.denominator
    fewer = f", or use at most {fits} primary rows" if fits else ""
    return (
        f"{rows_of(primary, 'primary')} at a replay share of {float(share)} need "
        f"{rows_of(rows, 'replay')}, and the replay set has {available}. "
        f"{_all_of_them(primary, available)}{fewer}"
    )


def _all_of_them(primary: int, available: int) -> str:
    if not available:
        return "Add replay rows"
    every = f"all {available} rows" if available > 1 else "the only row"
    return f"Say {_ratio(primary, available)} for {every} of the replay set"


def _ratio(primary: int, rows: int) -> str:
    """Return the ratio, and the tolerance where it is rounded, that takes so many rows."""
    exact = _share(primary, rows)
    digits = len(str(primary + rows)) + 1
    ratio = Fraction(round(exact * 10**digits), 10**digits)
    said = f"ratio {float(ratio):g}" if ratio == exact else f"ratio {float(ratio):.{digits}f}"
    apart = abs(exact - ratio)
    return f"{said} with tolerance {_rounded_up(apart)}" if apart else said


def _share(primary: int, rows: int) -> Fraction:
    return Fraction(rows, primary + rows)


def _rounded_up(value: Fraction, digits: int = 2) -> str:
    places = digits - 1 - math.floor(math.log10(value))
    return f"{math.ceil(value * 10**places) / 10**places:.{places}f}"


def _rows(ours: Index, theirs: Index, numbers: Sequence[int]) -> Iterator[bytes]:
    first = len(ours)
    with ours.opened() as our, theirs.opened() as their:
        for number in numbers:
            yield our(number) if number < first else their(number - first)


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command.parser(
        "mix", "Mix rows of an earlier data set into a new one at an exact share."
    )
    add = parser.add_argument
    add("--primary", type=Path, required=True, metavar="DIR", help="the new data: every row")
    add("--replay", type=Path, required=True, metavar="DIR", help="the earlier data: some rows")
    add("--out", type=Path, required=True, metavar="DIR", help="the folder to write")
    add("--ratio", type=float, default=0.15, help="share of replay rows in the mixed train split")
    add("--tolerance", type=float, default=0.0, help="how far the realised share may be from it")
    add("--seed", type=int, default=0, help="decides which rows are drawn, and their order")
    add(
        "--weight-by",
        type=command.key,
        metavar="KEY",
        help="a number in each replay row: how often to draw it",
    )
    add(
        "--stratify-by",
        type=command.key,
        metavar="KEY",
        help="a field whose every value is replayed by its share",
    )
    command.add_features(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Mix what the command line names."""
    arguments = vars(parser().parse_args(argv))
    with command.reading(arguments) as reader:
        record = mix(**arguments, reader=reader)
    sys.stdout.write(
        f"{arguments['out']}: {record['rows']} rows, {record['primary_rows']} primary and "
        f"{record['replay_rows']} of {record['replay_available']} replay, "
        f"a share of {record['realised_share']:.6g}\n"
    )


if __name__ == "__main__":
    main()
