"""A refused value that a template made -> the problem at the user's own values it was made of."""

import re
from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from msgspec.structs import replace

from runner.base.constants import BUILTIN
from runner.base.problems import Mark, Problem, as_yaml
from runner.catalog.validate import Violation
from runner.plan.inheritance import Draft
from runner.plan.resolve import Resolver
from runner.recipe.load import Recipe
from runner.recipe.merge import ENVIRONMENT, SET
from runner.recipe.node import Node, locate
from runner.recipe.template import render
from runner.recipe.template.sandbox import TemplateError

MAX_PARTS = 100
"""Values behind a refused one that are looked at, the nearest first."""
_NAME = r"\s*([A-Za-z_][\w.]*)\s*"
_DIFFERENCE = re.compile(rf"{_NAME}(?://{_NAME})?-{_NAME}\Z")
_HOLE = re.compile(r"\{(\w+)\}")


class Ingredient(NamedTuple):
    """A var or parameter that a value was made of: its name and the node that says it."""

    name: str
    node: Node

    @property
    def note(self) -> tuple[Mark, str]:
        """The place that sets it, as a problem's note."""
        return self.node.mark, f"{self.name} is {as_yaml(self.node.value)} here"


def parts(resolver: Resolver, draft: Draft, at: Node) -> list[Ingredient]:
    """Return the vars and parameters that a stage's value was computed from, with their places."""
    ingredients = []
    made = resolver.fill(at, draft.name)
    for use in sorted(islice(resolver.behind(made), MAX_PARTS)):
        node = None
        if use[0] == "vars":
            node = locate(resolver.recipe.tree, use)
        elif use[0] == "stages" and use[2] == "params":
            node = resolver.drafts[use[1]].params.get(use[3])
        if node is not None and not isinstance(node.value, dict | list):
            ingredients.append(Ingredient(".".join(use), node))
    return ingredients


def distance(recipe: Recipe, file: str) -> int:
    """Return how far a file is from the user: 0 for the recipe's own, 2 for a shipped one."""
    if file in {recipe.file, SET, ENVIRONMENT}:
        return 0
    return 2 if file.startswith(BUILTIN) else 1


def nearest(recipe: Recipe, marks: Iterable[Mark], mark: Mark) -> Mark | None:
    """Return which of these places is the user's own, where `mark` is in a file further away."""
    candidates = sorted(marks, key=lambda one: distance(recipe, one.file))
    closer = candidates and distance(recipe, candidates[0].file) < distance(recipe, mark.file)
    return candidates[0] if closer else None


def is_computed(node: Node) -> bool:
    """Return whether a node computes its value, and does not only pass on another one."""
    if not isinstance(node.value, str) or not render.is_template(node.value):
        return False
    try:
        segments = render.pieces(node.value)
    except TemplateError:
        return False
    whole = segments[0] if len(segments) == 1 else None
    return not isinstance(whole, render.Expression) or not re.fullmatch(_NAME, whole.text)


def at_source(
    problem: Problem, violation: Violation, draft: Draft, at: Node, resolver: Resolver
) -> Problem:
    """Return the problem of a computed value at the nearest of the user's values behind it.

    It stays where it is if its template is no further away than they are.
    """
    ingredients = parts(resolver, draft, at)
    mark = nearest(resolver.recipe, (part.node.mark for part in ingredients), problem.mark)
    if mark is None:
        return problem
    others = [part.note for part in ingredients if part.node.mark != mark]
    here = (at.mark, f"set here: {at.value}")
    problem = replace(problem, mark=mark, notes=(here, *others))
    if not is_computed(at):
        return replace(problem, hint=violation.hint)
    names = [_short_name(part.name, draft) for part in ingredients if not is_computed(part.node)]
    hint = f"it is computed from {' and '.join(names)}: change one of them"
    return _short(replace(problem, hint=hint), violation, draft, at, resolver)


def _short(
    problem: Problem, violation: Violation, draft: Draft, at: Node, resolver: Resolver
) -> Problem:
    """Say of a difference of two values that one is too small for the other.

    The first may be counted in groups, as iterations are whose gradients make one update.
    """
    fits = _DIFFERENCE.match(str(at.value).strip().removeprefix("{{").removesuffix("}}"))
    if not fits or not violation.short:
        return problem
    whole, group, part = fits[1], fits[2], fits[3]
    values = {
        name: resolver.fill(replace(at, value=f"{{{{ {name} }}}}"), draft.name).value
        for name in (whole, part, group)
        if name
    }
    if not all(isinstance(value, int | float) for value in values.values()):
        return problem
    by = values.get(group, 1)
    words = {name.rpartition(".")[2]: as_yaml(values[name]) for name in (whole, part)}
    more, less = (_short_name(name, draft) for name in (whole, part))
    by_budget = more == "iters" and draft.node.get("budget") is not None
    enough, room = values[part] * by + by - 1, values[whole] // by
    up = "raise epochs" if by_budget else f"raise {more} above {as_yaml(enough)}"
    hint = f"{up}, or set {less} below {as_yaml(room)}" if room > 0 else up
    if set(_HOLE.findall(violation.short)) != words.keys():
        return replace(problem, hint=hint)
    group_note = f": {_short_name(group, draft)} is {by}" if by != 1 else ""
    return replace(problem, message=violation.short.format_map(words) + group_note, hint=hint)


def _short_name(name: str, draft: Draft) -> str:
    """Return a value's name as it is written: a parameter of the stage itself by its own."""
    own = f"stages.{draft.name}.params."
    return name.removeprefix("stage.params.").removeprefix(own)
