"""A bash script in, its commands out: words with their places, nothing expanded yet.

Read are quotes, line continuations, variables, arrays, comments, here-documents, redirections and
lists (``;``, ``&&``, ``|``). What only bash itself could say (a command substitution, a glob) stays
in its word as a part that cannot be followed; commands in loops and conditions say so.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from runner.core.problem import Mark
from runner.core.quoting import Part, Word, document, word

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*(?:\[[^]]*\])?\+?=")
_REDIRECT = re.compile(r"(\d*|&)(<<<|<<-|<<|>>|>\||>&|<&|<>|<|>)")
_OPERATOR = re.compile(r"&&|\|\||\|&|;;&?|;&|[;&|()\n]")
_OPENS = {"if": "fi", "for": "done", "while": "done", "until": "done", "select": "done"}
_OPENS |= {"case": "esac", "function": "}", "{": "}"}
_LEADS = {"then", "do", "else", "elif", "!", "time"}


@dataclass(frozen=True, slots=True)
class Redirect:
    """A redirection: its sign, and the file, or the text of a here-document and its place.

    `span` is where in the script a here-document stands.
    """

    sign: str
    word: Word
    span: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """One simple command.

    `comments` stand right above it; `sign` is the operator before it; `inside` is the loop or
    condition it stands in, with its place; `span` is where in the script it stands.
    """

    words: tuple[Word, ...]
    mark: Mark
    redirects: tuple[Redirect, ...] = ()
    comments: tuple[str, ...] = ()
    sign: str = ""
    inside: tuple[str, Mark] | None = None
    span: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Script:
    """The commands of a script in their order, the spans of its comments; `mark` is a place."""

    commands: tuple[Command, ...]
    comments: tuple[tuple[int, int], ...]
    mark: Callable[[int], Mark]


@dataclass(slots=True)
class _Begun:
    """A command being read, from the offset `start`."""

    words: list[Word] = field(default_factory=list)
    redirects: list[Redirect] = field(default_factory=list)
    mark: Mark | None = None
    start: int = 0


def script(text: str, file: str) -> Script:
    """Read a script."""
    reader = _Reader(text, file)
    found = tuple(reader.commands())
    return Script(found, tuple(reader.remarks), reader.mark)


def is_assignment(word: Word) -> bool:
    """Say whether a word is NAME=VALUE with a name bash takes."""
    first = word.parts[0] if word.parts else None
    return first is not None and first.kind == "text" and bool(_ASSIGNMENT.match(first.text))


class _Reader:
    """Walks the text once; `at` is where it is."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.at = 0
        self.starts = [0, *(found.end() for found in re.finditer("\n", text))]
        self.remarks: list[tuple[int, int]] = []
        self.stack: list[tuple[str, str, Mark]] = []
        self.comments: list[str] = []
        self.begun = _Begun()
        self.sign = ""

    def mark(self, at: int | None = None) -> Mark:
        where = self.at if at is None else at
        line = bisect_right(self.starts, where)
        return Mark(self.file, line, where - self.starts[line - 1] + 1)

    def commands(self) -> Iterator[Command]:
        while self.at < len(self.text):
            yield from self.step()
        yield from self.end("")

    def step(self) -> Iterator[Command]:
        text, at = self.text, self.at
        if text.startswith("\\\n", at):
            self.at += 2
        elif text[at] in " \t\r":
            self.at += 1
        elif text[at] == "#":
            self.comment()
        elif found := _REDIRECT.match(text, at):
            self.redirect(found)
        elif found := _OPERATOR.match(text, at):
            self.at = found.end()
            yield from self.operator(found.group())
        else:
            yield from self.word()

    def comment(self) -> None:
        end = self.text.find("\n", self.at)
        end = len(self.text) if end < 0 else end
        alone = not self.text[self.text.rfind("\n", 0, self.at) + 1 : self.at].strip()
        said = self.text[self.at + 1 : end].strip()
        if alone and not self.begun.words and not (self.at == 0 and said.startswith("!")):
            self.comments.append(said)
        self.remarks.append((self.at, end))
        self.at = end

    def operator(self, sign: str) -> Iterator[Command]:
        if sign == "\n":
            above = self.text.rfind("\n", 0, self.at - 1)
            blank = not self.begun.words and self.text[above + 1 : self.at].isspace()
            yield from self.end("" if self.begun.words else self.sign)
            if blank:
                self.comments = []
        elif sign == "(":
            function = len(self.begun.words) == 1
            self.begun = _Begun() if function else self.begun
            self.stack.append(("function" if function else "(", ")", self.mark(self.at - 1)))
            if function and self.text.startswith(")", self.at):
                self.at += 1
                self.stack[-1] = ("function", "", self.stack[-1][2])
        elif sign == ")":
            yield from self.end(";")
            if self.stack and self.stack[-1][1] == ")":
                self.stack.pop()
        else:
            yield from self.end(sign)

    def end(self, sign: str) -> Iterator[Command]:
        """Yield the command that ends here; `sign` stands before the next one."""
        begun, self.begun = self.begun, _Begun()
        if (begun.words or begun.redirects) and begun.mark is not None:
            loops = [(kind, mark) for kind, _, mark in self.stack if kind not in {"{", "("}]
            yield Command(
                tuple(begun.words),
                begun.mark,
                tuple(begun.redirects),
                tuple(self.comments),
                self.sign,
                loops[0] if loops else None,
                (begun.start, self.at),
            )
            self.comments = []
        self.sign = sign

    def word(self) -> Iterator[Command]:
        word = self.read(self.at)
        plain = word.plain if word.bare else None
        if plain and _ASSIGNMENT.fullmatch(plain) and self.text.startswith("(", self.at):
            word = replace(word, items=tuple(self.items()))
        if not self.begun.words and plain is not None and self.keyword(plain, word.mark):
            return
        self.begin(word.mark)
        self.begun.words.append(word)
        yield from ()

    def begin(self, mark: Mark) -> None:
        """Remember where the command being read begins."""
        if self.begun.mark is None:
            self.begun.mark = mark
            self.begun.start = self.starts[mark.line - 1] + mark.column - 1

    def items(self) -> Iterator[Word]:
        """Yield the words of an array, from its opening bracket to behind its closing one."""
        self.at += 1
        while self.at < len(self.text) and self.text[self.at] != ")":
            char = self.text[self.at]
            if self.text.startswith("\\\n", self.at):
                self.at += 2
            elif char in " \t\r\n":
                self.at += 1
            elif char == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif char in ";&|<>(":
                yield Word((Part("unknown", char),), self.mark())
                self.at += 1
            else:
                yield self.read(self.at)
        self.at += 1

    def keyword(self, word: str, mark: Mark) -> bool:
        """Follow a word that opens, leads on in or ends a compound command; say whether it does."""
        if word in _OPENS:
            function = self.stack and self.stack[-1][:2] == ("function", "")
            if word == "{" and function:
                self.stack[-1] = ("function", "}", self.stack[-1][2])
            else:
                self.stack.append((word, _OPENS[word], mark))
            if word in {"for", "select", "case", "function"}:
                self.header(word)
            return True
        if self.stack and word == self.stack[-1][1]:
            self.stack.pop()
            return True
        return word in _LEADS

    def header(self, word: str) -> None:
        """Skip the rest of a line such as ``for NAME in WORDS``."""
        stop = re.compile(r"\bin\b|\n" if word == "case" else r"[;\n]|(?=\{)")
        found = stop.search(self.text, self.at)
        self.at = found.end() if found else len(self.text)

    def redirect(self, found: re.Match[str]) -> None:
        sign = found.group(2)
        self.begin(self.mark())
        self.at = found.end()
        if self.text.startswith("(", self.at):  # <( ): what a command of its own says
            self.begun.redirects.append(Redirect(sign, self.process()))
            return
        while self.text[self.at : self.at + 1] in {" ", "\t"}:
            self.at += 1
        word, span = self.read(self.at), None
        if sign in {"<<", "<<-"}:
            word, span = self.document(word, tabs=sign == "<<-")
        self.begun.redirects.append(Redirect(found.group(1) + sign, word, span))

    def process(self) -> Word:
        """Return what stands in the brackets of ``<( )`` as a word that only bash can follow."""
        start, depth = self.at, 0
        while self.at < len(self.text):
            depth += {"(": 1, ")": -1}.get(self.text[self.at], 0)
            self.at += 1
            if depth == 0:
                break
        return Word((Part("unknown", self.text[start : self.at]),), self.mark(start))

    def document(self, ending: Word, *, tabs: bool) -> tuple[Word, tuple[int, int]]:
        """Return a here-document as a word, and its span; blanks are left in its place."""
        end = "".join(part.text for part in ending.parts)
        line = self.text.find("\n", self.at)
        start = len(self.text) if line < 0 else line + 1
        stop = after = start
        for said in self.text[start:].split("\n"):
            after = min(after + len(said) + 1, len(self.text))
            if (said.lstrip("\t") if tabs else said) == end:
                break
            stop = after
        body, mark = self.text[start:stop], self.mark(start)
        if tabs:
            body = re.sub(r"^\t+", "", body, flags=re.MULTILINE)
        blank = re.sub(r"[^\n]", " ", self.text[start:after])
        self.text = self.text[:start] + blank + self.text[after:]
        parts = document(body) if ending.bare else (Part("text", body),)
        return Word(parts, mark, bare=ending.bare), (start, after)

    def read(self, start: int) -> Word:
        """Read one word from `start`."""
        parts, bare, self.at = word(self.text, start)
        return Word(parts, self.mark(start), bare)
