"""A compiled recipe -> the secrets it would write into its plan, script and records."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from runner.core.plan import Compiled
from runner.core.problem import Problem
from runner.core.recipe import Recipe
from runner.core.secret import Mask

_HINT = (
    "take the secret out: the tools read it from the environment, or from 'hf auth login', "
    "themselves"
)


def leaks(result: Compiled, recipe: Recipe, mask: Mask) -> Iterator[Problem]:
    """Yield a problem for each place of the plan that holds a secret; never its value."""
    plan = result.plan
    if plan is None:
        return
    told = set()
    for stage in plan.stages:
        around = {"description": stage.description, "expect": stage.expect, **stage.trainer}
        holding = {**around, **stage.launch, **stage.params}
        if not mask.finds("\n".join(_texts(holding))):
            continue
        draft = result.resolver.drafts[stage.name]
        for name, value in holding.items():
            if any(map(mask.finds, _texts(value))):
                node = draft.given.get(name) or draft.node.get(name) or draft.node.get("launch")
                node = node or draft.node
                told.add(node.mark)
                yield Problem(node.mark, f"'{name}' would write a secret down", "secret", _HINT)
    for name, node in recipe.section("vars").items():
        if name in plan.vars and any(map(mask.finds, _texts(plan.vars[name]))) and not told:
            yield Problem(node.mark, f"vars.{name} would write a secret down", "secret", _HINT)
    for name, value in {"description": plan.description, "track": plan.track}.items():
        said = recipe.tree.get(name)
        if said is not None and any(map(mask.finds, _texts(value))):
            yield Problem(said.mark, f"'{name}' would write a secret down", "secret", _HINT)


def masked(problems: Iterable[Problem], mask: Mask) -> list[Problem]:
    """Return problems whose words hold no secret."""
    return [
        replace(
            one,
            message=mask.text(one.message),
            hint=mask.text(one.hint),
            notes=tuple((mark, mask.text(said)) for mark, said in one.notes),
        )
        for one in problems
    ]


def _texts(value: Any) -> list[str]:
    found, waiting = [], [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            found.append(one)
        elif isinstance(one, Mapping):
            found += map(str, one)
            waiting += one.values()
        elif isinstance(one, list | tuple):
            waiting += one
    return found
