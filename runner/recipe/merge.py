"""Layers of a tree in, one tree out: what is above wins, ``!reset`` and ``!override`` hold."""

from collections.abc import Collection

from msgspec.structs import replace

from runner.base.problems import Problem, suggest
from runner.recipe.node import Node

ENVIRONMENT = "environment"
SET = "--set"


def merge(below: Node, above: Node) -> Node:
    """Return `above` merged over `below`: mappings deeply, everything else replaced.

    A mapping with ``!override``, or set again after a ``!reset``, hides everything below, so it
    keeps that tag.
    """
    if above.tag or not (isinstance(above.value, dict) and isinstance(below.value, dict)):
        tag = above.tag or ("override" if below.tag else "")
        return above.with_loser(_last(above, below), tag)
    children = dict(below.value)
    for key, child in above.value.items():
        children[key] = merge(children[key], child) if key in children else child
    # What an option adds to a mapping does not move the mapping out of its file.
    base = below if above.file in {SET, ENVIRONMENT} else above
    # The line that hides what is still below it stays known as the one that does.
    loser = replace(below, value={}) if below.tag or below.over else None
    over = above.over if loser is None else _last(above, loser)
    removed = {**(below.removed or {}), **(above.removed or {})}
    resets = {key: child for key, child in removed.items() if key not in children}
    return replace(base, value=children, tag=below.tag, over=over, removed=resets or None)


def settle(node: Node, problems: list[Problem], keep: Collection[str] = ()) -> Node:
    """Return the tree without its ``!reset`` keys; one that removes nothing is a problem.

    What is under the keys of `keep` is left as it is; what is removed stays known.
    """
    if not isinstance(node.value, dict):
        return node
    inside = [
        key
        for key, child in node.value.items()
        if child.tag == "reset" or (isinstance(child.value, dict) and key not in keep)
    ]
    children, removed = dict(node.value), dict(node.removed or {})
    names: list[str] = []
    for key in inside:
        child = children[key]
        if child.tag != "reset":
            children[key] = settle(child, problems)
            continue
        del children[key]
        if child.over is not None:
            removed[key] = child
            continue
        names = names or [name for name, one in node.value.items() if one.tag != "reset"]
        why = f"!reset has no effect: no '{key}' is inherited here"
        hint = suggest(key, names, "remove this line")
        problems.append(Problem(mark=child.key_mark, message=why, rule="reset-nothing", hint=hint))
    same = len(children) == len(node.value) and all(
        children[key] is node.value[key] for key in inside
    )
    return node if same else replace(node, value=children, removed=removed or None)


def _last(above: Node, below: Node) -> Node:
    """Return the loser chain of `above`, `below` at its end."""
    return below if above.over is None else replace(above.over, over=_last(above.over, below))
