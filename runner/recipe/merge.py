"""Layers of a tree in, one tree out: what is above wins, ``!reset`` and ``!override`` hold."""

from collections.abc import Collection

from msgspec.structs import replace

from runner.base.problems import Problem, suggest
from runner.recipe.node import Node

ENVIRONMENT = "environment"
SET = "--set"


def merge(below: Node, above: Node) -> Node:
    """Return `above` laid over `below`: mappings deep, everything else replaced.

    A mapping with ``!override``, or said again after a ``!reset``, hides whatever is still below,
    so it keeps that tag.
    """
    if above.tag or not (isinstance(above.value, dict) and isinstance(below.value, dict)):
        tag = above.tag or ("override" if below.tag else "")
        return above.laid(_last(above, below), tag)
    merged = dict(below.value)
    for key, child in above.value.items():
        merged[key] = merge(merged[key], child) if key in merged else child
    # What an option adds to a mapping does not move the mapping out of its file.
    base = below if above.file in {SET, ENVIRONMENT} else above
    # The line that hides what is still below it stays known as the one that does.
    hidden = replace(below, value={}) if below.tag or below.over else None
    over = above.over if hidden is None else _last(above, hidden)
    removed = {**(below.removed or {}), **(above.removed or {})}
    left = {key: child for key, child in removed.items() if key not in merged}
    return replace(base, value=merged, tag=below.tag, over=over, removed=left or None)


def settle(node: Node, problems: list[Problem], keep: Collection[str] = ()) -> Node:
    """Return the tree without its ``!reset`` keys; one that removes nothing is a problem.

    What stands under the keys of `keep` is left as it is; what is removed stays known.
    """
    if not isinstance(node.value, dict):
        return node
    kept, removed = {}, dict(node.removed or {})
    known: list[str] = []
    for key, child in node.value.items():
        if child.tag != "reset":
            kept[key] = child if key in keep else settle(child, problems)
        elif child.over is None:
            known = known or [name for name, one in node.value.items() if one.tag != "reset"]
            why = f"!reset removes nothing: no '{key}' is inherited here"
            hint = suggest(key, known, "remove this line")
            problems.append(
                Problem(mark=child.key_mark, message=why, rule="reset-nothing", hint=hint)
            )
        else:
            removed[key] = child
    same = len(kept) == len(node.value) and all(kept[key] is node.value[key] for key in kept)
    return node if same else replace(node, value=kept, removed=removed or None)


def _last(above: Node, below: Node) -> Node:
    """Return the loser chain of `above`, `below` at its end."""
    return below if above.over is None else replace(above.over, over=_last(above.over, below))
