"""A compiled recipe -> the secrets it would write into its plan, script and records."""

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec.structs import replace

from runner.base.problems import Mark, Problem
from runner.base.secrets import Mask
from runner.plan.compile import Compilation
from runner.plan.model import Plan, Stage
from runner.recipe.load import Recipe

_HINT = "remove the secret: the tools read it from the environment or from 'hf auth login'"


def leaks(result: Compilation, recipe: Recipe, mask: Mask) -> Iterator[Problem]:
    """Yield a problem for each place of the plan that holds a secret; never its value."""
    if result.plan is not None:
        in_stages = list(_of_stages(result, mask))
        yield from in_stages
        yield from _of_recipe(result.plan, recipe, mask, in_stages=bool(in_stages))


def _of_stages(result: Compilation, mask: Mask) -> Iterator[Problem]:
    stages = result.plan.stages if result.plan else ()
    every = {text for stage in stages for text in _texts(_holding(stage))}
    if not mask.finds("\n".join(sorted(every))):
        return  # stages mostly hold the same: of thousands each alone takes a second
    for stage in stages:
        holding = _holding(stage)
        if not mask.finds("\n".join(_texts(holding))):
            continue
        draft = result.resolver.drafts[stage.name]
        for name, value in holding.items():
            if any(map(mask.finds, _texts(value))):
                node = draft.params.get(name) or draft.node.get(name) or draft.node.get("launch")
                node = draft.node if node is None or name == "name" else node
                yield _leak(node.mark, f"'{name}'")


def _holding(stage: Stage) -> dict[str, Any]:
    """Return what a stage writes down, by the name of its place."""
    own = {"name": stage.name, "description": stage.description, "expect": stage.expect}
    return {**own, **stage.trainer, **stage.launch, **stage.params}


def _of_recipe(plan: Plan, recipe: Recipe, mask: Mask, *, in_stages: bool) -> Iterator[Problem]:
    for name, node in recipe.section("vars").items():
        if name in plan.vars and any(map(mask.finds, _texts(plan.vars[name]))) and not in_stages:
            yield _leak(node.mark, f"vars.{name}")
    whole = {"name": plan.name, "description": plan.description, "track": plan.track}
    for name, value in whole.items():
        if any(map(mask.finds, _texts(value))):
            yield _leak((recipe.tree.get(name) or recipe.tree).mark, f"'{name}'")
    if Mask(()).finds(plan.file):  # a folder may be called as a password is
        yield _leak(recipe.tree.mark, "the file's name", "rename it")


def _leak(mark: Mark, what: str, hint: str = _HINT) -> Problem:
    return Problem(mark=mark, message=f"{what} would store a secret", rule="secret", hint=hint)


def mask_problems(problems: Iterable[Problem], mask: Mask) -> list[Problem]:
    """Return problems whose words hold no secret."""
    whole_list = list(problems)
    whole = "\n".join(words for one in whole_list for words in _words(one))
    if mask.text(whole) == whole:
        return whole_list  # looked at in one piece: of thousands each alone takes a second
    return [
        replace(
            one,
            message=mask.text(one.message),
            hint=mask.text(one.hint),
            notes=tuple((mark, mask.text(words)) for mark, words in one.notes),
        )
        for one in whole_list
    ]


def _words(problem: Problem) -> Iterator[str]:
    yield from (problem.message, problem.hint)
    yield from (text for _, text in problem.notes)


def _texts(value: Any) -> list[str]:
    texts, waiting = [], [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            texts.append(one)
        elif isinstance(one, dict | list | tuple):
            texts += map(str, one) if isinstance(one, dict) else ()
            waiting += one.values() if isinstance(one, dict) else one
    return texts
