"""The changes that a stage's failure suggests, tried on the recipe before they are printed."""

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from runner import workflow
from runner.lint import findings, preflight
from runner.plan.compile import Compilation
from runner.plan.model import Plan, Stage
from runner.provenance.origins import Origin, origins
from runner.runs.remedies import Adjustment, Step, assignment, place

if TYPE_CHECKING:
    from runner.base.problems import Problem


class Trial(Struct, kw_only=True, dict=True):
    """A recipe as it was asked for, on which changes are tried by further ``--set`` options.

    A change holds where the recipe with it has no error that it had not before, and its stage has
    the values that the change is for: not where a schedule, a smoke run or another stage decides.
    """

    file: str
    profiles: Sequence[str]
    sets: Sequence[str]
    smoke: bool

    def __call__(self, stage: Stage, steps: Sequence[Step]) -> tuple[Adjustment, ...]:
        """Return the changes that hold together, each with the place that says the value now."""
        before: tuple[Adjustment, ...] = ()
        for step in steps:
            before += next(self.holding(stage, step, before), ())
        return before

    def holding(
        self, stage: Stage, step: Step, before: tuple[Adjustment, ...]
    ) -> Iterator[tuple[Adjustment, ...]]:
        """Yield the changes that hold beside those `before`, the plainest first.

        Where an option gives the var that a value is made of, the var is changed: nothing would
        read it any more beside a value of the stage's own.
        """
        for way in step:
            own = [self.with_source(stage, one) for one in way.changes]
            for changes in (tuple(one for one, _ in own), tuple(two for _, two in own)):
                plan = self.plan_with(stage, (*before, *changes))
                if plan is not None and way.works(plan.stage(stage.name)):
                    yield changes

    def plan_with(self, stage: Stage, changes: Sequence[Adjustment]) -> Plan | None:
        """Return the plan with changes, None if they make an error."""
        more = [assignment(stage, one) for one in changes]
        plan, errors = self.judge(self.compile(more))
        return plan if errors <= self.errors else None

    @cached_property
    def errors(self) -> set[tuple[str, str]]:
        """The errors that the recipe has as it is."""
        return self.judge(self.unchanged)[1]

    @cached_property
    def unchanged(self) -> Compilation:
        """The recipe as it was requested."""
        return self.compile(())

    def compile(self, more: Sequence[str]) -> Compilation:
        """Return the recipe with further options, compiled."""
        environ = dict(os.environ)
        reading = workflow.read(self.file, self.profiles, (*self.sets, *more), environ)
        if reading.recipe is None:
            return replace(self.unchanged, plan=None)
        result = workflow.compile_recipe(reading.recipe, environ)
        return replace(result, problems=[*reading.problems, *result.problems])

    def judge(self, result: Compilation) -> tuple[Plan | None, set[tuple[str, str]]]:
        """Return what would run, and the errors that are in its way."""
        problems: list[Problem] = list(result.problems)
        plan = result.plan
        if plan is not None:
            plan = workflow.shrink(plan) if self.smoke else plan
            problems += findings.rule_problems(result, preflight.facts(plan))
        return plan, {(one.rule, one.message) for one in problems if one.severity == "error"}

    def with_source(self, stage: Stage, change: Adjustment) -> tuple[Adjustment, Adjustment]:
        """Return a change with the place that says the value now, and the same made by a var."""
        row = self.rows.get(place(stage, change))
        if row is None or row.winner is None or row.winner.mark is None:
            return change, change
        trail = [one for one in row.trail if one.mark]
        where = [f"set at {row.winner.mark}", *(f"{one.name} at {one.mark}" for one in trail)]
        own = replace(change, source=", ".join(where))
        same = [o.name for o in trail if o.name.startswith("vars.") and o.value == change.old]
        return own, replace(own, target=same[-1]) if same else own

    @cached_property
    def rows(self) -> dict[str, Origin]:
        """Where each value of the recipe comes from, by the path that changes it."""
        plan = self.unchanged.plan
        each = origins(plan, self.unchanged.resolver) if plan else ()
        return {row.path: row for row in each}
