"""What is found in a compiled recipe: by the rules, in the rows it reads, on this disk."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from runner.base.errors import InvalidRecipeError
from runner.base.problems import NOTE, Problem, answering, pictures, sort_problems
from runner.catalog import load, project
from runner.catalog.tools import Catalog
from runner.lint import rule
from runner.lint.facts import DiskFacts
from runner.lint.rule import View
from runner.plan.compile import Compilation
from runner.plan.model import Plan
from runner.system.gc_paused import resting

if TYPE_CHECKING:
    from runner.lint.forecast import Forecast


_TOOL, _MOVES = "tool-would-stop", "moving-target"


class Findings(Struct, frozen=True, kw_only=True):
    """What was found before a run: `problems` that do not stop it, and `notes`, a line each.

    `sources` are the texts that pictures of the problems show.
    """

    problems: Sequence[Problem] = ()
    notes: Sequence[str] = ()
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def lines(self) -> list[str]:
        """All of it, as a run's page keeps it."""
        return [*pictures(self.problems, self.sources), *self.notes]


def views_of(result: Compilation) -> list[View]:
    """Return what forecasts see of each stage, with what this disk knows."""
    from runner.lint import preflight  # most recipes compile without the disk

    facts = preflight.disk_facts(result.plan) if result.plan else DiskFacts()
    return list(rule.views(result, _catalog(result), facts))


def forecasts(result: Compilation, smaller: Plan | None = None) -> "list[Forecast]":
    """Return what each training of a compiled recipe amounts to, or of a smoke plan made of it."""
    from runner.lint.forecast import forecast  # a dry run needs none of it

    at_scale = replace(result, plan=smaller) if smaller else result
    return [estimate for view in views_of(at_scale) if (estimate := forecast(view))]


def all_problems(
    result: Compilation,
    stages: Collection[str] | None = None,
    *,
    plan: Plan | None = None,
    outputs: Collection[str] = (),
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[Problem]:
    """Return what the rules and the data checks find; in a smoke `plan` the models are left out.

    With `stages`, which are about to run, only the data of these is looked at, and must be there.
    `outputs` are those that may be there: a run does not write them, or made them itself before.
    More than one worker are processes for large data sets, as ``dataset.check`` says.
    """
    from runner.lint import preflight  # a dry run needs none of it

    if result.plan is None:
        return []
    coming = plan or result.plan
    rows = preflight.rows(
        result.plan,
        stages,
        here=project.of(result.plan.file),
        smoke=coming.smoke,
        workers=workers,
        progress=progress,
    )
    preflight.ask(coming, rows, stages, workers=workers, own=outputs)
    facts = rows.add_to(preflight.facts(coming))
    existing = facts.existing - set(outputs)
    facts = replace(facts, existing=existing, starting=frozenset(stages or ()))
    return once([*rule_problems(result, facts), *rows.problems])


def once(problems: Sequence[Problem]) -> list[Problem]:
    """Return problems in order, without those of which another at the same place says more."""
    # A rule says the reason where a note does not, nor the tool that would stop.
    errors = {one.mark for one in problems if one.severity == "error" and one.rule != _TOOL}
    # That a name moves is no reason why nobody could look.
    marks = {one.mark for one in problems if one.severity != NOTE and one.rule != _MOVES}
    return sort_problems(
        one
        for one in problems
        if one.mark not in (marks if one.severity == NOTE else errors if one.rule == _TOOL else ())
    )


@answering()
@resting()
def rule_problems(result: Compilation, facts: DiskFacts | None = None) -> list[Problem]:
    """Return what the rules find in a compiled recipe, with what is known of its files."""
    return rule.problems(result, _catalog(result), facts)


def _catalog(result: Compilation) -> Catalog:
    return load.catalog(result.plan.tools if result.plan else {})


def refuse(problems: Sequence[Problem], sources: Mapping[str, str]) -> list[Problem]:
    """Return the warnings. Raises InvalidRecipeError if there are errors."""
    if any(problem.severity == "error" for problem in problems):
        raise InvalidRecipeError(problems, sources)
    return list(problems)
