"""A budget of epochs and the rows of a stage's data in, its iterations out."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from runner.base.problems import Problem, plural
from runner.catalog.tools import Tool
from runner.plan.inheritance import Budget
from runner.plan.model import Plan
from runner.recipe.node import Node

if TYPE_CHECKING:
    from fractions import Fraction


class Counted(Struct, frozen=True, kw_only=True):
    """The rows that a training of a data set reads, None if they are not known here.

    `data` is the data set; one that is `absent` is a folder of this disk that is not there.
    """

    data: str
    rows: int | None
    absent: bool = False


Rows = Callable[[str, Plan], Counted]
"""A data set ("" for one of the hub) and the stages that make data -> its rows."""


def whole_iterations(rows: int, batch_size: int, epochs: "Fraction") -> int | None:
    """Return the iterations of this many epochs, or None if they are not a whole number."""
    exact = epochs * (rows // batch_size)
    return int(exact) if exact.denominator == 1 and exact > 0 else None


def iterations(
    budget: Budget, epochs: Any, *, train: Any, batch: Any, data: Counted
) -> tuple[int | None, Problem | None]:
    """Return the iterations that a budget means; where it means none, None and the problem.

    What is of a wrong type is reported elsewhere, and here is neither.
    """
    numbers = type(batch) is int and batch > 0 and type(epochs) in {int, float} and epochs > 0
    if not numbers or not isinstance(train, bool):
        return None, None
    if not train:
        return None, no_training(budget.epochs)
    rows, rule, result = data.rows, "budget-not-exact", None
    if budget.iters is not None:
        why = f"'iters' is also set, at {budget.iters.mark}"
        hint = "set only one of them; if iters is inherited, !reset it"
    elif rows is None:
        rule = "budget-no-rows"
        why = "the length of an epoch is unknown: the rows of this stage's data are not known here"
        if data.absent:
            why = f"the length of an epoch is unknown: there is no folder '{data.data}' here"
        hint = "set iters, or name a folder on this disk"
    elif rows < batch:
        why = f"{plural(rows, 'row')} do not fill a batch of {batch}: an epoch has no iteration"
        hint = f"use a batch_size of at most {rows}" if rows else "add rows"
    else:
        from fractions import Fraction  # most recipes have no budget

        result = whole_iterations(rows, batch, Fraction(str(epochs)))
        whole = rows // batch
        batches = "one batch" if whole == 1 else f"{whole} batches"
        why = f"{epochs} epochs of {batches} are {epochs * whole:g} iterations"
        hint = "choose epochs that give a whole number of iterations"
    if result is not None:
        return result, None
    return None, Problem(mark=budget.epochs.mark, message=why, rule=rule, hint=hint)


def no_training(budget: Node, tool: Tool | None = None) -> Problem:
    """Return the problem of a budget where no epoch can be counted: without a training, or rows."""
    why, hint = "this stage does not train, so it has no epochs", "remove the budget"
    if tool is not None and tool.trains is not None:
        why = f"only {tool.name} knows how many rows an epoch of it has"
        hint = f"set {tool.trains.iterations} instead"
    return Problem(mark=budget.mark, message=why, rule="budget-not-exact", hint=hint)
