"""data.split: rows divided into train, valid and test, keeping related rows together.

Rows with the same training text always stay together, and so do rows with the same value of a
field, if one is given. Memory holds 30 bytes per row, never the rows.
"""

from __future__ import annotations

import math
from array import array
from fractions import Fraction
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from runner.base.errors import ToolError
from runner.base.problems import plural
from runner.data import cli
from runner.data.dice import Dice
from runner.data.reader import Reader, label, member, splits_of
from runner.data.refusals import Precheck
from runner.data.replace_folder import replacing, room_for, write, write_record
from runner.data.rows import SPLITS, Features, Flaw, Row, RowError, identity
from runner.system import printer
from runner.system.reader import open_file

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping, Sequence

BUCKETS = 256
TRAIN = SPLITS.index("train")


def split(
    data: Path,
    out: Path,
    *,
    valid: float = 0.1,
    test: float = 0.0,
    group_by: str | None = None,
    seed: int = 0,
    reader: Reader = Reader(),  # noqa: B008 - frozen
) -> dict[str, Any]:
    """Write the splits to `out` and return what `split.json` records."""
    target = out.resolve()
    room(out=out, data=data)
    return prepare(data, valid=valid, test=test, group_by=group_by, seed=seed, reader=reader)(
        target
    )


room = room_for("split", "data")


def settle(*, valid: float, test: float, seed: int, **_: object) -> None:
    """Raise ToolError if the parameters alone leave an empty split, for any number of rows."""
    cli.require_seed(seed)
    shares = {"valid": valid, "test": test}
    for name, amount in shares.items():
        _require_amount(name, amount)
    if max(shares.values()) < 1 <= sum(Fraction(str(share)) for share in shares.values()):
        text = f"a valid share of {valid:g} and a test share of {test:g}"
        way_out = "Use two shares with a sum below 1"
        raise ToolError(f"{text} leave no rows to train on. {way_out}", "valid")


def prepare(
    data: Path,
    *,
    valid: float,
    test: float,
    group_by: str | None,
    seed: int,
    reader: Reader,
) -> Callable[[Path], dict[str, Any]]:
    """Deal the rows out, and return what writes them to a folder. Raises ToolError."""
    settle(valid=valid, test=test, seed=seed)
    file = _only_train(data)
    alike = reader.learn(
        file, partial(Alike, features=reader.features, group_by=group_by), deep=True
    )
    if not alike.rows:
        raise ToolError(f"{file} has no rows to split", "data")
    groups = alike.groups()
    amounts = {"valid": valid, "test": test}
    goals = {name: count(len(groups), name, amount) for name, amount in amounts.items()}
    _require_rest(len(groups), goals)
    place, results = deal(groups, goals, Dice(seed))
    sizes = [size for size in groups.sizes() if size]
    _require_filled(goals, results, sizes)
    record = {
        "seed": seed,
        "group_by": group_by,
        "rows": len(groups),
        "groups": len(sizes),
        "largest_group": max(sizes),
        **{f"{name}_rows": results[name] for name in SPLITS},
        **{f"{name}_wanted": goals[name] for name in goals},
    }

    def write_folder(target: Path) -> dict[str, Any]:
        with replacing(target) as folder:
            for at, name in enumerate(SPLITS):
                if results[name]:
                    write(folder / f"{name}.jsonl", _dealt(file, place, at))
            return write_record(folder, "split", record)

    return write_folder


def _require_amount(name: str, amount: float) -> None:
    if not 0 <= amount < math.inf or (amount >= 1 and amount != int(amount)):
        why = f"{name} is {amount:g}; it must be a share below 1, or a whole number of rows"
        raise ToolError(why, name)


def count(rows: int, name: str, amount: float) -> int:
    """Return the rows that a share below 1, or a count, asks for."""
    _require_amount(name, amount)
    if amount >= 1:
        return int(amount)
    number = math.floor(rows * Fraction(str(amount)) + Fraction(1, 2))
    if amount and not number:
        raise ToolError(
            f"a share of {amount:g} of {plural(rows, 'row')} gives no {name} rows. Set {name} to "
            "1 for one row, or to 0 for none",
            name,
        )
    return number


def _only_train(data: Path) -> Path:
    splits = splits_of(data)
    file = splits.pop("train")
    if splits:
        others = " and ".join(f"{name}.jsonl" for name in splits)
        raise ToolError(
            f"{data} already has a {others}. Name {file} to split only its rows, or put all rows "
            "in one file",
            "data",
        )
    return file


def _require_rest(rows: int, goals: Mapping[str, int]) -> None:
    if rows <= sum(goals.values()):
        names = [name for name, number in goals.items() if number]
        sizes = " and ".join(f"{goals[name]} {name}" for name in names)
        why = f"of {plural(rows, 'row')}, {sizes} would leave none to train on"
        raise ToolError(why, names[0])


def _require_filled(
    goals: Mapping[str, int], results: Mapping[str, int], sizes: Sequence[int]
) -> None:
    for name, rows in results.items():
        if rows or goals.get(name) == 0:
            continue
        goal = f"{goals[name]} requested" if name in goals else "the rest"
        groups = f"{len(sizes)} groups, of {min(sizes)} to {max(sizes)} rows that stay together,"
        groups = groups if sizes[1:] else f"{plural(sizes[0], 'row')} that all stay together"
        raise ToolError(
            f"{groups} leave none for {name} ({goal}). Use other numbers, or group by another "
            "field",
            name if name in goals else "group_by",
        )


class Groups:
    """Rows by number, those that belong together under one of them (a disjoint-set forest)."""

    def __init__(self, rows: int) -> None:
        self._above = array("I", range(rows))

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._above)

    def head(self, row: int) -> int:
        """Return the row that represents the group of this one."""
        above = self._above
        while above[row] != row:
            above[row] = above[above[row]]
            row = above[row]
        return row

    def join(self, one: int, other: int) -> None:
        """Put two rows into one group; its first row represents it."""
        heads = self.head(one), self.head(other)
        self._above[max(heads)] = min(heads)

    def sizes(self) -> array[int]:
        """Return, at each row that represents a group, its number of rows; 0 at all others."""
        sizes = array("I", [0]) * len(self)
        for row in range(len(self)):
            sizes[self.head(row)] += 1
        return sizes


class Alike(Struct, kw_only=True):
    """Rows by number and what they have in common, as digests in buckets: 16 bytes each."""

    features: Features
    group_by: str | None
    rows: int = 0
    digests: list[array[int]] = field(default_factory=lambda: [array("Q") for _ in range(BUCKETS)])

    def take(self, line: bytes, row: Row) -> None:  # noqa: ARG002
        """Remember what the next row has in common with each that belongs to it."""
        try:
            self._note(b"row " + identity(row, self.features))
            if self.group_by:
                self._note(b"field " + label(member(row.value, self.group_by, "group_by")).encode())
        except UnicodeEncodeError as error:
            raise RowError(
                Flaw(rule="row-lone-surrogate", message="contains half of a surrogate pair")
            ) from error
        self.rows += 1

    def _note(self, same: bytes) -> None:
        digest = int.from_bytes(sha256(same).digest()[:8])
        self.digests[digest % BUCKETS].extend((digest, self.rows))

    def merge(self, later: Alike) -> None:
        """Take over the rows of the piece that follows."""
        for mine, other in zip(self.digests, later.digests, strict=True):
            other[1::2] = array("Q", (self.rows + number for number in other[1::2]))
            mine.extend(other)
        self.rows += later.rows

    def groups(self) -> Groups:
        """Return which rows belong together."""
        groups = Groups(self.rows)
        for bucket in self.digests:
            first: dict[int, int] = {}
            pairs = iter(bucket)
            for digest, number in zip(pairs, pairs, strict=True):
                groups.join(first.setdefault(digest, number), number)
        return groups


def deal(groups: Groups, goals: Mapping[str, int], dice: Dice) -> tuple[array[int], dict[str, int]]:
    """Return each row's split, and how many rows each got: never more than wanted of valid, test.

    Groups come in an order that the dice decide; one that is too large for what is left of a split
    is passed over.
    """
    sizes = groups.sizes()
    heads = array("I", (row for row, size in enumerate(sizes) if size))
    dice.shuffle(heads)
    place = array("B", [TRAIN]) * len(groups)
    results = {"train": len(groups)}
    for name, number in goals.items():
        rest = number
        for head in heads:
            if rest and place[head] == TRAIN and sizes[head] <= rest:
                rest -= sizes[head]
                place[head] = SPLITS.index(name)
        results[name] = number - rest
        results["train"] -= results[name]
    for row in range(len(groups)):
        place[row] = place[groups.head(row)]
    return place, results


def _dealt(file: Path, place: Sequence[int], at: int) -> Iterator[bytes]:
    with open_file(file) as stream:
        for line, here in zip(stream, place, strict=True):
            if here == at:
                yield line if line.endswith(b"\n") else line + b"\n"


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = cli.parser("split", "Split rows into train, valid and test.")
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="PATH", help="a folder, or a file, of rows")
    add("--out", type=Path, required=True, metavar="DIR", help="the output folder")
    add("--valid", type=float, default=0.1, help="a share below 1, or a number of rows")
    add("--test", type=float, default=0.0, help="a share below 1, or a number of rows")
    add(
        "--group-by",
        type=cli.key,
        metavar="KEY",
        help="a field: rows with the same value stay together",
    )
    add("--seed", type=int, default=0, help="decides which rows go where")
    cli.add_features(parser)
    return parser


AHEAD = Precheck(parser=parser, settle=settle, prepare=prepare, room=room)


def main(argv: Sequence[str] | None = None) -> None:
    """Split what the command line names."""
    arguments = vars(parser().parse_args(argv))
    with cli.reading(arguments) as reader:
        record = split(**arguments, reader=reader)
    parts = ", ".join(_part_text(name, record) for name in SPLITS if record[f"{name}_rows"])
    rows = plural(record["rows"], "row")
    printer.show(f"{arguments['out']}: {parts}, of {rows} in {record['groups']} groups")


def _part_text(name: str, record: Mapping[str, Any]) -> str:
    rows, goal = record[f"{name}_rows"], record.get(f"{name}_wanted", 0)
    missed = f" of {goal} wanted" if goal > rows else ""
    return f"{rows} {name}{missed}"


if __name__ == "__main__":
    main()
