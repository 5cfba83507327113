"""Edits of a recipe's text at a place: what a person does who follows a hint with an editor.

Places are those of problems: lines and columns from 1. What is YAML is edited by its nodes; a text
that is no YAML, and an option on the command line, by its letters.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import yaml


@dataclass(frozen=True)
class Pair:
    """A key and its value, or an entry of a list (no key), with what they stand in."""

    key: yaml.Node | None
    value: yaml.Node
    within: yaml.Node | None
    above: "Pair | None" = None

    @property
    def start(self) -> int:
        return (self.key or self.value).start_mark.index


def offset(text: str, line: int, column: int) -> int:
    """Return where a place is in a text."""
    rows = text.splitlines(keepends=True)
    return sum(map(len, rows[: line - 1])) + column - 1


def pairs(text: str) -> Iterator[Pair]:
    """Yield every key and entry of a YAML text, those around before those inside."""
    try:
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError:
        return
    if root is not None:
        yield from _below(Pair(None, root, None))


def _below(pair: Pair) -> Iterator[Pair]:
    yield pair
    if isinstance(pair.value, yaml.MappingNode):
        for key, value in pair.value.value:
            yield from _below(Pair(key, value, pair.value, pair))
    elif isinstance(pair.value, yaml.SequenceNode):
        for value in pair.value.value:
            yield from _below(Pair(None, value, pair.value, pair))


def at(text: str, line: int, column: int) -> Pair | None:
    """Return the innermost pair whose key or value begins at a place."""
    index = offset(text, line, column)
    starts = [p for p in pairs(text) if index in {p.start, p.value.start_mark.index}]
    return starts[-1] if starts else None


def child(text: str, pair: Pair, name: str) -> Pair | None:
    """Return a mapping's pair of a name."""
    return next(
        (p for p in pairs(text) if p.within is pair.value and p.key and p.key.value == name), None
    ) or next(
        (
            p
            for p in pairs(text)
            if p.above
            and p.above.start == pair.start
            and p.above.value.start_mark.index == pair.value.start_mark.index
            and p.key is not None
            and p.key.value == name
        ),
        None,
    )


def ending(text: str, node: yaml.Node) -> int:
    """Return where a node's text ends, without the white space and comments that follow it."""
    end = node.end_mark.index
    while True:
        kept = text[:end].rstrip()
        row = kept[kept.rfind("\n") + 1 :]
        if row.lstrip().startswith("#"):
            end = kept.rfind("\n") + 1
            continue
        return max(len(kept), node.start_mark.index)


def said(text: str, node: yaml.Node) -> str:
    """Return a node as it is written."""
    return text[node.start_mark.index : ending(text, node)]


def value(text: str, pair: Pair, new: str) -> str:
    """Write another value."""
    start, end = pair.value.start_mark.index, ending(text, pair.value)
    gap = " " if pair.key is not None and text[start - 1] == ":" else ""
    if start == end and pair.key is not None:  # an empty value ends behind its colon
        start = end = text.index(":", ending(text, pair.key)) + 1
        gap = " "
    tag = re.search(r"![A-Za-z]+[ \t]*\Z", text[:start])
    start -= len(tag[0]) if tag else 0
    return f"{text[:start]}{gap}{new}{text[end:]}"


def rename(text: str, pair: Pair, new: str) -> str:
    """Write another key."""
    assert pair.key is not None
    return text[: pair.key.start_mark.index] + new + text[ending(text, pair.key) :]


def remove(text: str, pair: Pair) -> str:
    """Take a key and its value, or an entry, out; the lines of a block, or what a comma ends."""
    start, end = pair.start, max(ending(text, pair.value), ending(text, pair.key or pair.value))
    if pair.key is not None and end <= ending(text, pair.key) and text[end : end + 1] == ":":
        end += 1
    if pair.within is not None and pair.within.flow_style:
        after = re.match(r"\s*,\s*", text[end:])
        if after:
            return text[:start] + text[end + after.end() :]
        before = re.search(r"\s*,\s*\Z", text[:start])
        return text[: before.start() if before else start] + text[end:]
    start = text.rfind("\n", 0, start) + 1
    end = text.find("\n", end) + 1 or len(text)
    rest = text[:start] + text[end:]
    if pair.within is not None and len(pair.within.value) == 1:  # a mapping of nothing is {}
        rest = text[:start].rstrip() + " {}\n" + text[end:]
    return rest


def insert(text: str, mapping: yaml.Node, key: str, new: str) -> str:
    """Write one more key at the beginning of a mapping."""
    start = mapping.start_mark.index
    if isinstance(mapping, yaml.MappingNode) and mapping.flow_style:
        comma = ", " if mapping.value else ""
        return f"{text[: start + 1]}{key}: {new}{comma}{text[start + 1 :]}"
    if not isinstance(mapping, yaml.MappingNode):  # nothing stands there yet
        return f"{text[:start].rstrip()} {{{key}: {new}}}{text[ending(text, mapping) :]}"
    indent = " " * mapping.start_mark.column
    return f"{text[:start]}{key}: {new}\n{indent}{text[start:]}"


def put(text: str, find: Callable[[], Pair | None], path: list[str], new: str) -> str:
    """Write a value at a path below a pair, making the mappings on the way."""
    pair = find()
    assert pair is not None
    for count, name in enumerate(path):
        inside = child(text, pair, name)
        if inside is None:
            for outer in reversed(path[count + 1 :]):
                new = f"{{{outer}: {new}}}"
            return insert(text, pair.value, name, new)
        pair = inside
    return value(text, pair, new)


def letters(text: str, index: int, old: str, new: str) -> str | None:
    """Replace a word's next occurrence on the line of `index`, None where it is not there."""
    end = text.find("\n", index)
    end = len(text) if end < 0 else end
    found = text.find(old, index, end)
    if found < 0:
        found = text.find(old, text.rfind("\n", 0, index) + 1, end)
    if found < 0:
        found = text.find(old, index)
    return None if found < 0 else text[:found] + new + text[found + len(old) :]
