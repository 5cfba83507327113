"""A value that remembers its place and what it replaced: what documents and recipes are made of."""

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from runner.base.problems import Mark


class Missing:
    """Stands for a value that could not be computed; its own problem is already reported."""

    def __repr__(self) -> str:
        return "(missing)"


MISSING = Missing()


class Node(Struct, kw_only=True):
    """A value and its place; never changed once made.

    `value` is a dict of Nodes, a list of Nodes, or a scalar; `key` the place of its key;
    `over` what this value replaced, so that the chain names every loser; `removed` the ``!reset``
    keys that a mapping no longer has.
    """

    value: Any
    file: str
    line: int
    column: int
    key: tuple[int, int] | None = None
    tag: str = ""
    over: "Node | None" = None
    removed: "dict[str, Node] | None" = None

    @property
    def mark(self) -> Mark:
        """The place of the value."""
        return Mark(file=self.file, line=self.line, column=self.column)

    @property
    def key_mark(self) -> Mark:
        """The place of the key, or of the value if there is none."""
        return Mark.at(self.file, self.key) if self.key else self.mark

    def with_loser(self, over: "Node | None", tag: str) -> "Node":
        """Return the same value with what it replaced and another tag."""
        return replace(self, over=over, tag=tag)

    def get(self, name: str) -> "Node | None":
        """Return the child of a mapping, None if there is none."""
        return self.value.get(name) if isinstance(self.value, dict) else None

    def plain(self) -> Any:
        """Return the plain values below this node."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def unreadable(self) -> bool:
        """Return whether this value, or one inside it, could not be read."""
        if isinstance(self.value, dict):
            return any(child.unreadable() for child in self.value.values())
        if isinstance(self.value, list):
            return any(child.unreadable() for child in self.value)
        return self.value is MISSING

    def losers(self) -> Iterator["Node"]:
        """Yield the values that this one replaced, nearest first."""
        loser = self.over
        while loser is not None:
            yield loser
            loser = loser.over


def locate(node: Node, path: Iterable[str | int]) -> Node:
    """Return the node at `path`, or the nearest one above it."""
    for step in path:
        value = node.value
        if isinstance(value, dict) and step in value:
            node = value[str(step)]
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            node = value[step]
        else:
            break
    return node
