"""The paths that stages write: no two the same, none inside another, none that the stage reads."""

from collections.abc import Iterator, Sequence

from runner.core.draft import Draft
from runner.core.naming import normal, upward
from runner.core.plan import Stage
from runner.core.problem import Problem
from runner.core.reading import readings
from runner.core.resolve import Resolver

_HINT = "leave the path out: each stage then has a folder of its own"


def collisions(stages: Sequence[Stage], resolver: Resolver) -> Iterator[Problem]:
    """Yield a problem where a stage writes what another one writes, or what it reads itself."""
    owner: dict[str, str] = {}
    for stage in stages:
        draft = resolver.drafts[stage.name]
        if stage.name not in stage.after:  # else it is told as a circle
            yield from _overwritten(stage, resolver)
        told: set[str] = set()
        for name, path in stage.outputs.items():
            whole = normal(path)
            first = owner.setdefault(whole, stage.name)
            if first not in {stage.name, *told}:
                told.add(first)
                why = f"stage '{stage.name}' writes '{path}', as stage '{first}' does"
                yield _problem(draft, name, why)
    for stage in stages:
        own = stage.name
        for name, path in stage.outputs.items():
            whole = normal(path)
            above = next((one for one in upward(whole) if owner.get(one, own) != own), None)
            if above is not None and owner[whole] == own and name in _said(stage, resolver):
                other = owner[above]
                why = f"stage '{stage.name}' writes '{path}' inside '{above}' of stage '{other}'"
                yield _problem(resolver.drafts[stage.name], name, why)


def _said(stage: Stage, resolver: Resolver) -> set[str]:
    """Return the outputs whose path is a parameter."""
    tool = resolver.drafts[stage.name].tool
    return {name for name, output in (tool.outputs if tool else {}).items() if output.param}


def _overwritten(stage: Stage, resolver: Resolver) -> Iterator[Problem]:
    """Yield a problem for the first path that a stage both reads and writes."""
    made = {normal(path): name for name, path in stage.outputs.items()}
    for parameter, _, path in readings(stage, resolver.catalog):
        name = made.get(normal(path))
        if name is not None:
            why = f"stage '{stage.name}' writes '{path}', which it reads as {parameter}"
            yield _problem(resolver.drafts[stage.name], name, why)
            return


def _problem(draft: Draft, output: str, why: str) -> Problem:
    """Return a problem at the parameter that says an output's path, else at the stage."""
    known = draft.tool.outputs[output] if draft.tool else None
    said = draft.given.get(known.param) if known and known.param else None
    mark = said.mark if said is not None else draft.node.key_mark
    return Problem(mark, why, "same-output", _HINT)
