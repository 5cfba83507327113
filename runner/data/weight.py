"""data.weight: rows repeated by a field, so that better ones are trained on more often.

A factor of 2.5 writes each row twice and half of the rows a third time, drawn by the seed. Rows
derived from others can be written once.
"""

from __future__ import annotations

import argparse
import json
import math
from array import array
from collections import Counter
from contextlib import suppress
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.base.errors import ToolError
from runner.base.problems import listing, plural, suggest
from runner.data import cli
from runner.data.dice import Dice
from runner.data.index import Index, write_rows
from runner.data.reader import MISSING, Reader, chunks, find, label, splits_of
from runner.data.refusals import Precheck
from runner.data.replace_folder import replacing, room_for, write, write_record
from runner.system import printer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runner.data.rows import Row

_REPEATED = '{"high": 2.5, "low": 0.5}'
_MADE = '{"source": ["paraphrase", "noise"]}'
"""What the values of --repeat and of --augmented look like."""

AUGMENTED, OTHER = "(augmented)", "(other)"
"""The classes of rows that no factor is for."""

SHOWN, COUNTED = 12, 1000
"""Values of the field that a message names, and that are told apart for it."""


def weight(
    data: Path,
    out: Path,
    *,
    field: str,
    repeat: Mapping[str, float],
    otherwise: float = 1.0,
    augmented: Mapping[str, Any] | None = None,
    seed: int = 0,
    reader: Reader = Reader(),  # noqa: B008 - frozen
) -> dict[str, Any]:
    """Write the repeated rows to `out` and return what `weight.json` records."""
    target = out.resolve()
    room(out=out, data=data)
    return prepare(
        data,
        field=field,
        repeat=repeat,
        otherwise=otherwise,
        augmented=augmented,
        seed=seed,
        reader=reader,
    )(target)


room = room_for("weight", "data")


def settle(
    *, repeat: Mapping[str, float], otherwise: float, seed: int, **_: object
) -> dict[str, Fraction]:
    """Return the factor of each class. Raises ToolError for one that is none."""
    cli.require_seed(seed)
    factors = {name: _exact(name, factor, "repeat") for name, factor in repeat.items()}
    return factors | {
        OTHER: _exact("otherwise", otherwise, "otherwise"),
        AUGMENTED: Fraction(1),
    }


def prepare(
    data: Path,
    *,
    field: str,
    repeat: Mapping[str, float],
    otherwise: float,
    augmented: Mapping[str, Any] | None,
    seed: int,
    reader: Reader,
) -> Callable[[Path], dict[str, Any]]:
    """Draw the rows, and return what writes them to a folder. Raises ToolError."""
    factors = settle(repeat=repeat, otherwise=otherwise, seed=seed)
    splits = splits_of(data)
    marks = dict(augmented or {})
    file = splits.pop("train")
    classes = reader.learn(
        file, partial(Classes, file=file, name=field, names=tuple(repeat), marks=marks)
    )
    classes.require_use()
    dice = Dice(seed)
    numbers = array("I")
    rows = {}
    for name, members in classes.members.items():
        before = len(numbers)
        numbers += repeated(members, factors[name], dice)
        rows[name] = {"before": len(members), "after": len(numbers) - before}
    if not numbers:
        why = f"none of {plural(len(classes.index), 'row')} are left; raise a factor"
        raise ToolError(why, "repeat")
    dice.shuffle(numbers)
    record = {
        "seed": seed,
        "field": field,
        "repeat": dict(repeat),
        "otherwise": otherwise,
        "augmented": marks,
        "rows_before": len(classes.index),
        "rows": len(numbers),
        "classes": rows,
    }

    def write_folder(target: Path) -> dict[str, Any]:
        with replacing(target) as folder:
            write_rows(folder / "train.jsonl", (classes.index,), numbers, reader)
            for name, file in splits.items():
                write(folder / f"{name}.jsonl", chunks(file))
            return write_record(folder, "weight", record)

    return write_folder


def repeated(members: Sequence[int], factor: Fraction, dice: Dice) -> array[int]:
    """Return rows as often as the factor says; of its fraction, that share of them, drawn."""
    times = math.floor(factor)
    more = math.floor(len(members) * (factor - times) + Fraction(1, 2))
    return array("I", members) * times + dice.sample(members, more)


def _exact(name: str, factor: float, at: str) -> Fraction:
    if (
        isinstance(factor, bool)
        or not isinstance(factor, int | float)
        or not 0 <= factor < math.inf
    ):
        raise ToolError(f"'{name}' is repeated {factor!r} times; use a number of at least 0", at)
    return Fraction(str(factor))


class Classes:
    """Rows by the value of a field, those made from others apart."""

    def __init__(
        self, *, file: Path, name: str, names: tuple[str, ...], marks: Mapping[str, Any]
    ) -> None:
        self.file = file
        self.name = name
        self.names = names
        self.marks = marks
        self.index = Index(file=file)
        self.members = {kind: array("I") for kind in (*names, OTHER, AUGMENTED)}
        self.others: Counter[str] = Counter()

    def take(self, line: bytes, row: Row) -> None:
        """Remember the place and the class of the next row."""
        kind = self._class(row.value)
        if kind not in self.names and kind != AUGMENTED:
            if len(self.others) < COUNTED or kind in self.others:
                self.others[kind] += 1
            kind = OTHER
        self.members[kind].append(len(self.index))
        self.index.take(line, row)

    def merge(self, later: Classes) -> None:
        """Take over the rows of the piece that follows."""
        for kind, rows in later.members.items():
            self.members[kind].extend(len(self.index) + row for row in rows)
        self.others.update(later.others)
        self.index.merge(later.index)

    def _class(self, row: Mapping[str, Any]) -> str:
        if any(_is(find(row, key), value) for key, value in self.marks.items()):
            return AUGMENTED
        value = find(row, self.name)
        return "(none)" if value is MISSING else label(value)

    def require_use(self) -> None:
        """Refuse a factor or a mark that no row has: it would silently do nothing."""
        there = ", ".join(f"{value} ({rows})" for value, rows in self.others.most_common(SHOWN))
        for value in self.names:
            if not self.members[value]:
                near = [*self.others, *(other for other in self.names if self.members[other])]
                raise ToolError(
                    f"no row has {value!r} as '{self.name}'. {suggest(value, near)}".rstrip()
                    + (f" Other values there are: {there}" if there else ""),
                    "repeat",
                )
        if self.marks and not self.members[AUGMENTED]:
            fields = listing(f"{key!r} {json.dumps(value)}" for key, value in self.marks.items())
            raise ToolError(f"no row is augmented: none has {fields}", "augmented")


def _is(actual: Any, value: Any) -> bool:
    """Return whether a field has this value, or one of a list of values."""
    values = value if isinstance(value, list) else [value]
    return any(
        isinstance(actual, bool) == isinstance(one, bool) and actual == one for one in values
    )


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = cli.parser("weight", "Repeat rows by a field, so that better rows count more.")
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="PATH", help="a folder, or a file, of rows")
    add("--out", type=Path, required=True, metavar="DIR", help="the output folder")
    add(
        "--field",
        type=cli.key,
        required=True,
        metavar="KEY",
        help="the field that says how good a row is",
    )
    add(
        "--repeat",
        type=_factors,
        required=True,
        metavar="JSON",
        help=f"how often to write rows of each value: {_REPEATED}",
    )
    add("--otherwise", type=float, default=1.0, help="how often to write all other rows")
    add(
        "--augmented",
        type=_object,
        default={},
        metavar="JSON",
        help=f"rows derived from others, written once: {_MADE}",
    )
    add("--seed", type=int, default=0, help="decides which rows a fraction draws, and their order")
    cli.add_features(parser)
    return parser


# Functions with names, and no partial: the parser is read before anything is run.
def _factors(text: str) -> dict[str, Any]:
    return _mapping(_REPEATED, text)


def _object(text: str) -> dict[str, Any]:
    return _mapping(_MADE, text)


def _mapping(example: str, text: str) -> dict[str, Any]:
    value = None
    with suppress(ValueError):
        value = json.loads(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"write a mapping, as {example}")
    return value


AHEAD = Precheck(parser=parser, settle=settle, prepare=prepare, room=room)


def main(argv: Sequence[str] | None = None) -> None:
    """Repeat what the command line names."""
    arguments = vars(parser().parse_args(argv))
    with cli.reading(arguments) as reader:
        record = weight(**arguments, reader=reader)
    kinds = ", ".join(
        f"{name} {rows['before']} -> {rows['after']}"
        for name, rows in record["classes"].items()
        if rows["before"]
    )
    rows = plural(record["rows"], "row")
    printer.show(f"{arguments['out']}: {rows} of {record['rows_before']}: {kinds}")


if __name__ == "__main__":
    main()
