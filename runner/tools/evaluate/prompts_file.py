"""A prompts file on disk, read line by line: its problems, and its questions by place."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from runner.base.problems import Mark, Problem, plural
from runner.data.rows import Flaw, RowError, parse
from runner.data.rows.parsing import column_of
from runner.system.reader import lines, open_file
from runner.tools.evaluate.prompts import AnswerRule, Category, Question, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MANY = 10_000
"""So many more are enough: the rest of the file is not looked at."""
MOST = 20
"""Problems that are told of one file; the rest are counted."""


class Prompts(Struct, frozen=True, kw_only=True):
    """A file that was read: its problems, its categories, and where each question starts.

    `lines` are the questions' line numbers from 1, `rows` how many of each category there are,
    `chats` the line of the first that goes through a chat template, 0 if none does.
    """

    file: Path
    problems: tuple[Problem, ...]
    categories: dict[str, Category]
    offsets: array[int]
    lines: array[int]
    rows: dict[str, int]
    chats: int

    def count(self, limit: int | None = None) -> int:
        """Count the questions; `limit` is the most of each category."""
        return sum(min(rows, limit or rows) for rows in self.rows.values())

    def questions(self, limit: int | None = None) -> Iterator[tuple[int, Question]]:
        """Yield each question with its line, its category's rules before its own.

        `limit` is the most of each category. Only for a file without a problem.
        """
        counts: dict[str, int] = {}
        with open_file(self.file) as stream:
            for line, offset in zip(self.lines, self.offsets, strict=True):
                stream.seek(offset)
                question = read(parse(stream.readline())[0])
                if not isinstance(question, Question):
                    raise OSError(f"{self.file} changed while it was read")
                counts[question.category] = counts.get(question.category, 0) + 1
                if limit is None or counts[question.category] <= limit:
                    yield line, replace(question, rules=self._rules(question))

    def _rules(self, question: Question) -> tuple[AnswerRule, ...]:
        category = self.categories.get(question.category)
        return (*(category.rules if category else ()), *question.rules)


def survey(file: Path) -> Prompts:
    """Read every line of a prompts file and keep the places of its questions. Raises OSError."""
    reader = _PromptsReader(file)
    with open_file(file) as stream:
        offset = 0
        for number, line in enumerate(lines(stream), 1):
            reader.take(number, line, offset)
            offset += len(line)
            if reader.more > MANY:
                break
    return reader.end()


class _PromptsReader:
    """Reads lines and remembers what only the whole file can tell."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.more = 0
        self.categories: dict[str, Category] = {}
        self.line_of: dict[str, int] = {}  # the line of each category's own
        self.used: dict[str, int] = {}  # the first question of each category
        self.bare: dict[str, int] = {}  # the first question of each without rules of its own
        self.rows: dict[str, int] = {}
        self.chats = 0
        self.offsets = array("Q")
        self.lines = array("Q")

    def take(self, number: int, line: bytes, offset: int) -> None:
        """Read one line; a blank one is skipped."""
        if not line.strip():
            return
        try:
            entry = read(parse(line)[0])
        except RowError as error:
            self.tell(number, line, error.flaw)
            return
        if isinstance(entry, list):
            for flaw in entry:
                self.tell(number, line, flaw)
        elif isinstance(entry, Category):
            self.category(number, line, entry)
        else:
            self.used.setdefault(entry.category, number)
            self.rows[entry.category] = self.rows.get(entry.category, 0) + 1
            self.chats = self.chats or (number if entry.key != "text" else 0)
            if not entry.rules:
                self.bare.setdefault(entry.category, number)
            self.offsets.append(offset)
            self.lines.append(number)

    def category(self, number: int, line: bytes, category: Category) -> None:
        """Keep what a line says of a category; it is said once."""
        name = category.name
        if name in self.line_of:
            why = f"defines category '{name}' again, first defined at line {self.line_of[name]}"
            flaw = Flaw(
                rule="prompt-category", message=why, hint="keep one of them", path=("category",)
            )
            self.tell(number, line, flaw)
        self.line_of.setdefault(name, number)
        self.categories.setdefault(name, category)

    def end(self) -> Prompts:
        """Tell what only the whole file shows, and return what was read."""
        sound = not self.problems
        if sound and not self.offsets:
            self.tell(
                1,
                b"",
                Flaw(
                    rule="prompt-missing",
                    message="has no question, and neither does any other line",
                ),
            )
        for name, number in self.bare.items():
            if not (name in self.categories and self.categories[name].rules):
                hint = 'write "rules": [{"contain": "…"}], here or for its category'
                self.tell(
                    number,
                    b"",
                    Flaw(rule="prompt-rule", message="has no rule to score it by", hint=hint),
                )
        for name, number in self.line_of.items():
            if sound and name not in self.used:
                why = f"defines category '{name}', but no question uses it"
                self.tell(
                    number, b"", Flaw(rule="prompt-category", message=why, hint="remove the line")
                )
        if "" in self.used and len(self.used) > 1:
            why = "has no category, but others do"
            self.tell(
                self.used[""],
                b"",
                Flaw(rule="prompt-category", message=why, hint="name its category"),
            )
        problems = self.problems
        if self.more:
            are = "is" if self.more == 1 else "are"
            why = f"{plural(self.more, 'more problem')} {are} not shown"
            if self.more > MANY:
                why += ", and the rest of the file was not checked"
            problems = [
                *problems,
                Problem(
                    mark=Mark(file=str(self.file), line=1, column=1),
                    message=why,
                    rule="prompt-more",
                ),
            ]
        return Prompts(
            file=self.file,
            problems=tuple(problems),
            categories=self.categories,
            offsets=self.offsets,
            lines=self.lines,
            rows=self.rows,
            chats=self.chats,
        )

    def tell(self, number: int, line: bytes, flaw: Flaw) -> None:
        """Keep a problem at its place; of very many, the first."""
        if len(self.problems) >= MOST:
            self.more += 1
            return
        column = flaw.column or (column_of(line.decode(), flaw.path) if flaw.path else 1)
        mark = Mark(file=str(self.file), line=number, column=column)
        self.problems.append(
            Problem(mark=mark, message=f"the line {flaw.message}", rule=flaw.rule, hint=flaw.hint)
        )
