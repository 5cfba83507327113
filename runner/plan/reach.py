"""A plan -> what it lets others do: run their code here, or receive data, and with which token.

The catalogue marks parameters and tracker options that reach out. Each such value has a digest, so
that permission is asked for once, and again if the value changes.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from runner.base.problems import Mark, Problem
from runner.catalog.tools import Catalog, Parameter, Tool, applies
from runner.plan.compile import Compilation
from runner.plan.model import Plan, Stage
from runner.recipe.node import locate

Json = dict[str, Any]
MODEL = "model"
HINT = "the first run needs --trust; to avoid this, remove it"


class Reach(Struct, frozen=True, kw_only=True):
    """One value that reaches out: its place and its effect; `about` is what it applies to.

    `stage` is "" for a key of the recipe.
    """

    stage: str
    parameter: str
    value: Any
    why: str
    about: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f"{self.stage}: {self.parameter}" if self.stage else self.parameter
        about = f" ({', '.join(self.about)})" if self.about else ""
        return f"{where} {self.why}{about}"

    @property
    def digest(self) -> str:
        """What names this very value: neither the stage's name nor the recipe's is part of it."""
        from hashlib import blake2b  # a dry run asks for no digest

        text = json.dumps([self.parameter, self.value, self.about], sort_keys=True, default=str)
        return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def reaches(plan: Plan, catalog: Catalog, envelope: Mapping[str, Any]) -> list[Reach]:
    """Return what a plan lets others do.

    A smoke run uses a random model and sends nothing.
    """
    result = [one for stage in plan.stages for one in _of_launch(stage, catalog.launcher)]
    if not plan.smoke:
        for stage in plan.stages:
            tool = catalog.get(stage.tool)
            result += _of_stage(stage, tool) if tool is not None else ()
        result += _of_trackers(plan, envelope)
    return result


def problems(
    result: Compilation, catalog: Catalog, envelope: Mapping[str, Any]
) -> Iterator[Problem]:
    """Yield a warning at each value of a compiled recipe that reaches out."""
    for one in reaches(result.plan, catalog, envelope) if result.plan is not None else ():
        about = f" ({', '.join(one.about)})" if one.about else ""
        message = f"{one.parameter} {one.why}{about}"
        yield Problem(
            mark=_mark(one, result), message=message, rule="trust", hint=HINT, severity="warning"
        )


def _mark(one: Reach, result: Compilation) -> Mark:
    draft = result.resolver.drafts.get(one.stage)
    steps = one.parameter.split(".")
    node = result.resolver.recipe.tree if draft is None else draft.node
    if draft is not None and steps[0] != "launch":
        node = draft.params
    return locate(node, steps).mark


def _of_stage(stage: Stage, tool: Tool) -> Iterator[Reach]:
    for name, parameter in tool.parameters.items():
        trust = parameter.schema.get("x-trust", {})
        if not applies(trust, stage.params):
            continue
        for value in _reaching(parameter, stage.params.get(name)):
            about = (
                _sent(stage, value, trust["sends"]) if "sends" in trust else _models(stage, tool)
            )
            yield Reach(
                stage=stage.name,
                parameter=name,
                value=value,
                why=trust["why"],
                about=tuple(about),
            )


def sender(stage: Stage, tool: Tool) -> str:
    """Return the parameter by which a stage sends something away, '' where none does."""
    for name, parameter in tool.parameters.items():
        trust = parameter.schema.get("x-trust", {})
        if "sends" in trust and applies(trust, stage.params):
            for _ in _reaching(parameter, stage.params.get(name)):
                return name
    return ""


def _sent(stage: Stage, place: Any, names: Iterable[str]) -> Iterator[str]:
    """Yield the place that is sent something, and what that is."""
    yield str(place)
    for name in names:
        if stage.params.get(name) is not None:
            yield f"{name}: {stage.params[name]}"


def _models(stage: Stage, tool: Tool) -> Iterator[str]:
    for name, parameter in tool.parameters.items():
        value = stage.params.get(name)
        if isinstance(value, str) and parameter.input_kind(stage.params) == MODEL:
            yield f"{name}: {value}"


def _of_launch(stage: Stage, launcher: Tool) -> Iterator[Reach]:
    for name, parameter in launcher.parameters.items():
        for value in _reaching(parameter, stage.launch.get(name)):
            why = parameter.schema["x-trust"]["why"]
            yield Reach(
                stage=stage.name,
                parameter=f"launch.{name}",
                value=value,
                why=why,
                about=(json.dumps(value),),
            )


def _of_trackers(plan: Plan, envelope: Mapping[str, Any]) -> Iterator[Reach]:
    trackers = envelope["properties"]["track"]["properties"]
    for tracker, options in plan.track.items():
        whole = trackers[tracker].get("x-trust")
        if whole is not None and not _stays_here(options, whole["unless"]):
            place = options.get(whole["about"], "")
            yield Reach(
                stage="",
                parameter=f"track.{tracker}",
                value=place,
                why=whole["why"],
                about=(str(place),) if place else (),
            )
        for name, value in options.items():
            trust = trackers[tracker]["properties"].get(name, {}).get("x-trust")
            if trust is not None and not re.match(trust.get("unless", r"(?!)"), str(value)):
                parameter = f"track.{tracker}.{name}"
                yield Reach(
                    stage="",
                    parameter=parameter,
                    value=value,
                    why=trust["why"],
                    about=(str(value),),
                )


def _stays_here(options: Mapping[str, Any], unless: Mapping[str, Collection[Any]]) -> bool:
    """Return whether options of a tracker keep all on this machine."""
    return any(options.get(name) in values for name, values in unless.items())


def _reaching(parameter: Parameter, value: Any) -> Iterator[Any]:
    """Yield the value of a parameter where it reaches out."""
    trust = parameter.schema.get("x-trust")
    if trust is None or not value:
        return
    if "key" in trust:
        if trust["key"] in _true(value):
            yield {trust["key"]: True}
        return
    parts = list(value) if isinstance(value, list | dict) else [str(value)]
    if not all(re.fullmatch(trust.get("unless", r"(?!)"), str(part)) for part in parts):
        yield value


def _true(value: Any) -> set[str]:
    """Return the keys that say something true, however deep they stand."""
    keys, waiting = set(), [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            keys |= {key for key, child in one.items() if child}
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return keys
