"""data.sort: rows ordered so that mlx-lm's batches contain rows of similar length.

mlx-lm intends to do this but sorts by the number of keys of a row instead (T64): its batches are
consecutive rows of the file, the same in every epoch, drawn in a different order each time. A batch
is padded to a multiple of 32 tokens, so the seed shuffles rows of the same padded length.
"""

from __future__ import annotations

import sys
from array import array
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from runner.base.errors import ToolError
from runner.base.problems import plural
from runner.data import cli
from runner.data.dice import Dice
from runner.data.index import Index, write_rows
from runner.data.reader import Reader, chunks, refusal, splits_of
from runner.data.refusals import Precheck
from runner.data.replace_folder import replacing, room_for, write, write_record
from runner.data.rows import Flaw, Row, RowError, RowUse, tokens
from runner.system import printer
from runner.system.cells import Cells, StoppedError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from runner.data.tokenizer import LocalTokenizer

PAD = 32
"""mlx_lm.tuner.trainer.iterate_batches pads to a multiple of this, and one more."""


class Lengths:
    """Rows by number: where they are, how long they are, and how many keys they have."""

    def __init__(
        self, *, file: Path, use: RowUse, encode: LocalTokenizer | None, longest: int
    ) -> None:
        self.index = Index(file=file)
        self.use = use
        self.encode = encode
        self.longest = longest
        self.length = array("I")
        self.keys = array("I")
        if encode:
            encode.load()  # which is no row's own work

    def take(self, line: bytes, row: Row) -> None:
        """Remember the place and the length of the next row."""
        self.index.take(line, row)
        self.keys.append(len(row.value))
        self.length.append(self._tokens(row) if self.encode else sum(map(len, row.parts)))

    def merge(self, later: Lengths) -> None:
        """Take over the rows of the piece that follows."""
        self.index.merge(later.index)
        self.keys += later.keys
        self.length += later.length

    def _tokens(self, row: Row) -> int:
        try:
            whole, _ = tokens(row, self.use, cast("LocalTokenizer", self.encode))
        except ValueError as error:
            raise RowError(
                Flaw(rule="row-template-error", message=f"cannot be tokenized: {error}")
            ) from error
        return min(len(whole), self.longest)


def sort(
    data: Path,
    out: Path,
    *,
    model: str | None = None,
    batch_size: int = 4,
    max_seq_length: int = 2048,
    all_splits: bool = False,
    seed: int = 0,
    reader: Reader = Reader(),  # noqa: B008 - frozen
) -> dict[str, Any]:
    """Write the rows in order to `out` and return what `sort.json` records."""
    target = out.resolve()
    room(out=out, data=data)
    return prepare(
        data,
        model=model,
        batch_size=batch_size,
        max_seq_length=max_seq_length,
        all_splits=all_splits,
        seed=seed,
        reader=reader,
    )(target)


room = room_for("sort", "data")


def settle(*, seed: int, **_: object) -> None:
    """Raise ToolError for a seed that is none."""
    cli.require_seed(seed)


def prepare(
    data: Path,
    *,
    model: str | None,
    batch_size: int,
    max_seq_length: int,
    all_splits: bool,
    seed: int,
    reader: Reader,
) -> Callable[[Path], dict[str, Any]]:
    """Order the rows, and return what writes them to a folder. Raises ToolError."""
    settle(seed=seed)
    splits = splits_of(data)
    encode = _tokenizer(model) if model else None
    names = [name for name in splits if all_splits or name == "train"]
    # Of a row that is cut, core.rows would count the tokens of its prompt, too.
    use = RowUse(features=reader.features, max_seq_length=sys.maxsize)
    pads = padded(max_seq_length) if encode else int
    sorts = {}
    for name in names:
        new = partial(Lengths, file=splits[name], use=use, encode=encode, longest=max_seq_length)
        sorts[name] = _learn(reader, splits[name], new)
        if not len(sorts[name].index):
            raise ToolError(f"{splits[name]} has no rows", "data")
    orders = {name: order(lengths, pads, batch_size, Dice(seed)) for name, lengths in sorts.items()}
    train = sorts["train"]
    before = array("I", chain(*by_keys(train.keys, range(len(train.keys)))))
    record = {
        "seed": seed,
        "model": model,
        "unit": "tokens" if encode else "characters",
        "batch_size": batch_size,
        "max_seq_length": max_seq_length,
        "splits": names,
        "rows": len(before),
        "padding_before": padding(train.length, before, batch_size, pads),
        "padding_after": padding(train.length, orders["train"], batch_size, pads),
        "unreached_rows": len(before) % batch_size,
    }

    def write_folder(target: Path) -> dict[str, Any]:
        with replacing(target) as folder:
            for name, file in splits.items():
                path = folder / f"{name}.jsonl"
                if name in names:
                    write_rows(path, (sorts[name].index,), orders[name], reader)
                else:
                    write(path, chunks(file))
            return write_record(folder, "sort", record)

    return write_folder


def padded(longest: int) -> Callable[[int], int]:
    """Return the padded length of a batch whose longest row has this many tokens."""
    return lambda tokens: min(1 + PAD * -(-tokens // PAD), longest)


def by_keys(keys: Sequence[int], rows: Sequence[int]) -> list[array[int]]:
    """Group rows by their number of keys, fewest first: mlx-lm's own order of them."""
    groups: dict[int, array[int]] = {}
    for row in rows:
        groups.setdefault(keys[row], array("I")).append(row)
    return [groups[number] for number in sorted(groups)]


def order(lengths: Lengths, pads: Callable[[int], int], batch: int, dice: Dice) -> array[int]:
    """Return all rows: by number of keys, then by padded length; rows that pad alike are mixed.

    The last rows, which fill no batch and are never trained on, are drawn: else they would be the
    longest. Lengths rise in one group of keys and fall in the next, so that the batch between two
    holds rows of similar length, too.
    """
    rows = array("I", range(len(lengths.keys)))
    dice.shuffle(rows)
    groups = by_keys(lengths.keys, rows)
    rest = len(rows) % batch
    rests: list[array[int]] = []
    for group in reversed(groups):
        rests.insert(0, group[len(group) - min(rest, len(group)) :])
        del group[len(group) - len(rests[0]) :]
        rest -= len(rests[0])
    return _joined(groups, rests, lambda row: pads(lengths.length[row]))


def _joined(
    groups: Sequence[array[int]], rests: Sequence[array[int]], size: Callable[[int], int]
) -> array[int]:
    joined = array("I")
    for at, (group, last) in enumerate(zip(groups, rests, strict=True)):
        sizes: dict[int, array[int]] = {}
        for row in group:
            sizes.setdefault(size(row), array("I")).append(row)
        for length in sorted(sizes, reverse=bool(at % 2)):
            joined += sizes[length]
        joined += last
    return joined


def padding(
    length: Sequence[int], rows: Sequence[int], batch: int, pads: Callable[[int], int]
) -> float:
    """Return the share of what the full batches of these rows compute that is padding."""
    content = computed = 0
    for start in range(0, len(rows) - batch + 1, batch):
        sizes = [length[row] for row in rows[start : start + batch]]
        content += sum(sizes)
        computed += pads(max(sizes)) * batch
    return 1 - content / computed if computed else 0.0


def _learn(reader: Reader, file: Path, new: partial[Lengths]) -> Lengths:
    """Return the lengths of a file's rows; a template that takes too much is refused at its row."""
    if new.keywords["encode"] is None:
        return reader.learn(file, new, deep=True)
    from runner.data.tokenizer import too_much

    with Cells(reader.crew.workers) as cells:
        try:
            return reader.learn(file, new, deep=True, cells=cells)
        except StoppedError as error:
            message = f"cannot be tokenized by the model's chat template: {too_much(error)}"
            hint = "remove model to sort by characters"
            flaw = Flaw(rule="row-template-error", message=message, hint=hint)
            raise refusal(flaw, file, error.step, b"") from error


def _tokenizer(model: str) -> LocalTokenizer:
    """Return the tokenizer of a model folder, or of a model of the hub."""
    from runner.data.tokenizer import load_tokenizer

    folder = model if Path(model).is_dir() else _fetch(model)
    encode = load_tokenizer(folder)
    if encode is None:
        raise ToolError(
            f"cannot load a tokenizer from {model}. Name a model that mlx-lm can load, or remove "
            "model to sort by characters"
        )
    return encode


def _fetch(model: str) -> str:
    """Return the folder of a hub model's tokenizer, fetched where the hub's cache lacks it."""
    from huggingface_hub import snapshot_download

    files = ["*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken"]
    try:
        return str(snapshot_download(model, allow_patterns=files))
    except (OSError, ValueError) as error:
        raise ToolError(
            f"{model} is not a folder, and its tokenizer cannot be read from the hub: {error}"
        ) from error


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = cli.parser("sort", "Sort rows so that each batch has rows of similar length.")
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="PATH", help="a folder, or a file, of rows")
    add("--out", type=Path, required=True, metavar="DIR", help="the output folder")
    add("--model", metavar="MODEL", help="count tokens of this model; without it, characters")
    add("--batch-size", type=int, default=4, help="the batch size of the training")
    add("--max-seq-length", type=int, default=2048, help="where the training truncates rows")
    add("--all-splits", action="store_true", help="also sort valid and test")
    add("--seed", type=int, default=0, help="decides the order of rows of equal length")
    cli.add_features(parser)
    return parser


AHEAD = Precheck(parser=parser, settle=settle, prepare=prepare, room=room, run_only=("model",))


def main(argv: Sequence[str] | None = None) -> None:
    """Sort what the command line names."""
    arguments = vars(parser().parse_args(argv))
    with cli.reading(arguments) as reader:
        record = sort(**arguments, reader=reader)
    rest = record["unreached_rows"]
    remainder = f"; {plural(rest, 'row')} fill{'s' * (rest == 1)} no batch" if rest else ""
    rows = plural(record["rows"], "row")
    printer.show(
        f"{arguments['out']}: {rows} by {record['unit']}; padding in batches of "
        f"{record['batch_size']}: {record['padding_before']:.0%} before, "
        f"{record['padding_after']:.0%} now{remainder}"
    )


if __name__ == "__main__":
    main()
