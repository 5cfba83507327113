"""data.check: every row of a data folder, checked as mlx-lm would read it, with statistics."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runner.base.errors import Exit, RecipeError
from runner.base.formatting import size_of
from runner.base.problems import pictures, plural
from runner.data.read import check
from runner.data.rows import ROLES, SPLITS, Features
from runner.data.tokenizer import LocalTokenizer, TokenizerError
from runner.system import printer
from runner.system.progress import WORKERS, meter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runner.data.read import Progress
    from runner.data.rows import FolderReport, Stats

COLUMNS = ("split", "format", "rows", "size", "", "min", "median", "90 %", "99 %", "max")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; 0, or 2 where a row is an error."""
    options = parser().parse_args(argv)
    try:
        with meter() as progress:
            report = _report(options, _tokenizer(options.model), progress)
    except TokenizerError as error:
        raise _load_error(options.model, str(error)) from error
    style = {"json": as_json, "text": as_text}[options.format]
    printer.show(style(report), end="")
    return Exit.INVALID if report.failed else Exit.OK


def _tokenizer(model: str | None) -> LocalTokenizer | None:
    if model is not None and not Path(model).is_dir():
        raise _load_error(model, "there is no such folder")
    return LocalTokenizer(path=model) if model else None


def _load_error(model: str, why: str) -> RecipeError:
    message = f"cannot load a tokenizer from {model}: {' '.join(why.split())}"
    return RecipeError(message, "name a model folder on this disk, and install transformers")


def _report(
    options: argparse.Namespace, tokenizer: LocalTokenizer | None, progress: Progress | None
) -> FolderReport:
    return check(
        options.folder,
        batch_size=options.batch_size,
        mask_prompt=options.mask_prompt,
        features=Features(
            prompt=options.prompt_feature,
            completion=options.completion_feature,
            chat=options.chat_feature,
            text=options.text_feature,
        ),
        required=options.require or ("train",),
        roles=ROLES | set(options.role),
        max_seq_length=options.max_seq_length,
        limit=options.limit,
        tokenizer=tokenizer,
        progress=progress,
        workers=WORKERS,
    )


def as_json(report: FolderReport) -> str:
    """Return the report as JSON."""
    return json.dumps(report.as_dict(), indent=2, ensure_ascii=False) + "\n"


def as_text(report: FolderReport) -> str:
    """Return the problems, then a short table of the statistics."""
    lines = list(pictures(report.problems, {}))
    if report.splits:
        lines += [""] * bool(lines) + list(_table(report))
    return "\n".join(lines) + "\n"


def _table(report: FolderReport) -> Iterator[str]:
    table = [
        COLUMNS,
        *(row for name, stats in report.splits.items() for row in _lines(name, stats)),
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        names = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        name = row[4].ljust(widths[4])
        right = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join([*names, *right[2:4], name, *right[5:]]).rstrip()
    for name, stats in report.splits.items():
        tokens = stats.tokens
        if tokens and (tokens.cut_rows or tokens.hidden_answers):
            vanish = "vanishes" if tokens.lost_answers == 1 else "vanish"
            yield (
                f"{name}: {_are(tokens.cut_rows, 'row')} cut, "
                f"{_are(tokens.cut_tokens, 'token')} lost, "
                f"{plural(tokens.lost_answers, 'answer')} {vanish}, "
                f"{_are(tokens.hidden_answers)} masked in part"
            )
        if tokens:
            yield (
                f"{name}: the loss counts {plural(tokens.trained, 'token')}, and "
                f"{tokens.padding} of padding (T74)"
            )


def _are(number: int, what: str = "") -> str:
    """Return ``1 row is``, ``2 rows are``."""
    return f"{plural(number, what) if what else number} {'is' if number == 1 else 'are'}"


def _lines(name: str, stats: Stats) -> Iterator[tuple[str, ...]]:
    lead: tuple[str, ...] = (name, stats.format or "none", str(stats.rows), size_of(stats.bytes))
    spreads = {"characters": stats.characters, "messages": stats.turns}
    if stats.tokens:
        spreads["tokens"] = stats.tokens.lengths
    for what, spread in spreads.items():
        if spread.rows or what == "characters":
            numbers = (spread.minimum, spread.median, spread.p90, spread.p99, spread.maximum)
            yield (*lead, what, *map(str, numbers))
            lead = ("", "", "", "")


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(
        prog="run-recipe data check",
        description="Check every row of a data folder as mlx-lm would read it.",
        allow_abbrev=False,
    )
    add, defaults = parser.add_argument, Features()
    add("folder", metavar="DIR", help="the folder of train.jsonl, valid.jsonl, test.jsonl")
    add("--batch-size", type=_positive, metavar="N", help="find rows that are in no batch")
    add("--mask-prompt", action="store_true", help="check for a training with mask_prompt")
    add("--model", metavar="DIR", help="a local model: also count tokens with its tokenizer")
    add("--max-seq-length", type=_positive, default=2048, metavar="N", help="where rows are cut")
    add("--require", action="append", choices=SPLITS, help="a split that must exist [train]")
    add("--role", action="append", default=[], help="a role the chat template knows (repeatable)")
    add("--prompt-feature", default=defaults.prompt, metavar="KEY", help="the key of the prompt")
    add(
        "--completion-feature",
        default=defaults.completion,
        metavar="KEY",
        help="the key of the completion",
    )
    add("--chat-feature", default=defaults.chat, metavar="KEY", help="the key of the messages")
    add("--text-feature", default=defaults.text, metavar="KEY", help="the key of the text")
    add("--limit", type=_positive, default=20, metavar="N", help="problems to show per kind")
    add("--format", choices=("text", "json"), default="text", help="what to print")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is below 1")
    return value


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RecipeError as error:
        printer.say(f"error: {error}")
        sys.exit(error.code)
