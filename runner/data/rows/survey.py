"""The rows of one file, one after another -> its problems and its statistics."""

from array import array
from collections import Counter, deque
from collections.abc import Callable
from functools import cache
from typing import Any

from msgspec import Struct

from runner.data.rows.formats import look, other_format, require_format, two_formats
from runner.data.rows.parsing import BLANK, Parse, constant_flaw, parse, problem_of
from runner.data.rows.row import Flaw, Row, RowError, RowUse, identity
from runner.data.rows.shapes import unread
from runner.data.rows.survey_counts import Histogram, Spread, Tally
from runner.data.rows.template import given_up, template_refusal
from runner.data.rows.tokens import Encode, targets, token_flaws, tokens, write

BUCKETS = 256
MANY = 10_000
"""So many lines of a piece that are no rows are enough."""
_READ = {"text": 1, "chat": 1, "completions": 2}
"""So many keys of a row of each format are read; any more may hold what is not."""
TEMPLATE = 256
"""So many tokens a chat template adds to a row at most, as is assumed."""


class Tokens(Struct, frozen=True, kw_only=True):
    """What max_seq_length and the mask do: rows and tokens cut, answers without a trained token.

    `trained` tokens are those the loss counts, and `padding` what it counts besides (T74).
    """

    lengths: Spread
    cut_rows: int
    cut_tokens: int
    lost_answers: int
    hidden_answers: int
    trained: int
    padding: int


class Stats(Struct, frozen=True, kw_only=True):
    """What the rows of one file are like; `turns` counts the messages of chats."""

    rows: int
    bytes: int
    format: str | None
    characters: Spread
    turns: Spread
    tokens: Tokens | None = None


class Survey:
    """The rows of one file, or of a piece of it, taken one after the other and forgotten.

    What grows with the rows is `seen`: 16 bytes a row, a digest and a line, in buckets of digests.
    `tails` holds, by number of keys, the last lines: the end of mlx-lm's order of the rows.
    `silent` holds, by number of keys, place and line of the rows without a token to learn.
    """

    def __init__(self, *, file: str, format: str | None, use: RowUse) -> None:  # noqa: A002
        self.file = file
        self.format = format
        self.use = use
        self.rows = self.size = self.unread = 0
        self.characters, self.turns, self.lengths = Histogram(), Histogram(), Histogram()
        self.sums: Counter[str] = Counter()
        self.tally = Tally(limit=use.limit)
        self.digests = [array("Q") for _ in range(BUCKETS)]
        self.tails: dict[int, deque[int]] = {}
        self.batch: list[int] = []
        self.classes: Counter[int] = Counter()
        self.silent: dict[int, list[tuple[int, int]]] = {}

    def take(
        self, number: int, line: bytes, encode: Encode | None = None, parse: Parse = parse
    ) -> None:
        """Check one line and count what it is like."""
        self.size += len(line)
        self.rows += 1
        try:
            value, constant = parse(line)
            formats = require_format(value, self.use.features, self.use.kind)
        except RowError as error:
            self.rows -= error.flaw is BLANK
            self.unread += 1
            self._add_flaw(error.flaw, number, line)
            return
        self._tail(len(value), number)
        if constant:
            self._add_flaw(constant_flaw(constant), number, line)
        expected = self.format or formats[0]
        if expected not in formats:
            flaw = other_format(value, formats[0], expected, self.use.features)
            self._add_flaw(flaw, number, line)
            return
        if len(formats) > 1:
            self._add_flaw(two_formats(formats, expected), number, line)
        texts, flaws = look(value, expected, self.use)
        for flaw in flaws:
            self._add_flaw(flaw, number, line)
        if texts is not None:
            if len(value) > _READ.get(expected, len(value)):
                for flaw in unread(value, self._read, texts):
                    self._add_flaw(flaw, number, line)
            self._sound(Row(value=value, format=expected, parts=texts), number, line, encode)

    @property
    def _read(self) -> tuple[str, ...]:
        """The keys that are read of any row."""
        features = self.use.features
        return features.prompt, features.completion, features.chat, features.text

    def skip(self, number: int, size: int, *, endless: bool = False) -> None:
        """Count a line too long to read; with `endless`, the rest of the file was not read."""
        self.size += size
        self.rows += 1
        message = (
            f"is {size / 1e6:.0f} MB long and was not checked; mlx-lm cuts it after max_seq_length"
        )
        if endless:
            message = f"has no end within {size / 1e6:.0f} MB; the rest of the file was not read"
        severity = "error" if endless else "warning"
        self._add_flaw(
            Flaw(rule="row-too-long", message=message, hint="split it", path=(), severity=severity),
            number,
            b"",
        )

    def _sound(self, row: Row, number: int, line: bytes, encode: Encode | None) -> None:
        try:
            same = identity(row, self.use.features)
        except UnicodeEncodeError:
            message = (
                "contains half of a surrogate pair; the tokenizer fails there with a TypeError"
            )
            flaw = Flaw(
                rule="row-lone-surrogate",
                message=message,
                hint="write the whole character, as UTF-8",
            )
            self._add_flaw(flaw, number, line)
            return
        digest = int.from_bytes(_sha256()(same).digest()[:8])
        bucket = self.digests[digest % BUCKETS]
        bucket.append(digest)
        bucket.append(number)
        size = sum(map(len, row.parts))
        self.characters.add(size)
        self._count_padding(size)
        if row.format == "chat":
            self.turns.add(len(row.value[self.use.features.chat]))
        if encode is None:
            return
        try:
            if self.use.every or self.use.mask_prompt or self._long(line):
                self._count_tokens(row, number, line, encode)
            else:
                write(row, self.use, encode)
        except ValueError as error:
            self._add_flaw(template_refusal(str(error), row, self.use), number, line)

    def _long(self, line: bytes) -> bool:
        """Return whether a row may be cut: a token is a byte or more, and a template adds some."""
        return len(line) + TEMPLATE > self.use.max_seq_length

    def _count_padding(self, size: int) -> None:
        """Count what mlx-lm pads: its batches are rows that follow each other (T64)."""
        if not self.use.batch_size:
            return
        self.batch.append(size)
        if len(self.batch) == self.use.batch_size:
            self.sums["content"] += sum(self.batch)
            self.sums["computed"] += max(self.batch) * len(self.batch)
            self.batch.clear()

    def _tail(self, keys: int, number: int) -> None:
        self.classes[keys] += 1
        size = (self.use.batch_size or 1) - 1
        if size:
            if keys not in self.tails:
                self.tails[keys] = deque(maxlen=size)
            self.tails[keys].append(number)

    def _count_tokens(self, row: Row, number: int, line: bytes, encode: Encode) -> None:
        whole, prompt = tokens(row, self.use, encode)
        self.lengths.add(len(whole))
        self.sums["cut_rows"] += len(whole) > self.use.max_seq_length
        self.sums["cut_tokens"] += max(len(whole) - self.use.max_seq_length, 0)
        start = len(prompt or ()) if self.use.mask_prompt else 0
        trained, padding = targets(len(whole), start, self.use)
        self.sums["trained"] += trained
        self.sums["padding"] += padding
        if not trained + padding:
            keys = len(row.value)
            self.silent.setdefault(keys, []).append((self.classes[keys] - 1, number))
        for flaw in token_flaws(whole, prompt, self.use):
            self.sums["lost_answers"] += flaw.rule == "row-answer-lost"
            self.sums["hidden_answers"] += flaw.rule == "row-mask-hides-answer"
            self._add_flaw(flaw, number, line)

    def too_many(self, number: int) -> bool:
        """Return whether so many lines were invalid that the rest is not read."""
        if self.unread < MANY:
            return False
        message = (
            f"is the last of {MANY:,} invalid rows; the rows after it may not have been checked"
        )
        self._add_flaw(
            Flaw(rule="row-too-many", message=message, hint="write one JSON object per line"),
            number,
            b"",
        )
        return True

    def given_up(self, why: str, number: int) -> None:
        """Count a row at which the chat template was given up; nothing after it was rendered."""
        self._add_flaw(given_up(why), number, b"")

    def _add_flaw(self, flaw: Flaw, number: int, line: bytes) -> None:
        if self.tally.count(flaw.rule, number):
            self.tally.show(problem_of(flaw, self.file, number, line))

    def merge(self, later: "Survey") -> None:
        """Take over the survey of the lines that follow."""
        self.rows += later.rows
        self.size += later.size
        self.sums.update(later.sums)
        self.batch.extend(later.batch)
        for keys, rows in later.silent.items():
            before = self.classes[keys]
            places = [(place + before, line) for place, line in rows]
            self.silent.setdefault(keys, []).extend(places)
        self.classes.update(later.classes)
        for name in ("characters", "turns", "lengths", "tally"):
            getattr(self, name).merge(getattr(later, name))
        for mine, other in zip(self.digests, later.digests, strict=True):
            mine.extend(other)
        for keys, numbers in later.tails.items():
            self.tails.setdefault(keys, deque(maxlen=numbers.maxlen)).extend(numbers)

    def stats(self) -> Stats:
        """Return what the rows are like."""
        names = (name for name in Tokens.__struct_fields__ if name != "lengths")
        lengths = self.lengths.spread()
        token_stats = (
            Tokens(lengths=lengths, **{n: self.sums[n] for n in names}) if lengths.rows else None
        )
        characters, turns = self.characters.spread(), self.turns.spread()
        return Stats(
            rows=self.rows,
            bytes=self.size,
            format=self.format,
            characters=characters,
            turns=turns,
            tokens=token_stats,
        )


@cache
def _sha256() -> Callable[[bytes], Any]:
    from hashlib import sha256  # 4 ms, and most checks read no rows

    return sha256
