"""The text of one word of bash in, its parts out: quotes, escapes, variables; nothing expanded."""

import re
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import replace

from runner.base.problems import Mark
from runner.importer import arithmetic

_NAME = re.compile(r"[A-Za-z_]\w*|[0-9@*#?!$-]")
_BRACES = re.compile(r"\{[^{}\s]*,[^{}\s]*\}")
_VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*|\d+|[@*])(:?[-=?]|\})")
_ARRAY = re.compile(r"\$\{([A-Za-z_]\w*)\[(@|\*|\d+)\]\}")
_ARRAY_IF_ANY = re.compile(r"""\$\{([A-Za-z_]\w*)\[@\]:?\+("?)\$\{\1\[(@)\]\}\2\}""")
DEEPEST = 20
"""So many ``${A:-${B:-…}}`` inside of each other are followed."""
# Characters that mean themselves: outside of quotes, and inside of what ends with a sign.
_BARE = re.compile(r"[\w./:=,+@%^-]+")
_INSIDE = {stop: re.compile(rf"[^\\$`{stop}]+") for stop in '"}'}
_HERE = {"$(pwd)", "`pwd`"}
HALF = re.compile("[\ud800-\udfff]")
"""Halves of characters, which no file holds."""
PRIVATE = re.compile(r"[\ue000\ue001]|\\(?:u|U0000)e00[01]", re.IGNORECASE)
"""The signs of variables that are being read, and how YAML, JSON and bash write them."""
_ESCAPE = re.compile(
    rb"\\(x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{1,4}|U[0-9a-fA-F]{1,8}|[0-7]{1,3}|[a-zA-Z\\'\"?])"
)
_ANSI = {sign: sign for sign in "\\'\"?"} | {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "a": "\a",
    "b": "\b",
    "e": "\x1b",
    "f": "\f",
    "v": "\v",
}


class WordPart(Struct, frozen=True, kw_only=True):
    """A piece of a word: text, a variable (`text` is its name), or what cannot be followed.

    `otherwise` is what stands for a variable that is not set, as in ``${NAME:-otherwise}``;
    `sign` is how it is said: '', '-' or '='; of an array it is what is in its brackets. One
    that is `quoted` stays one word.
    """

    kind: Literal["text", "variable", "array", "unknown"]
    text: str
    sign: str = ""
    otherwise: "Word | None" = None
    quoted: bool = True


class Word(Struct, frozen=True, kw_only=True):
    """A word of a command; `bare` says that no quote is in it.

    `items` are the words in the brackets of ``NAME=( )``.
    """

    parts: tuple[WordPart, ...]
    mark: Mark
    bare: bool = False
    items: "tuple[Word, ...] | None" = None

    @property
    def plain(self) -> str | None:
        """The word's text, None if it has a variable or what cannot be followed."""
        all_text = all(part.kind == "text" for part in self.parts)
        return "".join(part.text for part in self.parts) if all_text else None


def word(text: str, at: int) -> tuple[tuple[WordPart, ...], bool, int]:
    """Return the parts of the word at a place, whether no quote is in it, and where it ends."""
    inner = _Inner(text, at)
    parts, bare = inner.word()
    return parts, bare, max(inner.at, at + 1)


class _Inner:
    """Reads the inside of words: quotes, escapes, variables."""

    def __init__(self, text: str, at: int, depth: int = 0) -> None:
        self.text, self.at, self.depth = text, at, depth
        self.parts: list[WordPart] = []

    def word(self) -> tuple[tuple[WordPart, ...], bool]:
        start, bare = self.at, True
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in " \t\r\n;&|()<>":
                break
            bare = bare and char not in "'\"\\"
            if char == "~" and self.at == start:
                self.home()
            elif char == "'":
                self.single(self.at + 1)
            elif char == '"':
                self.at += 1
                self.double('"')
            else:
                self.bare(char)
        return _join(self.parts), bare

    def home(self) -> None:
        follows = self.text[self.at + 1 : self.at + 2]
        home = follows in {"", "/"} or follows.isspace()
        self.parts.append(
            WordPart(kind="variable", text="HOME") if home else WordPart(kind="text", text="~")
        )
        self.at += 1

    def bare(self, char: str) -> None:
        if char == "\\":
            follows = self.text[self.at + 1 : self.at + 2]
            self.parts.append(WordPart(kind="text", text="" if follows == "\n" else follows))
            self.at += 2
        elif char == "$" and self.text.startswith("$'", self.at):
            self.ansi()
        elif char in "$`":
            self.dollar()
        elif char in "*?":
            self.parts.append(WordPart(kind="unknown", text=char))
            self.at += 1
        elif char == "{" and (match := _BRACES.match(self.text, self.at)):
            self.parts.append(WordPart(kind="unknown", text=match.group()))
            self.at = match.end()
        else:
            self.plain(char, _BARE)

    def plain(self, char: str, run: re.Pattern[str]) -> None:
        """Take a character that means itself, and the run of those that follow it."""
        match = run.match(self.text, self.at + 1)
        self.parts.append(WordPart(kind="text", text=char + (match.group() if match else "")))
        self.at += 1 + (len(match.group()) if match else 0)

    def single(self, start: int) -> None:
        end = self.text.find("'", start)
        end = len(self.text) if end < 0 else end
        self.parts.append(WordPart(kind="text", text=self.text[start:end]))
        self.at = end + 1

    def double(self, stop: str) -> None:
        while self.at < len(self.text) and self.text[self.at] != stop:
            char = self.text[self.at]
            if char == "\\" and self.text[self.at + 1 : self.at + 2] in {*'$`"\\', "\n"}:
                follows = self.text[self.at + 1]
                self.parts.append(WordPart(kind="text", text="" if follows == "\n" else follows))
                self.at += 2
            elif char in "$`":
                self.dollar(quoted=True)
            else:
                self.plain(char, _INSIDE[stop])
        self.at += 1

    def ansi(self) -> None:
        match = re.compile(r"\$'((?:[^'\\]|\\.)*)'", re.DOTALL).match(self.text, self.at)
        if not match:
            self.single(self.at + 2)
            return
        text = _ansi(match.group(1)).partition("\0")[0]  # bash ends the text there
        kind: Literal["text", "unknown"] = "unknown" if HALF.search(text) else "text"
        self.parts.append(WordPart(kind=kind, text=match.group() if kind == "unknown" else text))
        self.at = match.end()

    def dollar(self, *, quoted: bool = False) -> None:
        text, at = self.text, self.at
        if text[at] == "`" or text.startswith("$(", at):
            self.substitution(quoted=quoted)
        elif text.startswith("${", at):
            self.braced(quoted=quoted)
        elif match := _NAME.match(text, at + 1):
            self.parts.append(WordPart(kind="variable", text=match.group(), quoted=quoted))
            self.at = match.end()
        else:
            self.parts.append(WordPart(kind="text", text="$"))
            self.at += 1

    def substitution(self, *, quoted: bool) -> None:
        """Read ``$( )``, ``$(( ))`` and backquotes; only bash can follow most of them."""
        start = self.at
        if self.text[start] == "`":
            end = self.text.find("`", start + 1)
            self.at = len(self.text) if end < 0 else end + 1
        else:
            depth, self.at = 0, start + 1
            while self.at < len(self.text):
                depth += {"(": 1, ")": -1}.get(self.text[self.at], 0)
                self.at += 1
                if depth == 0:
                    break
        raw = self.text[start : self.at]
        sum_ = arithmetic.number(raw[3:-2]) if raw.startswith("$((") else None
        if raw in _HERE:
            self.parts.append(WordPart(kind="variable", text="PWD", quoted=quoted))
        elif sum_ is not None:
            self.parts.append(WordPart(kind="text", text=str(sum_)))
        elif not re.match(r"`\s*#[^\n]*`\Z", raw):  # a comment in a continued line is nothing
            self.parts.append(WordPart(kind="unknown", text=raw))

    def braced(self, *, quoted: bool) -> None:
        """Read ``${NAME}``, ``${NAME:-WORD}`` and their kin; others cannot be followed."""
        start = self.at
        array = _ARRAY.match(self.text, start) or _ARRAY_IF_ANY.match(self.text, start)
        if array:
            whole = quoted or '"' in array.group()
            self.parts.append(
                WordPart(
                    kind="array",
                    text=array.group(1),
                    sign=array.groups()[-1],
                    otherwise=None,
                    quoted=whole,
                )
            )
            self.at = array.end()
            return
        match = _VARIABLE.match(self.text, start)
        if match and match.group(2) == "}":
            self.parts.append(WordPart(kind="variable", text=match.group(1), quoted=quoted))
            self.at = match.end()
            return
        if self.depth == DEEPEST:  # what is nested deeper is one word that nobody reads
            self.parts.append(WordPart(kind="unknown", text=self.text[start:]))
            self.at = len(self.text)
            return
        inner = _Inner(self.text, match.end() if match else start + 2, self.depth + 1)
        inner.double("}")
        self.at = inner.at
        if match and match.group(2)[-1] == "?":  # what follows is said where it is not set
            self.parts.append(WordPart(kind="variable", text=match.group(1), quoted=quoted))
        elif match:
            other = Word(parts=_join(inner.parts), mark=Mark(file="", line=1, column=1))
            self.parts.append(
                WordPart(
                    kind="variable",
                    text=match.group(1),
                    sign=match.group(2)[-1],
                    otherwise=other,
                    quoted=quoted,
                )
            )
        else:
            self.parts.append(WordPart(kind="unknown", text=self.text[start : self.at]))


def document(body: str) -> tuple[WordPart, ...]:
    """Return the parts of a here-document that bash expands; quotes mean nothing in it."""
    inner = _Inner(body, 0)
    while inner.at < len(body):
        char = body[inner.at]
        if char == "\\" and body[inner.at + 1 : inner.at + 2] in {*"$`\\", "\n"}:
            follows = body[inner.at + 1]
            inner.parts.append(WordPart(kind="text", text="" if follows == "\n" else follows))
            inner.at += 2
        elif char in "$`":
            inner.dollar(quoted=True)
        else:
            inner.parts.append(WordPart(kind="text", text=char))
            inner.at += 1
    return _join(inner.parts)


def _join(parts: list[WordPart]) -> tuple[WordPart, ...]:
    joined: list[WordPart] = []
    for text, run in groupby(parts, lambda part: part.kind == "text"):
        if not text:
            joined += run
        elif whole := "".join(part.text for part in run):
            joined.append(WordPart(kind="text", text=whole))
    return tuple(joined)


def _ansi(text: str) -> str:
    """Return what is between ``$'`` and ``'`` as bash reads it: numbers in 8 and 16 are bytes."""

    def read(match: re.Match[bytes]) -> bytes:
        escape = match[1].decode()
        if escape[0] in "uU" and len(escape) > 1 and int(escape[1:], 16) <= sys.maxunicode:
            return chr(int(escape[1:], 16)).encode("utf-8", "surrogatepass")
        if escape[0] == "x" and len(escape) > 1:
            return bytes([int(escape[1:], 16)])
        if escape.isdigit():
            return bytes([int(escape, 8) & 0xFF])
        return _ANSI[escape].encode() if escape in _ANSI else match[0]

    whole = _ESCAPE.sub(read, text.encode("utf-8", "surrogatepass"))
    return whole.decode("utf-8", "surrogateescape")


_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*(?:\[[^]]*\])?\+?=")
_REDIRECT = re.compile(r"(\d*|&)(<<<|<<-|<<|>>|>\||>&|<&|<>|<|>)")
_OPERATOR = re.compile(r"&&|\|\||\|&|;;&?|;&|[;&|()\n]")
_OPENS = {"if": "fi", "for": "done", "while": "done", "until": "done", "select": "done"}
_OPENS |= {"case": "esac", "function": "}", "{": "}"}
_LEADS = {"then", "do", "else", "elif", "!", "time"}


class Redirect(Struct, frozen=True, kw_only=True):
    """A redirection: its sign, and the file, or the text of a here-document and its place.

    `span` is where in the script a here-document stands.
    """

    sign: str
    word: Word
    span: tuple[int, int] | None = None


class Command(Struct, frozen=True, kw_only=True):
    """One simple command.

    `comments` stand right above it; `sign` is the operator before it, and `negated` says that it is
    behind a ``!``; `inside` is the loop or condition it is in, with its place, and `apart` says
    that it is in a subshell; `span` is where in the script it stands.
    """

    words: tuple[Word, ...]
    mark: Mark
    redirects: tuple[Redirect, ...] = ()
    comments: tuple[str, ...] = ()
    sign: str = ""
    inside: tuple[str, Mark] | None = None
    span: tuple[int, int] = (0, 0)
    negated: bool = False
    apart: bool = False


class Script(Struct, frozen=True, kw_only=True):
    """The commands of a script in their order, the spans of its comments; `mark` is a place.

    `functions` are the names of those it defines.
    """

    commands: tuple[Command, ...]
    comments: tuple[tuple[int, int], ...]
    mark: Callable[[int], Mark]
    functions: frozenset[str] = frozenset()


class _OpenCommand(Struct, kw_only=True):
    """A command being read, from the offset `start`."""

    words: list[Word] = field(default_factory=list)
    redirects: list[Redirect] = field(default_factory=list)
    mark: Mark | None = None
    start: int = 0
    negated: bool = False


def script(text: str, file: str) -> Script:
    """Read a script."""
    reader = _BashReader(text, file)
    commands = tuple(reader.commands())
    return Script(
        commands=commands,
        comments=tuple(reader.remarks),
        mark=reader.mark,
        functions=frozenset(reader.functions),
    )


def is_assignment(word: Word) -> bool:
    """Return whether a word is NAME=VALUE with a name bash takes."""
    first = word.parts[0] if word.parts else None
    return first is not None and first.kind == "text" and bool(_ASSIGNMENT.match(first.text))


class _BashReader:
    """Walks the text once; `at` is where it is."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.at = 0
        self.starts = [0, *(newline.end() for newline in re.finditer("\n", text))]
        self.remarks: list[tuple[int, int]] = []
        self.stack: list[tuple[str, str, Mark]] = []
        self.comments: list[str] = []
        self.open_command = _OpenCommand()
        self.sign = ""
        self.functions: set[str] = set()
        self.patterns = False  # of a case, before the next ")"

    def mark(self, at: int | None = None) -> Mark:
        where = self.at if at is None else at
        line = bisect_right(self.starts, where)
        return Mark(file=self.file, line=line, column=where - self.starts[line - 1] + 1)

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
        elif text.startswith("((", at) and not self.open_command.words:
            self.arithmetic()
        elif match := _REDIRECT.match(text, at):
            self.redirect(match)
        elif match := _OPERATOR.match(text, at):
            self.at = match.end()
            yield from self.operator(match.group())
        else:
            yield from self.word()

    def comment(self) -> None:
        end = self.text.find("\n", self.at)
        end = len(self.text) if end < 0 else end
        alone = not self.text[self.text.rfind("\n", 0, self.at) + 1 : self.at].strip()
        text = self.text[self.at + 1 : end].strip()
        if alone and not self.open_command.words and not (self.at == 0 and text.startswith("!")):
            self.comments.append(text)
        self.remarks.append((self.at, end))
        self.at = end

    def operator(self, sign: str) -> Iterator[Command]:
        if sign == "\n":
            above = self.text.rfind("\n", 0, self.at - 1)
            blank = not self.open_command.words and self.text[above + 1 : self.at].isspace()
            yield from self.end("" if self.open_command.words else self.sign)
            if blank:
                self.comments = []
        elif self.patterns:
            self.open_command = _OpenCommand()
            self.patterns = sign != ")"
        elif sign == "(":
            function = len(self.open_command.words) == 1
            if function:
                self.functions.add(self.open_command.words[0].plain or "")
            self.open_command = _OpenCommand() if function else self.open_command
            kind = "function" if function else self.group("(")
            self.stack.append((kind, ")", self.mark(self.at - 1)))
            if function and self.text.startswith(")", self.at):
                self.at += 1
                self.stack[-1] = ("function", "", self.stack[-1][2])
        elif sign == ")":
            yield from self.end(";")
            if self.stack and self.stack[-1][1] == ")":
                self.stack.pop()
        else:
            yield from self.end(sign)
            self.patterns = sign.startswith(";;") or sign == ";&"

    def group(self, sign: str) -> str:
        """Return what a group is: behind ``&&`` or ``||`` it may not run at all."""
        return self.sign if self.sign in {"&&", "||"} else sign

    def arithmetic(self) -> None:
        """Read ``(( ))`` as one word."""
        end = self.text.find("))", self.at)
        mark = self.mark()
        self.begin(mark)
        self.open_command.words.append(Word(parts=(WordPart(kind="text", text="(("),), mark=mark))
        self.at = len(self.text) if end < 0 else end + 2

    def end(self, sign: str) -> Iterator[Command]:
        """Yield the command that ends here; `sign` stands before the next one."""
        command, self.open_command = self.open_command, _OpenCommand()
        if (command.words or command.redirects) and command.mark is not None:
            loops = [(kind, mark) for kind, _, mark in self.stack if kind not in {"{", "("}]
            yield Command(
                words=tuple(command.words),
                mark=command.mark,
                redirects=tuple(command.redirects),
                comments=tuple(self.comments),
                sign=self.sign,
                inside=loops[0] if loops else None,
                span=(command.start, self.at),
                negated=command.negated,
                apart=any(end == ")" and kind != "function" for kind, end, _ in self.stack),
            )
            self.comments = []
        self.sign = sign

    def word(self) -> Iterator[Command]:
        word = self.read(self.at)
        plain = word.plain if word.bare else None
        if plain and _ASSIGNMENT.fullmatch(plain) and self.text.startswith("(", self.at):
            word = replace(word, items=tuple(self.items()))
        if not self.open_command.words and plain is not None and self.keyword(plain, word.mark):
            return
        self.begin(word.mark)
        self.open_command.words.append(word)
        yield from ()

    def begin(self, mark: Mark) -> None:
        """Remember where the command being read begins."""
        if self.open_command.mark is None:
            self.open_command.mark = mark
            self.open_command.start = self.starts[mark.line - 1] + mark.column - 1

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
                yield Word(parts=(WordPart(kind="unknown", text=char),), mark=self.mark())
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
                kind = self.group(word) if word == "{" else word
                self.stack.append((kind, _OPENS[word], mark))
            if word in {"for", "select", "case", "function"}:
                self.header(word)
            return True
        if self.stack and word == self.stack[-1][1]:
            self.stack.pop()
            return True
        self.open_command.negated |= word == "!"
        return word in _LEADS

    def header(self, word: str) -> None:
        """Skip the rest of a line such as ``for NAME in WORDS``."""
        stop = re.compile(r"\bin\b|\n" if word == "case" else r"[;\n]|(?=\{)")
        match = stop.search(self.text, self.at)
        if word == "function":
            name = self.text[self.at : match.start() if match else None].strip(" \t()")
            self.functions.add(name)
        self.patterns = word == "case"
        self.at = match.end() if match else len(self.text)

    def redirect(self, match: re.Match[str]) -> None:
        sign = match.group(2)
        self.begin(self.mark())
        self.at = match.end()
        if self.text.startswith("(", self.at):  # <( ): what its own command says
            self.open_command.redirects.append(Redirect(sign=sign, word=self.process()))
            return
        while self.text[self.at : self.at + 1] in {" ", "\t"}:
            self.at += 1
        word, span = self.read(self.at), None
        if sign in {"<<", "<<-"}:
            word, span = self.document(word, tabs=sign == "<<-")
        self.open_command.redirects.append(
            Redirect(sign=match.group(1) + sign, word=word, span=span)
        )

    def process(self) -> Word:
        """Return what is in the brackets of ``<( )`` as a word that only bash can follow."""
        start, depth = self.at, 0
        while self.at < len(self.text):
            depth += {"(": 1, ")": -1}.get(self.text[self.at], 0)
            self.at += 1
            if depth == 0:
                break
        return Word(
            parts=(WordPart(kind="unknown", text=self.text[start : self.at]),),
            mark=self.mark(start),
        )

    def document(self, ending: Word, *, tabs: bool) -> tuple[Word, tuple[int, int]]:
        """Return a here-document as a word, and its span; blanks are left in its place."""
        end = "".join(part.text for part in ending.parts)
        line = self.text.find("\n", self.at)
        start = len(self.text) if line < 0 else line + 1
        stop = after = start
        for row in self.text[start:].split("\n"):
            after = min(after + len(row) + 1, len(self.text))
            if (row.lstrip("\t") if tabs else row) == end:
                break
            stop = after
        body, mark = self.text[start:stop], self.mark(start)
        if tabs:
            body = re.sub(r"^\t+", "", body, flags=re.MULTILINE)
        blank = re.sub(r"[^\n]", " ", self.text[start:after])
        self.text = self.text[:start] + blank + self.text[after:]
        parts = document(body) if ending.bare else (WordPart(kind="text", text=body),)
        return Word(parts=parts, mark=mark, bare=ending.bare), (start, after)

    def read(self, start: int) -> Word:
        """Read one word from `start`."""
        parts, bare, self.at = word(self.text, start)
        return Word(parts=parts, mark=self.mark(start), bare=bare)
