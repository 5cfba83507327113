"""The models that a plan reads from outside -> the tiny models that replace them, with reasons.

Models that a stage or an adapter uses together are one family, and one tiny model replaces all of
them. It has the architecture in the configuration of one of them; if none is known, one with the
layers that ``lora_parameters.keys`` lists.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from runner.base.constants import RUN_DIR, normal, upward
from runner.base.errors import RecipeError
from runner.base.problems import brief, listing
from runner.catalog.architectures import Architecture, Architectures, bare
from runner.catalog.tools import Catalog
from runner.plan.inputs import readings
from runner.plan.model import Plan, Stage

Json = dict[str, Any]
DEFAULT = "llama"
LAYERS = ("lora_parameters", "keys")
_LINKS = frozenset({"model", "adapter", "file", "cache"})


class NoStandInError(RecipeError):
    """No tiny model can take the place of a real one; `stage` and `path` are what asks for it."""

    def __init__(self, message: str, hint: str, stage: str, path: Sequence[str]) -> None:
        super().__init__(message, hint)
        self.stage, self.path = stage, tuple(path)


class StandIn(Struct, frozen=True, kw_only=True):
    """A tiny model: its architecture, what is laid over its configuration, and why it is this."""

    architecture: str
    config: Json
    why: str


class Family(Struct, kw_only=True):
    """Models that belong together, as they are read, and the layers that each training names."""

    models: list[str]
    keys: list[tuple[str, str]]


def downloads(plan: Plan, catalog: Catalog) -> dict[str, tuple[str, str]]:
    """Return what stages bring from the hub, by its place: the stage and the repository."""
    found: dict[str, tuple[str, str]] = {}
    for stage in plan.stages:
        tool = catalog.get(stage.tool)
        for one in tool.inputs if tool else ():
            if one.input_kind(stage.params) == "hub" and isinstance(stage.params[one.name], str):
                repository = stage.params[one.name].removeprefix("hf://")
                found |= {
                    normal(path): (stage.name, repository)
                    for path in stage.outputs.values()
                    if path
                }
    return found


def fetched(path: str, places: Mapping[str, tuple[str, str]]) -> tuple[str, str] | None:
    """Return the stage and the repository that a path is downloaded by and from."""
    return next((places[one] for one in upward(path) if one in places), None)


def names(path: str, places: Mapping[str, tuple[str, str]]) -> tuple[str, ...]:
    """Return where the configuration of a model may be known from: its folder, its repository."""
    source = fetched(path, places)
    folder = () if RUN_DIR in path else (path,)
    return (*folder, source[1]) if source else folder


def families(plan: Plan, catalog: Catalog, places: Mapping[str, tuple[str, str]]) -> list[Family]:
    """Return the families of models from outside, in the order of the plan."""
    parents: dict[str, str] = {}

    def top(node: str) -> str:
        while (above := parents.get(node, node)) != node:
            node = above
        return node

    members: dict[str, list[str]] = {}
    for stage in plan.stages:
        own = f"stage {stage.name}"
        for one in readings(stage, catalog):
            outside = RUN_DIR not in one.path or fetched(one.path, places)
            maker = plan.maker(one.path, stage)
            if one.kind == "model" and (outside or maker is None):
                members.setdefault(one.path, []).append(own)
                parents[top(f"model {one.path}")] = top(own)
            elif one.kind in _LINKS and maker is not None:
                parents[top(f"stage {maker.name}")] = top(own)
    found: dict[str, Family] = {}
    for path in members:
        found.setdefault(top(f"model {path}"), Family(models=[], keys=[])).models.append(path)
    for stage in plan.stages:
        family = found.get(top(f"stage {stage.name}"))
        if family is not None:
            family.keys += ((stage.name, key) for key in _keys(stage, catalog))
    return list(found.values())


def choose(
    family: Family,
    places: Mapping[str, tuple[str, str]],
    configs: Mapping[str, Json],
    kinds: Architectures,
) -> StandIn:
    """Return the tiny model of a family. Raises NoStandInError if none has its layers."""
    unknown = ""
    for path in family.models:
        for name in (name for name in names(path, places) if name in configs):
            found = kinds.like(configs[name])
            kind = brief(str(configs[name].get("model_type")))
            if found is not None:
                return _alike(family, name, kind, *found)
            unknown = f" (there is no tiny model of '{name}', a '{kind}')"
    if not family.keys:
        return StandIn(
            architecture=DEFAULT, config={}, why=f"because nothing names another{unknown}"
        )
    return _by_keys(family, kinds, unknown)


def _alike(
    family: Family, name: str, kind: str, architecture: Architecture, changes: Json
) -> StandIn:
    has = architecture.layer_keys(changes)
    lacking = [(stage, key) for stage, key in family.keys if bare(key) not in has]
    if lacking:
        why = f"a tiny {kind}, the architecture of '{name}', has no layer {_quoted(lacking)}"
        raise NoStandInError(why, f"it has {listing(sorted(has), 12)}", lacking[0][0], LAYERS)
    return StandIn(architecture=architecture.name, config=changes, why=f"like '{name}'")


def _by_keys(family: Family, kinds: Architectures, unknown: str) -> StandIn:
    keys = [key for _, key in family.keys]
    found = kinds.with_keys(keys)
    if found is not None:
        architecture, changes = found
        why = f"which has the layers of lora_parameters.keys{unknown}"
        return StandIn(architecture=architecture.name, config=changes, why=why)
    lacking = kinds.lacking(keys)
    guilty = [(stage, key) for stage, key in family.keys if key in lacking] or family.keys
    which = "has the layer" if len(dict.fromkeys(key for _, key in guilty)) == 1 else "has all of"
    why = f"no tiny model {which} {_quoted(guilty)}{unknown}"
    hint = "check the names of its layers; if they are correct, try the model with a real run"
    raise NoStandInError(why, hint, guilty[0][0], LAYERS)


def _quoted(keys: Sequence[tuple[str, str]]) -> str:
    return listing([f"'{key}'" for key in dict.fromkeys(key for _, key in keys)], 6)


def _keys(stage: Stage, catalog: Catalog) -> Iterator[str]:
    """Yield the layers that a training adapts, where it names them."""
    tool, shape = catalog.get(stage.tool), stage.params.get(LAYERS[0])
    trains = tool is not None and tool.is_training(stage.params)
    if trains and shape and stage.params.get("fine_tune_type") != "full":
        yield from shape.get(LAYERS[1]) or ()
