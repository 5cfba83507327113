"""A plan and its recipe's lock in, the same plan with a commit for each name of the hub out.

A stage keeps the name as the recipe says it, with a Pin beside it. It has two more forms: `exact`
names the commit, for what a stage is made of; `with_folders` names where the files are, for its
command.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from runner.base.constants import HUB
from runner.catalog.tools import Catalog, Tool
from runner.plan.hub_names import HubName, hub_names, rewrite, word
from runner.plan.model import Pin, Plan, Stage
from runner.recipe.lock_file import Entries, Entry, FileDigest, LockFile

Json = dict[str, Any]


def pin(plan: Plan, catalog: Catalog, lock: LockFile | None) -> Plan:
    """Return a plan whose stages hold what their names of the hub are pinned to.

    A name is pinned by the lock, or by a revision of its own, which without a lock may be a branch.
    """
    variables: dict[tuple[str, str], str] = {}
    stages = []
    for stage in plan.stages:
        tool = catalog.get(stage.tool)
        names = hub_names(tool, stage.params) if tool else ()
        pins = {
            (one.kind, one.name): _pin(one, lock, variables)
            for one in names
            if (one.revision or _commit(one, lock)) and plan.maker(one.name, stage) is None
        }
        stages.append(replace(stage, pins=tuple(pins.values())) if pins else stage)
    if not variables:
        return plan
    entries = lock.entries if lock else {}
    files = {
        " ".join(key): {
            path: {"size": one.size, "digest": one.digest}
            for path, one in entries[key].files.items()
        }
        for key in variables
        if key in entries
    }
    return replace(plan, stages=tuple(stages), locks=files)


def _commit(one: HubName, lock: LockFile | None) -> str:
    entry = lock.entries.get(one.key) if lock else None
    return entry.commit if entry else one.commit


def _pin(one: HubName, lock: LockFile | None, variables: dict[tuple[str, str], str]) -> Pin:
    if one.key not in variables:
        name = f"{HUB}{word(one.repository)}"
        taken = variables.values()
        others = (f"{name}_{number}" for number in range(2, len(variables) + 3))
        variables[one.key] = next(w for w in (name, *others) if w not in taken)
    return Pin(
        name=one.name,
        repository=one.repository,
        kind=one.kind,
        revision=one.revision,
        commit=_commit(one, lock),
        variable=variables[one.key],
        parameter=one.parameter,
    )


def exact(stage: Stage, tool: Tool) -> Json:
    """Return a stage's parameters with the commit in each pinned name: ``org/name@COMMIT``.

    This is what a stage is made of: its identity, its place in a diff and in a snapshot.
    """
    names = {
        (one.kind, one.name): f"{one.repository}@{one.commit}" for one in stage.pins if one.commit
    }
    return _with_names(stage, tool, names) if names else dict(stage.params)


def with_exact_names(plan: Plan, catalog: Catalog | None) -> Plan:
    """Return a plan whose stages' parameters are `exact`, as they are told and compared."""
    if catalog is None or not any(stage.pins for stage in plan.stages):
        return plan
    stages = []
    for stage in plan.stages:
        tool = catalog.get(stage.tool) if stage.pins else None
        stages.append(replace(stage, params=exact(stage, tool)) if tool else stage)
    return replace(plan, stages=tuple(stages))


def with_folders(stage: Stage, tool: Tool, folders: Mapping[str, str] | None = None) -> Stage:
    """Return a stage as its command says it: the folder of each pinned name, and no pins.

    Without `folders`, which are by variable, the variable itself, which the script sets. A tool
    that takes a revision of its own, as hf.download does, is given the name and the commit.
    """
    if not stage.pins:
        return stage
    names = {
        (one.kind, one.name): f"${{{one.variable}}}"
        if folders is None
        else folders.get(one.variable, one.name)
        for one in stage.pins
    }
    options: Json = {}
    for one in stage.pins:
        option = _option(one, tool)
        if option:
            names[one.kind, one.name] = one.repository
            options[option] = one.commit or one.revision
    return replace(stage, params={**_with_names(stage, tool, names), **options}, pins=())


def entries(plan: Plan) -> Entries:
    """Return the entries of the lock that a plan was made with, as far as it uses them."""
    commits = {one.key: one.commit for stage in plan.stages for one in stage.pins}
    return {
        key: Entry(
            commit=commit,
            files={path: FileDigest(**row) for path, row in plan.locks[" ".join(key)].items()},
        )
        for key, commit in commits.items()
        if " ".join(key) in plan.locks
    }


def downloads(stages: Iterable[Stage], catalog: Catalog) -> dict[str, Pin]:
    """Return what is to be here before a command of these stages starts, by its variable."""
    pins: dict[str, Pin] = {}
    for stage in stages:
        tool = catalog.get(stage.tool)
        here = {(one.kind, one.name) for one in hub_names(tool, stage.params)} if tool else set()
        for one in stage.pins:
            if tool and (one.kind, one.name) in here and not _option(one, tool):
                pins.setdefault(one.variable, one)
    return pins


def _option(one: Pin, tool: Tool) -> str | None:
    """Return the parameter by which a tool itself takes the revision of a name."""
    parameter = tool.parameters.get(one.parameter)
    option = parameter.schema["x-input"].get("revision") if parameter else None
    return None if option is None else str(option)


def _with_names(stage: Stage, tool: Tool, names: Mapping[tuple[str, str], str]) -> Json:
    result: Json = rewrite(tool, stage.params, lambda kind, text: names.get((kind, text), text))
    return result
