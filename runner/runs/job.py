"""The description of an upcoming run, as a value."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from runner.runs.remedies import Adjustment, Step

if TYPE_CHECKING:
    from runner.plan.compile import Compilation
    from runner.plan.model import Plan, Stage
    from runner.runs.manifest import Manifest

Advise = Callable[["Stage", Sequence[Step]], tuple[Adjustment, ...]]
"""A failed stage and the ways out of it -> the changes that hold."""


def plainest(_: "Stage", steps: Sequence[Step]) -> tuple[Adjustment, ...]:
    """Return the plainest changes, of a plan whose recipe is not known."""
    return tuple(change for step in steps for change in step[0].changes)


class Search(Struct, frozen=True, kw_only=True):
    """Where results are looked for that may be taken: in a run's own `runs`, and in `more` folders.

    A `fresh` run takes none. With `explain` it is found out what differs where none can be taken.
    """

    fresh: bool = False
    more: tuple[Path, ...] = ()
    explain: bool = False


class Job(Struct, frozen=True, kw_only=True):
    """Stages of a plan that are to run: in a new run below `runs`, or on from the run `before`.

    `compilation` is what the plan was made of, None for a plan alone: nobody can hold that against
    the lines of its recipe. With `trust` leave is given for what it lets others do, with
    `trust_tools` for the tools that it brings along. `options` are the words that asked for it,
    `advise` knows which changes help a stage that fails, `folders` are those of pinned names of the
    hub, by variable.
    `search` says whose finished stages may be taken. With `anew` the run `before` stays as it is:
    where something of it is to run again, a new run takes over the rest. `label` is how the name
    of a new run ends.
    """

    plan: "Plan"
    names: tuple[str, ...]
    runs: Path
    before: "Manifest | None" = None
    compilation: "Compilation | None" = None
    trust: bool = False
    trust_tools: bool = False
    options: tuple[str, ...] = ()
    folders: Mapping[str, str] = field(default_factory=dict)
    search: Search = field(default_factory=Search)
    anew: bool = False
    label: str = ""
    advise: Advise = plainest
