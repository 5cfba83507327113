"""data.mix: replay rows of an earlier data set mixed into a new one at an exact share.

Reads two data sets, and writes a folder of mlx-lm's own layout with a record of what was mixed.
Memory holds the positions of rows, never the rows.
"""

from __future__ import annotations

from array import array
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.base.errors import ToolError
from runner.base.problems import plural
from runner.data import cli
from runner.data.dice import Dice
from runner.data.index import Index, write_rows
from runner.data.pool import Pool
from runner.data.reader import Reader, chunks, require_equal, splits_of
from runner.data.refusals import Precheck
from runner.data.replace_folder import replacing, room_for, write, write_record
from runner.data.replay import ShareError, replay_rows
from runner.system import printer

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence


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
    target = out.resolve()
    room(out=out, primary=primary, replay=replay)
    return prepare(
        primary,
        replay,
        ratio=ratio,
        tolerance=tolerance,
        seed=seed,
        weight_by=weight_by,
        stratify_by=stratify_by,
        reader=reader,
    )(target)


room = room_for("mix", "primary", "replay")


def settle(*, ratio: float, tolerance: float, seed: int, **_: object) -> tuple[Fraction, Fraction]:
    """Return the share and how far it may be off. Raises ToolError for what is none."""
    cli.require_seed(seed)
    return _exact(ratio, tolerance)


def prepare(
    primary: Path,
    replay: Path,
    *,
    ratio: float,
    tolerance: float,
    seed: int,
    weight_by: str | None,
    stratify_by: str | None,
    reader: Reader,
) -> Callable[[Path], dict[str, Any]]:
    """Draw the rows, and return what writes them to a folder. Raises ToolError."""
    share, allowed = settle(ratio=ratio, tolerance=tolerance, seed=seed)
    splits = splits_of(primary)
    file = splits.pop("train")
    ours = reader.learn(file, partial(Index, file=file))
    file = splits_of(replay)["train"]
    pool = reader.learn(
        file, partial(Pool, file=file, weight_by=weight_by, stratify_by=stratify_by)
    )
    theirs = pool.index
    require_equal((ours.kind, f"{ours.file}:1"), (theirs.kind, f"{theirs.file}:1"))
    picked = count(len(ours), pool.drawable, share, allowed)
    dice = Dice(seed)
    sample = pool.draw(picked, dice)
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
        "replay_classes": pool.classes(sample),
    }

    def write_folder(target: Path) -> dict[str, Any]:
        with replacing(target) as folder:
            numbers = order(len(ours), sample, dice)
            write_rows(folder / "train.jsonl", (ours, theirs), numbers, reader)
            for name, file in splits.items():
                write(folder / f"{name}.jsonl", chunks(file))
            return write_record(folder, "mix", record)

    return write_folder


def count(primary: int, available: int, share: Fraction, tolerance: Fraction) -> int:
    """Decide how many of the `available` rows give the share, or refuse with the arithmetic."""
    if not primary:
        raise ToolError(
            "the primary train.jsonl has no rows; there is nothing to mix into", "primary"
        )
    try:
        return replay_rows(primary, available, share, tolerance)
    except ShareError as error:
        raise ToolError(f"{error}\n    hint: {error.hint}", "ratio") from error


def order(primary: int, sample: Sequence[int], dice: Dice) -> array[int]:
    """Shuffle all primary rows (numbered first) and the drawn replay rows (numbered after them)."""
    rows = array("I", range(primary))
    rows.extend(primary + number for number in sample)
    dice.shuffle(rows)
    return rows


def _exact(ratio: float, tolerance: float) -> tuple[Fraction, Fraction]:
    if not 0 <= ratio < 1:
        why = f"ratio is {ratio}; a share of the mixed rows is at least 0 and below 1"
        raise ToolError(why, "ratio")
    if not 0 <= tolerance < 1:
        why = f"tolerance is {tolerance}; it must be at least 0 and below 1"
        raise ToolError(why, "tolerance")
    return Fraction(str(ratio)), Fraction(str(tolerance))


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = cli.parser("mix", "Mix rows of an earlier data set into a new one at an exact share.")
    add = parser.add_argument
    add("--primary", type=Path, required=True, metavar="DIR", help="the new data: every row")
    add("--replay", type=Path, required=True, metavar="DIR", help="the earlier data: some rows")
    add("--out", type=Path, required=True, metavar="DIR", help="the output folder")
    add("--ratio", type=float, default=0.15, help="share of replay rows in the mixed train split")
    add("--tolerance", type=float, default=0.0, help="how far the actual share may differ")
    add("--seed", type=int, default=0, help="decides which rows are drawn, and their order")
    add(
        "--weight-by",
        type=cli.key,
        metavar="KEY",
        help="a field with the weight of each replay row",
    )
    add(
        "--stratify-by",
        type=cli.key,
        metavar="KEY",
        help="a field whose values keep their shares in the replay",
    )
    cli.add_features(parser)
    return parser


AHEAD = Precheck(parser=parser, settle=settle, prepare=prepare, room=room)


def main(argv: Sequence[str] | None = None) -> None:
    """Mix what the command line names."""
    arguments = vars(parser().parse_args(argv))
    with cli.reading(arguments) as reader:
        record = mix(**arguments, reader=reader)
    printer.show(
        f"{arguments['out']}: {plural(record['rows'], 'row')}, "
        f"{record['primary_rows']} primary and "
        f"{record['replay_rows']} of {record['replay_available']} replay, "
        f"a share of {record['realised_share']:.6g}"
    )


if __name__ == "__main__":
    main()
