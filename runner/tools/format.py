"""data.format: rows of one layout written in another, so that nothing of them is lost.

Chat, prompt and completion, instruction and response, text. A row that could not come back as it
was is refused.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.core.rows import Flaw, RowError, parse
from runner.tools import command
from runner.tools.command import rows_of
from runner.tools.error import ToolError
from runner.tools.layout import LAYOUTS, Keys, LayoutError, Template, converted
from runner.tools.replacement import replacing, require_replaceable, write, write_record
from runner.tools.rows import STEP, Reader, refusal, splits_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence


def convert(
    data: Path,
    out: Path,
    *,
    to: str,
    template: str | None = None,
    instruction_feature: str = "instruction",
    input_feature: str = "input",
    response_feature: str = "response",
    reader: Reader = Reader(),  # noqa: B008 - frozen
) -> dict[str, Any]:
    """Write the rows of all splits to `out` and return what `format.json` records."""
    try:
        form = None if template is None else Template.of(template)
    except ValueError as error:
        raise ToolError(str(error)) from error
    target = out.resolve()
    require_replaceable(target, "format", data)
    keys = Keys(reader.features, instruction_feature, input_feature, response_feature, form)
    work = Work(keys, to, reader)
    with replacing(target) as folder:
        for name, file in splits_of(data).items():
            write(folder / f"{name}.jsonl", work.rows(name, file))
        record = {
            "from": work.source,
            "to": to,
            "template": template,
            "rows": sum(work.counts.values()),
            **{f"{name}_rows": rows for name, rows in work.counts.items()},
        }
        return write_record(folder, "format", record)


@dataclass
class Work:
    """The rows of one data set on their way; all of them have the layout of the first."""

    keys: Keys
    to: str
    reader: Reader
    source: str = ""
    first: str = ""

    def __post_init__(self) -> None:
        self.counts: dict[str, int] = {}

    def rows(self, name: str, file: Path) -> Iterator[bytes]:
        """Yield the rows of a file in the other layout."""
        total, done, number = file.stat().st_size, 0, 0
        with file.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                yield self.row(file, number, line)
                done += len(line)
                if self.reader.meter and not number % STEP:
                    self.reader.meter(done, total, f"writing {file.name}")
        if not number:
            raise ToolError(f"{file} has no rows; mlx-lm stops at an empty file: delete it")
        self.counts[name] = number

    def row(self, file: Path, number: int, line: bytes) -> bytes:
        """Return one row in the other layout; ToolError, with its place, where it cannot be."""
        try:
            value = _value(line)
            self.require_layout(value, f"{file}:{number}")
            return _line(converted(value, self.source, self.to, self.keys))
        except RowError as error:
            raise refusal(error.flaw, file, number, line) from error
        except LayoutError as error:
            there = error.path if error.path and error.path[0] in value else ()
            flaw = Flaw("row-not-convertible", str(error), error.hint, there)
            raise refusal(flaw, file, number, line) from error

    def require_layout(self, value: Any, place: str) -> None:
        """Refuse a row of no layout, or of another than the first."""
        if not isinstance(value, dict):
            raise RowError(Flaw("row-not-object", "is not a JSON object"))
        found = self.keys.layouts(value)
        if not self.source:
            self.source, self.first = self._only(found), place
        if self.source not in found:
            keys = " and ".join(map(repr, self.keys.names[self.source]))
            message = f"has no {keys}, and the first row, {self.first}, is {self.source}"
            raise RowError(Flaw("row-other-format", message, "keep one layout in a data set"))

    def _only(self, found: Sequence[str]) -> str:
        if len(found) == 1:
            return found[0]
        if found:
            message = f"can be read as {' and as '.join(found)}"
            raise RowError(Flaw("row-two-formats", message, "leave only the keys you mean"))
        known = "; ".join(f"{name}: {', '.join(keys)}" for name, keys in self.keys.names.items())
        hint = f"name its keys, as in --response-feature output. Known are {known}"
        raise RowError(Flaw("row-without-format", "has the keys of no layout", hint))


def _value(line: bytes) -> Any:
    value, constant = parse(line)
    if constant:
        raise RowError(Flaw("row-constant", f"holds {constant}, which is not JSON"))
    return value


def _line(row: dict[str, Any]) -> bytes:
    try:
        text = json.dumps(row, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        message = "holds a number too large for a program to read back"
        raise RowError(Flaw("row-constant", message)) from error
    try:
        return f"{text}\n".encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can only say with a \u
        return f"{json.dumps(row)}\n".encode()


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command.parser("format", "Write rows of one layout in another, without loss.")
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="PATH", help="a folder, or a file, of rows")
    add("--out", type=Path, required=True, metavar="DIR", help="the folder to write")
    add("--to", required=True, choices=LAYOUTS, help="the layout to write")
    add(
        "--template",
        metavar="TEXT",
        help="what stands around {prompt} and {completion} in rows of text",
    )
    for name in ("instruction", "input", "response"):
        add(
            f"--{name}-feature", default=name, metavar="KEY", help=f"the key of the {name} in a row"
        )
    command.add_features(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Convert what the command line names."""
    arguments = vars(parser().parse_args(argv))
    with command.reading(arguments) as reader:
        record = convert(**arguments, reader=reader)
    sys.stdout.write(
        f"{arguments['out']}: {rows_of(record['rows'])}, {record['from']} to {record['to']}\n"
    )


if __name__ == "__main__":
    main()
