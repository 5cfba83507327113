"""The text of one word of bash in, its parts out: quotes, escapes, variables; nothing expanded."""

import re
import sys
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from runner.core import arithmetic
from runner.core.problem import Mark

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


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a word: text, a variable (`text` is its name), or what cannot be followed.

    `otherwise` is what stands for a variable that is not set, as in ``${NAME:-otherwise}``;
    `sign` is how it is said: '', '-' or '='; of an array it is what stands in its brackets. One
    that is `quoted` stays one word.
    """

    kind: Literal["text", "variable", "array", "unknown"]
    text: str
    sign: str = ""
    otherwise: "Word | None" = None
    quoted: bool = True


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a command; `bare` says that no quote is in it.

    `items` are the words in the brackets of ``NAME=( )``.
    """

    parts: tuple[Part, ...]
    mark: Mark
    bare: bool = False
    items: "tuple[Word, ...] | None" = None

    @property
    def plain(self) -> str | None:
        """The word's text, None where it has a variable or what cannot be followed."""
        known = all(part.kind == "text" for part in self.parts)
        return "".join(part.text for part in self.parts) if known else None


def word(text: str, at: int) -> tuple[tuple[Part, ...], bool, int]:
    """Return the parts of the word at a place, whether no quote is in it, and where it ends."""
    inner = _Inner(text, at)
    parts, bare = inner.word()
    return parts, bare, max(inner.at, at + 1)


class _Inner:
    """Reads the inside of words: quotes, escapes, variables."""

    def __init__(self, text: str, at: int, depth: int = 0) -> None:
        self.text, self.at, self.depth = text, at, depth
        self.parts: list[Part] = []

    def word(self) -> tuple[tuple[Part, ...], bool]:
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
        return _joined(self.parts), bare

    def home(self) -> None:
        follows = self.text[self.at + 1 : self.at + 2]
        home = follows in {"", "/"} or follows.isspace()
        self.parts.append(Part("variable", "HOME") if home else Part("text", "~"))
        self.at += 1

    def bare(self, char: str) -> None:
        if char == "\\":
            follows = self.text[self.at + 1 : self.at + 2]
            self.parts.append(Part("text", "" if follows == "\n" else follows))
            self.at += 2
        elif char == "$" and self.text.startswith("$'", self.at):
            self.ansi()
        elif char in "$`":
            self.dollar()
        elif char in "*?":
            self.parts.append(Part("unknown", char))
            self.at += 1
        elif char == "{" and (found := _BRACES.match(self.text, self.at)):
            self.parts.append(Part("unknown", found.group()))
            self.at = found.end()
        else:
            self.plain(char, _BARE)

    def plain(self, char: str, run: re.Pattern[str]) -> None:
        """Take a character that means itself, and the run of those that follow it."""
        found = run.match(self.text, self.at + 1)
        self.parts.append(Part("text", char + (found.group() if found else "")))
        self.at += 1 + (len(found.group()) if found else 0)

    def single(self, start: int) -> None:
        end = self.text.find("'", start)
        end = len(self.text) if end < 0 else end
        self.parts.append(Part("text", self.text[start:end]))
        self.at = end + 1

    def double(self, stop: str) -> None:
        while self.at < len(self.text) and self.text[self.at] != stop:
            char = self.text[self.at]
            if char == "\\" and self.text[self.at + 1 : self.at + 2] in {*'$`"\\', "\n"}:
                follows = self.text[self.at + 1]
                self.parts.append(Part("text", "" if follows == "\n" else follows))
                self.at += 2
            elif char in "$`":
                self.dollar(quoted=True)
            else:
                self.plain(char, _INSIDE[stop])
        self.at += 1

    def ansi(self) -> None:
        found = re.compile(r"\$'((?:[^'\\]|\\.)*)'", re.DOTALL).match(self.text, self.at)
        if not found:
            self.single(self.at + 2)
            return
        said = _ansi(found.group(1)).partition("\0")[0]  # bash ends the text there
        kind: Literal["text", "unknown"] = "unknown" if HALF.search(said) else "text"
        self.parts.append(Part(kind, found.group() if kind == "unknown" else said))
        self.at = found.end()

    def dollar(self, *, quoted: bool = False) -> None:
        text, at = self.text, self.at
        if text[at] == "`" or text.startswith("$(", at):
            self.substitution(quoted=quoted)
        elif text.startswith("${", at):
            self.braced(quoted=quoted)
        elif found := _NAME.match(text, at + 1):
            self.parts.append(Part("variable", found.group(), quoted=quoted))
            self.at = found.end()
        else:
            self.parts.append(Part("text", "$"))
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
        said = self.text[start : self.at]
        sum_ = arithmetic.number(said[3:-2]) if said.startswith("$((") else None
        if said in _HERE:
            self.parts.append(Part("variable", "PWD", quoted=quoted))
        elif sum_ is not None:
            self.parts.append(Part("text", str(sum_)))
        elif not re.match(r"`\s*#[^\n]*`\Z", said):  # a comment in a continued line is nothing
            self.parts.append(Part("unknown", said))

    def braced(self, *, quoted: bool) -> None:
        """Read ``${NAME}``, ``${NAME:-WORD}`` and their kin; others cannot be followed."""
        start = self.at
        array = _ARRAY.match(self.text, start) or _ARRAY_IF_ANY.match(self.text, start)
        if array:
            whole = quoted or '"' in array.group()
            self.parts.append(Part("array", array.group(1), array.groups()[-1], None, whole))
            self.at = array.end()
            return
        found = _VARIABLE.match(self.text, start)
        if found and found.group(2) == "}":
            self.parts.append(Part("variable", found.group(1), quoted=quoted))
            self.at = found.end()
            return
        if self.depth == DEEPEST:  # what is nested deeper is one word that nobody reads
            self.parts.append(Part("unknown", self.text[start:]))
            self.at = len(self.text)
            return
        inner = _Inner(self.text, found.end() if found else start + 2, self.depth + 1)
        inner.double("}")
        self.at = inner.at
        if found and found.group(2)[-1] == "?":  # what follows is said where it is not set
            self.parts.append(Part("variable", found.group(1), quoted=quoted))
        elif found:
            other = Word(_joined(inner.parts), Mark("", 1, 1))
            self.parts.append(Part("variable", found.group(1), found.group(2)[-1], other, quoted))
        else:
            self.parts.append(Part("unknown", self.text[start : self.at]))


def document(body: str) -> tuple[Part, ...]:
    """Return the parts of a here-document that bash expands; quotes mean nothing in it."""
    inner = _Inner(body, 0)
    while inner.at < len(body):
        char = body[inner.at]
        if char == "\\" and body[inner.at + 1 : inner.at + 2] in {*"$`\\", "\n"}:
            follows = body[inner.at + 1]
            inner.parts.append(Part("text", "" if follows == "\n" else follows))
            inner.at += 2
        elif char in "$`":
            inner.dollar(quoted=True)
        else:
            inner.parts.append(Part("text", char))
            inner.at += 1
    return _joined(inner.parts)


def _joined(parts: list[Part]) -> tuple[Part, ...]:
    joined: list[Part] = []
    for text, run in groupby(parts, lambda part: part.kind == "text"):
        if not text:
            joined += run
        elif whole := "".join(part.text for part in run):
            joined.append(Part("text", whole))
    return tuple(joined)


def _ansi(text: str) -> str:
    """Return what is between ``$'`` and ``'`` as bash reads it: numbers in 8 and 16 are bytes."""

    def read(found: re.Match[bytes]) -> bytes:
        said = found[1].decode()
        if said[0] in "uU" and len(said) > 1 and int(said[1:], 16) <= sys.maxunicode:
            return chr(int(said[1:], 16)).encode("utf-8", "surrogatepass")
        if said[0] == "x" and len(said) > 1:
            return bytes([int(said[1:], 16)])
        if said.isdigit():
            return bytes([int(said, 8) & 0xFF])
        return _ANSI[said].encode() if said in _ANSI else found[0]

    whole = _ESCAPE.sub(read, text.encode("utf-8", "surrogatepass"))
    return whole.decode("utf-8", "surrogateescape")
