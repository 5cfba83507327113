"""A recipe -> its size, and which part of it exceeds a limit.

Every recipe is answered in seconds or refused here, because work grows with these numbers.
"""

from collections.abc import Iterator, Mapping

from runner.base.problems import Problem
from runner.recipe.node import Node

MAX_FILES = 200
"""Files of a recipe: itself and what it extends, and what those extend."""
MAX_STAGES = 5_000
MAX_PROFILES = 1_000
MAX_CASES = 1_000
MAX_OVERRIDES = 1_000
"""Stages and profiles of a recipe, cases of a test file, values laid over a recipe."""
MAX_EXPECT = 5_000
MAX_VALUES = 600_000
"""Values that the stages of a recipe hold, with what they inherit; a list is as many as it has."""
MAX_TRIED = 100_000
"""The same, over every profile or case that one `check` looks at; each is as much work as EACH."""
EACH = 50
MAX_LAID = 10_000_000
"""Values laid over a recipe, times the values that it has."""


_HOLDING = {dict, list}


def count(node: Node) -> int:
    """Return how many values a node is."""
    total, waiting = 1, [node.value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            total += len(value)
            waiting += [one.value for one in value.values() if type(one.value) in _HOLDING]
        elif isinstance(value, list):
            total += len(value)
            waiting += [one.value for one in value if type(one.value) in _HOLDING]
    return total


def too_large(tree: Node, options: int) -> Iterator[Problem]:
    """Yield what a recipe has too much of; `options` are the overrides."""
    limits = (
        ("stages", len(_children(tree, "stages")), MAX_STAGES),
        ("profiles", len(_children(tree, "profiles")), MAX_PROFILES),
        ("overrides", options, MAX_OVERRIDES),
        ("lines of 'expect'", _expectations(tree), MAX_EXPECT),
    )
    for what, number, limit in limits:
        if number > limit:
            yield beyond(tree, f"this recipe has {number:,} {what}", limit)
            return
    if options > EACH and (work := options * count(tree)) > MAX_LAID:
        yield beyond(tree, f"{options:,} overrides of such a large recipe are {work:,}", MAX_LAID)


def too_often(tree: Node, what: str, number: int, size: int, hint: str) -> Problem | None:
    """Return the problem of compiling a recipe of `size` values too often, None if it is not.

    `what` names the repetitions, such as ``profiles``.
    """
    whole = number * (size + EACH)
    if whole <= MAX_TRIED:
        return None
    reason = f"{number:,} {what} of a recipe with {size:,} values make {whole:,} values to check"
    return beyond(tree, reason, MAX_TRIED, hint)


def beyond(node: Node, what: str, limit: int, hint: str = "split it") -> Problem:
    """Return the problem of what is more than `limit`."""
    return Problem(
        mark=node.mark, message=f"{what}; the limit is {limit:,}", rule="too-large", hint=hint
    )


def _expectations(tree: Node) -> int:
    lists = (stage.get("expect") for stage in _children(tree, "stages").values())
    return sum(len(one.value) for one in lists if one is not None and isinstance(one.value, list))


def _children(tree: Node, name: str) -> Mapping[str, Node]:
    node = tree.get(name)
    return node.value if node is not None and isinstance(node.value, dict) else {}
