"""data.mix: replay rows of an earlier data set mixed into a new one at an exact share.

Two folders of rows in; out comes a folder of mlx-lm's own shape, with a record of what was mixed.
Only the places of the rows are kept in memory, never the rows.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from array import array
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from runner.core.rows import Features, RowError, parse, require_format
from runner.tools.error import ToolError
from runner.tools.replacement import replacing, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

TRAIN = "train.jsonl"
COPIED = ("valid.jsonl", "test.jsonl")
RECORD = "mix.json"
CHUNK = 1 << 20


@dataclass(frozen=True)
class Format:
    """The format of a row, and the first place where it was seen."""

    name: str
    place: str


@dataclass(frozen=True)
class Index:
    """Where each row of one file starts, and where the last one ends."""

    file: Path
    offsets: array[int]
    format: Format | None

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.offsets) - 1


def mix(
    primary: Path,
    replay: Path,
    out: Path,
    *,
    ratio: float,
    tolerance: float = 0.0,
    seed: int = 0,
) -> dict[str, int | float | str]:
    """Write the mixed data set to `out` and return what `mix.json` records."""
    if seed < 0:
        raise ToolError(f"seed is {seed}; it must be at least 0")
    share, allowed = _exact(ratio, tolerance)
    target = out.resolve()
    _require_replaceable(target, primary, replay)
    ours, theirs = index(primary / TRAIN), index(replay / TRAIN)
    _require_same_format(ours, theirs)
    picked = count(len(ours), len(theirs), share, allowed)
    realised = Fraction(picked, len(ours) + picked)
    record: dict[str, int | float | str] = {
        "tool": "data.mix",
        "seed": seed,
        "ratio": ratio,
        "primary_rows": len(ours),
        "replay_rows": picked,
        "replay_available": len(theirs),
        "realised_share": float(realised),
        "rows": len(ours) + picked,
    }
    with replacing(target) as folder:
        write(folder / TRAIN, _rows(ours, theirs, order(len(ours), len(theirs), picked, seed)))
        for name in COPIED:
            if (primary / name).exists():
                write(folder / name, _chunks(primary / name))
        write(folder / RECORD, [json.dumps(record, indent=2).encode(), b"\n"])
    return record


def count(primary: int, available: int, share: Fraction, tolerance: Fraction) -> int:
    """Decide how many of the `available` rows give the share, or refuse with the arithmetic."""
    if not primary:
        raise ToolError("the primary train.jsonl has no rows; there is nothing to mix into")
    exact = primary * share / (1 - share)
    rows = math.floor(exact + Fraction(1, 2))
    if abs(Fraction(rows, primary + rows) - share) > tolerance:
        raise ToolError(_cannot_hold(primary, share, tolerance, rows))
    if rows > available:
        raise ToolError(
            f"{_rows_of(primary, 'primary')} at a replay share of {float(share)} need "
            f"{_rows_of(rows, 'replay')}, and the replay set has {available}. "
            f"{_fitting(available, share)}"
        )
    return rows


def order(primary: int, available: int, picked: int, seed: int) -> array[int]:
    """Shuffle all primary rows (numbered first) and `picked` of the replay rows (after them)."""
    dice = random.Random(seed)  # noqa: S311 - a seed must give the same rows everywhere
    drawn = dice.sample(range(primary, primary + available), picked)
    rows = array("Q", range(primary))
    rows.extend(drawn)
    dice.shuffle(rows)
    return rows


def _exact(ratio: float, tolerance: float) -> tuple[Fraction, Fraction]:
    if not 0 <= ratio < 1:
        raise ToolError(f"ratio is {ratio}; a share of the mixed rows is at least 0 and below 1")
    if not 0 <= tolerance < 1:
        raise ToolError(f"tolerance is {tolerance}; it must be at least 0 and below 1")
    return Fraction(str(ratio)), Fraction(str(tolerance))


def _cannot_hold(primary: int, share: Fraction, tolerance: Fraction, rows: int) -> str:
    wanted = f"within {float(tolerance)} of" if tolerance else "of exactly"
    fewer = math.floor(primary * share / (1 - share))
    low, high = (Fraction(n, primary + n) for n in (fewer, fewer + 1))
    step = (share / (1 - share)).denominator
    below = primary // step * step
    better = f"{below} or {below + step}" if below else f"{step}"
    distance = abs(Fraction(rows, primary + rows) - share)
    return (
        f"{_rows_of(primary, 'primary')} cannot hold a replay share {wanted} {float(share)}: "
        f"{_rows_of(fewer, 'replay')} give {float(low):.6f}, {fewer + 1} give {float(high):.6f}. "
        f"Use {better} primary rows, or allow it with tolerance {_rounded_up(distance)}"
    )


def _fitting(available: int, share: Fraction) -> str:
    step = share / (1 - share)
    fits = available // step.numerator * step.denominator
    return f"Use at most {fits} primary rows or a smaller ratio" if fits else "Add replay rows"


def _rounded_up(value: Fraction, digits: int = 2) -> str:
    places = digits - 1 - math.floor(math.log10(value))
    return f"{math.ceil(value * 10**places) / 10**places:.{places}f}"


def _rows_of(number: int, side: str) -> str:
    return f"{number} {side} row{'' if number == 1 else 's'}"


def index(file: Path) -> Index:
    """Check every row of a file and remember where each one starts."""
    if not file.is_file():
        raise ToolError(f"there is no file {file}; data.mix needs a train.jsonl on both sides")
    offsets, seen = array("Q", [0]), None
    with file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            found = Format(_checked(line, f"{file}:{number}"), f"{file}:{number}")
            seen = seen or found
            _require_equal(seen, found)
            offsets.append(offsets[-1] + len(line))
    return Index(file, offsets, seen)


def _checked(line: bytes, place: str) -> str:
    try:
        return require_format(parse(line)[0], Features())[0]
    except RowError as error:
        raise ToolError(f"{place} {error}") from error


def _require_same_format(ours: Index, theirs: Index) -> None:
    if ours.format and theirs.format:
        _require_equal(ours.format, theirs.format)


def _require_equal(first: Format, other: Format) -> None:
    if first.name != other.name:
        raise ToolError(
            f"{first.place} is {first.name} and {other.place} is {other.name}; "
            "mlx-lm reads all rows in the format of the first, so they must be the same"
        )


def _rows(ours: Index, theirs: Index, numbers: array[int]) -> Iterator[bytes]:
    with ExitStack() as stack:
        first, second = (stack.enter_context(side.file.open("rb")) for side in (ours, theirs))
        for number in numbers:
            if number < len(ours):
                yield _row(first, ours, number)
            else:
                yield _row(second, theirs, number - len(ours))


def _row(stream: BinaryIO, side: Index, number: int) -> bytes:
    start, end = side.offsets[number], side.offsets[number + 1]
    stream.seek(start)
    return stream.read(end - start).removesuffix(b"\n") + b"\n"


def _chunks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def _require_replaceable(target: Path, *sources: Path) -> None:
    if target in [source.resolve() for source in sources]:
        raise ToolError(f"{target} is read by this mix; name another folder to write")
    if not target.exists():
        return
    if not target.is_dir():
        raise ToolError(f"{target} exists and is not a folder")
    names = {entry.name for entry in target.iterdir()}
    if names and not (_is_record(target / RECORD) and names <= {TRAIN, *COPIED, RECORD}):
        raise ToolError(f"{target} holds files that data.mix did not write; name another folder")


def _is_record(file: Path) -> bool:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("tool") == "data.mix"


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(
        prog="data.mix",
        description="Mix rows of an earlier data set into a new one at an exact share.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--primary", type=Path, required=True, metavar="DIR", help="the new data: every row")
    add("--replay", type=Path, required=True, metavar="DIR", help="the earlier data: some rows")
    add("--out", type=Path, required=True, metavar="DIR", help="the folder to write")
    add("--ratio", type=float, default=0.15, help="share of replay rows in the mixed train split")
    add("--tolerance", type=float, default=0.0, help="how far the realised share may be from it")
    add("--seed", type=int, default=0, help="decides which rows are drawn, and their order")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Mix what the command line names."""
    arguments = parser().parse_args(argv)
    try:
        record = mix(**vars(arguments))
    except (OSError, ToolError) as error:
        _fail(error)
    sys.stdout.write(
        f"{arguments.out}: {record['rows']} rows, {record['primary_rows']} primary and "
        f"{record['replay_rows']} of {record['replay_available']} replay, "
        f"a share of {record['realised_share']:.6g}\n"
    )


def _fail(error: Exception) -> NoReturn:
    sys.stderr.write(f"error: {error}\n")
    raise SystemExit(1) from error


if __name__ == "__main__":
    main()
