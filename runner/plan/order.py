"""Stages that wait for each other in, the order they run in out."""

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence

from msgspec.structs import replace

from runner.base.constants import normal, upward
from runner.base.problems import Problem
from runner.catalog.tools import Catalog
from runner.plan.inheritance import Draft
from runner.plan.inputs import readings
from runner.plan.model import Plan, Stage
from runner.plan.resolve import Resolver


def following(stages: Sequence[Stage], catalog: Catalog) -> list[Stage]:
    """Return the stages so that each also waits for earlier ones whose outputs it names by path.

    A path that is written out, or is in a var, counts like a reference.
    """
    owner: dict[str, str] = {}
    result = []
    for stage in stages:
        read = (one.path for one in readings(stage, catalog))
        makers = {maker for path in read if (maker := _maker(path, owner))}
        if not makers <= {*stage.after, stage.name}:
            names = {*stage.after, *makers} - {stage.name}
            after = tuple(one.name for one in stages if one.name in names)
            result.append(replace(stage, after=after))
        else:
            result.append(stage)
        for path in stage.outputs.values():
            owner.setdefault(normal(path), stage.name)
    return result


def _maker(path: str, owner: Mapping[str, str]) -> str | None:
    """Return the stage that makes a path, or the folder it lies in."""
    return next((owner[one] for one in upward(path) if one in owner), None)


def in_order(stages: Sequence[Stage]) -> tuple[list[Stage], list[str]]:
    """Return the stages so that each follows those it waits for, else as they are written.

    The second value is one cycle of stages that wait for each other, empty if there is none.
    """
    number = {stage.name: at for at, stage in enumerate(stages)}
    waits = {stage.name: set(stage.after) for stage in stages}
    followers: dict[str, list[str]] = {stage.name: [] for stage in stages}
    for stage in stages:
        for name in stage.after:
            followers[name].append(stage.name)
    ready = [number[name] for name, before in waits.items() if not before]
    heapq.heapify(ready)
    order = []
    while ready:
        stage = stages[heapq.heappop(ready)]
        order.append(stage)
        for name in followers[stage.name]:
            waits[name].discard(stage.name)
            if not waits[name]:
                heapq.heappush(ready, number[name])
    return order, _circle({name: before for name, before in waits.items() if before})


def _circle(waits: Mapping[str, set[str]]) -> list[str]:
    """Return one cycle among stages that wait for each other."""
    trail: dict[str, int] = {}
    name = min(waits, default="")
    while name and name not in trail:
        trail[name] = len(trail)
        name = min(other for other in waits[name] if other in waits)
    return [*list(trail)[trail[name] :], name] if name else []


def gap(plan: Plan, names: Collection[str], results: Mapping[str, str]) -> tuple[str, str] | None:
    """Return why the named stages cannot run alone, and how to fix it; None where they can.

    `results` are the stages with a result of an earlier run, each with why it is not this plan's.
    """
    for stage in plan.stages:
        for name in stage.after if stage.name in names else ():
            if name in names or results.get(name) == "":
                continue
            reason = f"stage '{stage.name}' reads from {name}, which"
            if name in results:
                return f"{reason} is not as planned: {results[name]}", f"run it too: --from {name}"
            hint = f"run it too: --from {name}, or resume a run that has it: --resume"
            return f"{reason} would not run", hint
    return None


_HINT = "remove the path: each stage then uses its own folder"


def collisions(stages: Sequence[Stage], resolver: Resolver) -> Iterator[Problem]:
    """Yield a problem where a stage writes what another one writes, or what it reads itself."""
    owner: dict[str, str] = {}
    for stage in stages:
        draft = resolver.drafts[stage.name]
        if stage.name not in stage.after:  # else it is reported as a cycle
            yield from _overwrites(stage, resolver)
        others: set[str] = set()
        for name, path in stage.outputs.items():
            whole = normal(path)
            first = owner.setdefault(whole, stage.name)
            if first not in {stage.name, *others}:
                others.add(first)
                why = f"stages '{first}' and '{stage.name}' both write '{path}'"
                yield _problem(draft, name, why)
    for stage in stages:
        own = stage.name
        for name, path in stage.outputs.items():
            whole = normal(path)
            above = next((one for one in upward(whole) if owner.get(one, own) != own), None)
            if (
                above is not None
                and owner[whole] == own
                and name in _parameter_outputs(stage, resolver)
            ):
                other = owner[above]
                why = f"stage '{stage.name}' writes '{path}' inside '{above}' of stage '{other}'"
                yield _problem(resolver.drafts[stage.name], name, why)


def _parameter_outputs(stage: Stage, resolver: Resolver) -> set[str]:
    """Return the outputs whose path is a parameter."""
    tool = resolver.drafts[stage.name].tool
    return {name for name, output in (tool.outputs if tool else {}).items() if output.param}


def _overwrites(stage: Stage, resolver: Resolver) -> Iterator[Problem]:
    """Yield a problem for the first path that a stage both reads and writes."""
    names = {normal(path): name for name, path in stage.outputs.items()}
    for one in readings(stage, resolver.catalog):
        name = names.get(normal(one.path))
        if name is not None:
            why = f"stage '{stage.name}' writes '{one.path}', which it reads as {one.parameter}"
            yield _problem(resolver.drafts[stage.name], name, why)
            return


def _problem(draft: Draft, output: str, why: str) -> Problem:
    """Return a problem at the parameter that says an output's path, else at the stage."""
    place = draft.tool.outputs[output] if draft.tool else None
    declared = draft.params.get(place.param) if place and place.param else None
    mark = declared.mark if declared is not None else draft.node.key_mark
    return Problem(mark=mark, message=why, rule="same-output", hint=_HINT)
