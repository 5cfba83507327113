"""data.format: rows converted from one layout to another, without loss.

Layouts: chat, prompt and completion, instruction and response, text. ShareGPT conversations and
pairs of answers can be read, too. A row that could not be converted back is refused.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from runner.base.errors import ToolError
from runner.base.problems import plural
from runner.data import cli
from runner.data.layouts import LAYOUTS, LayoutError, LayoutKeys, Template, convert_row
from runner.data.pieces import Piece, each, lines
from runner.data.reader import Reader, refusal, require_short, splits_of
from runner.data.refusals import Precheck
from runner.data.replace_folder import replacing, room_for, write, write_record
from runner.data.rows import SPLITS, Flaw, RowError, parse, quick_parse
from runner.system import printer
from runner.system.reader import LONGEST, open_file

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from runner.data.rows import Parse


def convert(
    data: Path,
    out: Path,
    *,
    to: str,
    template: str | None = None,
    instruction_feature: str = "instruction",
    input_feature: str = "input",
    response_feature: str = "response",
    drop: Sequence[str] = (),
    reader: Reader = Reader(),  # noqa: B008 - frozen
) -> dict[str, Any]:
    """Write the rows of all splits to `out` and return what `format.json` records."""
    keys = settle(
        to=to,
        template=template,
        instruction_feature=instruction_feature,
        input_feature=input_feature,
        response_feature=response_feature,
        drop=drop,
        reader=reader,
    )
    target = out.resolve()
    room(out=out, data=data)
    splits = splits_of(data)
    source, first = _source(splits["train"], keys)
    work = Conversion(keys=keys, to=to, drop=tuple(drop), source=source, first=first)
    counts: dict[str, int] = {}
    with replacing(target) as folder:
        for name, file in splits.items():
            write(folder / f"{name}.jsonl", _rows(work, file, reader, counts))
        record = {
            "from": work.source,
            "to": to,
            "template": template,
            "drop": [*drop],
            "rows": sum(counts.values()),
            **{f"{name}_rows": rows for name, rows in counts.items()},
        }
        return write_record(folder, "format", record)


room = room_for("format", "data")


def settle(
    *,
    to: str,
    template: str | None,
    instruction_feature: str,
    input_feature: str,
    response_feature: str,
    drop: Sequence[str],
    reader: Reader,
    **_: object,
) -> LayoutKeys:
    """Return the keys of the layouts. Raises ToolError if the parameters alone cannot hold."""
    try:
        form = None if template is None else Template.of(template)
    except ValueError as error:
        raise ToolError(str(error), "template") from error
    keys = LayoutKeys(
        features=reader.features,
        instruction=instruction_feature,
        input=input_feature,
        response=response_feature,
        template=form,
    )
    for name in drop:
        if name in keys.names[to]:
            why = f"drop names '{name}', which {to} rows need"
            raise ToolError(why, "drop")
    return keys


def prepare(data: Path, *, to: str, drop: Sequence[str], reader: Reader, **rest: Any) -> None:
    """Convert every row and keep none. Raises ToolError at the first that cannot be converted."""
    keys = settle(to=to, drop=drop, reader=reader, **rest)
    splits = splits_of(data)
    source, first = _source(splits["train"], keys)
    work = Conversion(keys=keys, to=to, drop=tuple(drop), source=source, first=first)
    for file in splits.values():
        for _ in _rows(work, file, reader, {}):
            pass


def _rows(work: Conversion, file: Path, reader: Reader, counts: dict[str, int]) -> Iterator[bytes]:
    """Yield the rows of a split in the other layout, a piece at a time, and count them."""
    total, done, rows = file.stat().st_size, 0, 0
    for piece, text, number in each(partial(work.piece, file), file, reader.crew):
        yield text
        rows += number
        done += piece.size
        if reader.meter:
            reader.meter(done, total, f"writing {file.name}")
    if not rows:
        raise ToolError(f"{file} has no rows; mlx-lm fails on an empty file: delete it", "data")
    counts[file.stem if file.stem in SPLITS else "train"] = rows


def _source(file: Path, keys: LayoutKeys) -> tuple[str, str]:
    """Return the layout of the first row, and its place."""
    with open_file(file) as stream:
        line = stream.readline(LONGEST)
    if not line:
        raise ToolError(f"{file} has no rows", "data")
    try:
        return _only(_mapping(_value(line, parse)), keys), f"{file}:1"
    except RowError as error:
        raise refusal(error.flaw, file, 1, line) from error


class Conversion(Struct, frozen=True, kw_only=True):
    """What is done to each row; all of them have the layout of the first."""

    keys: LayoutKeys
    to: str
    drop: tuple[str, ...]
    source: str
    first: str

    def piece(self, file: Path, piece: Piece) -> tuple[Piece, bytes, int]:
        """Return the rows of a piece of a file in the other layout, and their number."""
        read, output = quick_parse(), []
        number, line = piece.line, b""
        row: dict[str, Any] = {}
        try:
            for number, line in enumerate(lines(file, piece), piece.line):  # noqa: B007 - for refusals
                row = _mapping(_value(line, read))
                self.require_layout(row)
                target_row = convert_row(row, self.source, self.to, self.keys)
                output.append(_line({k: v for k, v in target_row.items() if k not in self.drop}))
        except RowError as error:
            raise refusal(error.flaw, file, number, line) from error
        except LayoutError as error:
            there = error.path if error.path and error.path[0] in row else ()
            flaw = Flaw(rule="row-not-convertible", message=str(error), hint=error.hint, path=there)
            raise refusal(flaw, file, number, line) from error
        require_short(piece, file, number)
        return piece, b"".join(output), len(output)

    def require_layout(self, row: dict[str, Any]) -> None:
        """Refuse a row of another layout than the first."""
        if self.source not in self.keys.layouts(row):
            keys = " and ".join(map(repr, self.keys.names[self.source]))
            message = f"has no {keys}, and the first row, {self.first}, is {self.source}"
            raise RowError(
                Flaw(rule="row-other-format", message=message, hint="keep one layout in a data set")
            )


def _only(row: dict[str, Any], keys: LayoutKeys) -> str:
    layouts = keys.layouts(row)
    if len(layouts) == 1:
        return layouts[0]
    if layouts:
        message = f"can be read as {' and as '.join(layouts)}"
        raise RowError(
            Flaw(rule="row-two-formats", message=message, hint="leave only the keys you mean")
        )
    keys_of = "; ".join(f"{name}: {', '.join(names)}" for name, names in keys.names.items())
    hint = f"name its keys, as in --response-feature output. Known are {keys_of}"
    raise RowError(Flaw(rule="row-without-format", message="has the keys of no layout", hint=hint))


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RowError(Flaw(rule="row-not-object", message="is not a JSON object"))
    return value


def _value(line: bytes, read: Parse) -> Any:
    value, constant = read(line)
    if constant:
        raise RowError(Flaw(rule="row-constant", message=f"contains {constant}, which is not JSON"))
    return value


def _line(row: dict[str, Any]) -> bytes:
    try:
        text = json.dumps(row, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        message = "contains a number too large for other programs to read"
        raise RowError(Flaw(rule="row-constant", message=message)) from error
    try:
        return f"{text}\n".encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can only say with a \u
        return f"{json.dumps(row)}\n".encode()


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = cli.parser("format", "Convert rows from one layout to another, without loss.")
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="PATH", help="a folder, or a file, of rows")
    add("--out", type=Path, required=True, metavar="DIR", help="the output folder")
    add("--to", required=True, choices=LAYOUTS, help="the layout to convert to")
    add(
        "--template",
        metavar="TEXT",
        help="the text around {prompt} and {completion} in rows of text",
    )
    for name in ("instruction", "input", "response"):
        add(
            f"--{name}-feature", default=name, metavar="KEY", help=f"the key of the {name} in a row"
        )
    add(
        "--drop",
        action="append",
        default=[],
        metavar="KEY",
        help="a key to drop from every row (repeatable)",
    )
    cli.add_features(parser)
    return parser


AHEAD = Precheck(parser=parser, settle=settle, prepare=prepare, room=room)


def main(argv: Sequence[str] | None = None) -> None:
    """Convert what the command line names."""
    arguments = vars(parser().parse_args(argv))
    with cli.reading(arguments) as reader:
        record = convert(**arguments, reader=reader)
    printer.show(
        f"{arguments['out']}: {plural(record['rows'], 'row')}, {record['from']} to {record['to']}"
    )


if __name__ == "__main__":
    main()
