"""YAML as most recipes have it in, PyYAML's tree of it out; None for anything else.

Importing PyYAML takes an eighth of the time in which a plan is shown, most of it for YAML 1.1's
regular expressions, and nearly all recipes are mappings, lists, plain and quoted texts, each on
its line. These are read here, into nodes as PyYAML's with the same places. Whatever else a text has
(anchors, tags, escapes, text on several lines, no value at all), every mistake and every large file
is left to libyaml. A property test holds the two to the same tree.
"""

from typing import Any

from msgspec import Struct

from runner.base.patterns import pattern

MOST_CHARACTERS = 32_768  # more of them libyaml reads faster, with its import
_DEEPEST = 30
_TEXT = "tag:yaml.org,2002:str"
_TAGS = {"mapping": "tag:yaml.org,2002:map", "sequence": "tag:yaml.org,2002:seq"}
_KEY = pattern(r"([A-Za-z_][A-Za-z0-9_./-]{0,200}):(?: +|\Z)")
_QUOTED = pattern(r"""'([^']*)'|"([^"\\]*)\"""")
_IN_FLOW = pattern(r"[A-Za-z0-9_./+~-][^,:#?&*!|>'\"%@`\[\]{}]*")
_FIRST = "_./+~$(<"  # signs that text begins with, beside letters, digits and a dash
_NOTHING = pattern(r" *(?: #.*)?\Z")


class YamlMark(Struct, frozen=True, kw_only=True):
    """Where something stands in a text, counted from 0."""

    index: int
    line: int
    column: int


class YamlNode(Struct, kw_only=True):
    """A node with the fields of PyYAML's that are read; `id` is scalar, sequence or mapping."""

    id: str
    tag: str
    value: Any
    start_mark: YamlMark
    end_mark: YamlMark
    flow_style: bool = False


class _YamlRow(Struct, kw_only=True):
    """What is left of a line: where it begins in it and in the whole text."""

    number: int
    start: int
    column: int
    text: str

    def place(self, at: int = 0) -> YamlMark:
        column = self.column + at
        return YamlMark(index=self.start + column, line=self.number, column=column)

    def behind(self, count: int) -> "_YamlRow":
        """Return the row without its first characters and the spaces after them."""
        rest = self.text[count:]
        inside = rest.lstrip(" ")
        column = self.column + count + len(rest) - len(inside)
        return _YamlRow(number=self.number, start=self.start, column=column, text=inside)


class _OtherYamlError(Exception):
    """Only libyaml knows."""


def compose(text: str) -> YamlNode | None:
    """Return the tree of a text that is one mapping, None where libyaml has to read it."""
    if len(text) > MOST_CHARACTERS:
        return None
    try:
        return _Composer(text).whole()
    except _OtherYamlError:
        return None


def _rows(lines: list[str]) -> list[_YamlRow]:
    rows = []
    start = 0
    for number, line in enumerate(lines):
        if not line.isprintable():
            raise _OtherYamlError
        inside = line.strip(" ")
        if inside and inside[0] != "#":
            column = len(line) - len(line.lstrip(" "))
            rows.append(_YamlRow(number=number, start=start, column=column, text=inside))
        start += len(line) + 1
    return rows


class _Composer:
    """Reads rows from the first to the last."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self._rows = _rows(self._lines)
        self._at = 0
        self._depth = 0

    def whole(self) -> YamlNode:
        tree = self._block(-1)
        if self._at < len(self._rows) or tree.id != "mapping" or tree.start_mark.column:
            raise _OtherYamlError
        return tree

    def _row(self) -> _YamlRow | None:
        return self._rows[self._at] if self._at < len(self._rows) else None

    def _block(self, above: int) -> YamlNode:
        """Read what stands below a key or a dash of a column, further to the right."""
        row = self._row()
        self._depth += 1
        if row is None or row.column <= above or self._depth > _DEEPEST:
            raise _OtherYamlError
        tree = self._sequence(row) if _is_entry(row.text) else self._mapping(row)
        self._depth -= 1
        return tree

    def _mapping(self, first: _YamlRow) -> YamlNode:
        pairs: list[tuple[YamlNode, YamlNode]] = []
        row: _YamlRow | None = first
        while row is not None and row.column == first.column and not _is_entry(row.text):
            match = _KEY.match(row.text)
            if match is None:
                raise _OtherYamlError
            key = _scalar("plain", match[1], row, len(match[1]))
            rest = row.behind(match.end(1) + 1)
            self._at += 1
            pairs.append((key, self._value(rest, first.column, at_dash=True)))
            row = self._row()
        return _collection("mapping", pairs, first)

    def _sequence(self, first: _YamlRow) -> YamlNode:
        entries: list[YamlNode] = []
        row: _YamlRow | None = first
        while row is not None and row.column == first.column and _is_entry(row.text):
            inside = row.behind(1)
            if _is_entry(inside.text) or _KEY.match(inside.text):
                self._rows[self._at] = inside
                entries.append(self._block(first.column))
            else:
                self._at += 1
                entries.append(self._value(inside, first.column))
            row = self._row()
        return _collection("sequence", entries, first)

    def _value(self, row: _YamlRow, column: int, *, at_dash: bool = False) -> YamlNode:
        """Read a value beside its key or dash, or below it; `at_dash` a list may stand below a key.

        What stands further to the right on the next line would go on with a value on this one.
        """
        below = self._row()
        inner = below is not None and below.column > column
        if row.text == ">-":
            return self._folded(row, column)
        if not _NOTHING.match(f" {row.text}"):
            if inner:
                raise _OtherYamlError
            return _inline(row)
        if not inner and at_dash and below and below.column == column and _is_entry(below.text):
            return self._sequence(below)
        return self._block(column)

    def _folded(self, row: _YamlRow, column: int) -> YamlNode:
        """Read a text of several lines that stand alike."""
        first = self._lines[row.number + 1] if row.number + 1 < len(self._lines) else ""
        indent = len(first) - len(first.lstrip(" "))
        words: list[str] = []
        end = row.number + 1
        for line in self._lines[end:]:
            if len(line) - len(line.lstrip(" ")) < indent and line.strip(" "):
                break
            words.append(line[indent:])
            end += 1
        while words and not words[-1].strip(" "):
            words.pop()
        plain = all(word[:1].strip() and word[-1] != " " for word in words)
        while (below := self._row()) is not None and below.number < end:
            self._at += 1
        if not words or not plain or indent <= column or (below and below.column > column):
            raise _OtherYamlError
        return _scalar(_TEXT, " ".join(words), row, 0)


def _is_entry(text: str) -> bool:
    return text == "-" or text.startswith("- ")


def _inline(row: _YamlRow) -> YamlNode:
    """Return the value that a row is, to its end or to a comment."""
    sign = row.text[0]
    if sign in "'\"[{":
        node, end = _Flow(row).read(0)
        if not _NOTHING.match(row.text, end):
            raise _OtherYamlError
        return node
    text = row.text.partition(" #")[0].rstrip(" ")
    begins = sign.isalnum() or sign in _FIRST or (sign == "-" and text[1:2].strip())
    if not begins or ": " in text or text[-1] == ":":
        raise _OtherYamlError
    return _scalar("plain", text, row, len(text))


class _Flow:
    """Reads a value of one row that may stand in brackets."""

    def __init__(self, row: _YamlRow) -> None:
        self._row, self._text = row, row.text
        self._depth = 0

    def read(self, at: int) -> tuple[YamlNode, int]:
        """Return the value that begins at a character, and where it ends."""
        sign = self._text[at : at + 1]
        if sign in {"[", "{"}:
            self._depth += 1
            if self._depth > _DEEPEST:
                raise _OtherYamlError
            node, end = self._list(at) if sign == "[" else self._pairs(at)
            self._depth -= 1
            return node, end
        row = self._row
        start = row.place(at)
        if match := _QUOTED.match(self._text, at):
            text = match[1] if match[2] is None else match[2]
            end = match.end()
            return _node("scalar", _TEXT, text, start, row.place(end)), end
        match = _IN_FLOW.match(self._text, at)
        if match is None or match[0].rstrip(" ") == "-" or match[0].startswith("- "):
            raise _OtherYamlError
        text = match[0].rstrip(" ")
        end = at + len(text)
        return _node("scalar", "plain", text, start, row.place(end)), end

    def _list(self, at: int) -> tuple[YamlNode, int]:
        start, entries = at, []
        at = self._past(at + 1)
        while self._text[at : at + 1] != "]":
            node, at = self.read(at)
            entries.append(node)
            at = self._next(at, "]")
        return self._whole("sequence", entries, start, at + 1)

    def _pairs(self, at: int) -> tuple[YamlNode, int]:
        start, pairs = at, []
        at = self._past(at + 1)
        while self._text[at : at + 1] != "}":
            match = _KEY.match(self._text, at)
            if match is None:
                raise _OtherYamlError
            end = at + len(match[1])
            key = _node("scalar", "plain", match[1], self._row.place(at), self._row.place(end))
            node, at = self.read(match.end())
            pairs.append((key, node))
            at = self._next(at, "}")
        return self._whole("mapping", pairs, start, at + 1)

    def _whole(self, kind: str, value: Any, start: int, end: int) -> tuple[YamlNode, int]:
        node = _node(kind, _TAGS[kind], value, self._row.place(start), self._row.place(end))
        node.flow_style = True
        return node, end

    def _past(self, at: int) -> int:
        """Return where the next character stands that is no space."""
        while self._text[at : at + 1] == " ":
            at += 1
        return at

    def _next(self, at: int, end: str) -> int:
        """Return where the next entry begins, or the end stands."""
        at = self._past(at)
        sign = self._text[at : at + 1]
        if sign == end:
            return at
        if sign != ",":
            raise _OtherYamlError
        at = self._past(at + 1)
        if self._text[at : at + 1] == end:
            raise _OtherYamlError
        return at


def _node(kind: str, tag: str, value: Any, start: YamlMark, end: YamlMark) -> YamlNode:
    return YamlNode(id=kind, tag=tag, value=value, start_mark=start, end_mark=end)


def _scalar(tag: str, text: str, row: _YamlRow, length: int) -> YamlNode:
    return _node("scalar", tag, text, row.place(), row.place(length))


def _collection(kind: str, value: Any, row: _YamlRow) -> YamlNode:
    return _node(kind, _TAGS[kind], value, row.place(), row.place())
