"""What will run, as values: a Plan of frozen Stages."""

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from msgspec import Struct, field
from msgspec.structs import asdict

from runner.base.constants import RUN_DIR, normal, upward

Json = dict[str, Any]
_RARE = {"tools", "locks"}  # of a plan, left out of its record where it has none


class Retry(Struct, frozen=True, kw_only=True):
    """The number of attempts, the seconds before the next one, and the factor they grow by."""

    attempts: int = 1
    delay: float = 0.0
    backoff: float = 1.0


class Pin(Struct, frozen=True, kw_only=True):
    """What a name of the hub stands for, `parameter` one that says it.

    `revision` is what the recipe says, '' for the main branch; `commit` is '' where nobody has
    said it. `variable` names the folder of its files in the script.
    """

    name: str
    repository: str
    kind: str
    revision: str
    commit: str
    variable: str
    parameter: str

    @property
    def key(self) -> tuple[str, str]:
        """What a lock calls it: its kind, and its name with the revision."""
        said = f"@{self.revision}" if self.revision else ""
        return self.kind, f"{self.repository}{said}"


class Stage(Struct, frozen=True, kw_only=True):
    """One command: every parameter of its tool, its outputs, and the stages it waits for.

    `expect_at` has the place of each expectation, as ``file:line:column``; `trainer` has the
    options around the trainer, empty if there are none; with `continues`, an interrupted training
    resumes where it was; `pins` are the commits of its names of the hub.
    """

    name: str
    tool: str
    params: Mapping[str, Any]
    outputs: Mapping[str, str]
    after: tuple[str, ...] = ()
    description: str = ""
    timeout: float | None = None
    retry: Retry = field(default_factory=Retry)
    expect: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    launch: Mapping[str, Any] = field(default_factory=dict)
    expect_at: tuple[str, ...] = ()
    trainer: Mapping[str, Any] = field(default_factory=dict)
    continues: bool = False
    pins: tuple[Pin, ...] = ()

    def as_dict(self) -> Json:
        """Return the stage as JSON-ready values, which are the stage's own."""
        values = {**asdict(self), "retry": asdict(self.retry)}
        pins = values.pop("pins")
        return {**values, "pins": [asdict(one) for one in pins]} if pins else values


class Plan(Struct, frozen=True, kw_only=True, dict=True):
    """What will run: stages in order, environment variables for all of them, and its source.

    `track` are the trackers that receive it, with their options; `tools` the tool files that the
    recipe names, by tool; `locks` the files of each locked name of the hub, by kind and name, with
    size and digest.
    """

    name: str
    file: str
    stages: tuple[Stage, ...]
    description: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    vars: Mapping[str, Any] = field(default_factory=dict)
    track: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    smoke: bool = False
    tools: Mapping[str, Json] = field(default_factory=dict)
    locks: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)

    def stage(self, name: str) -> Stage:
        """Return the stage called `name`; raises KeyError."""
        return self._by_name[name]

    def maker(self, path: str | None, reader: Stage | None = None) -> Stage | None:
        """Return the first stage that writes `path`, or a folder around it, for another stage."""
        if path not in self._makers_by_path:
            self._makers_by_path[path] = self._makers_of(path)
        return next((stage for stage in self._makers_by_path[path] if stage is not reader), None)

    def _makers_of(self, path: str | None) -> tuple[Stage, ...]:
        """Return the stages that make a path, or a folder it lies in, as they stand."""
        places = {at for folder in upward(path or "") for at in self._makers.get(folder, ())}
        return tuple(self.stages[at] for at in sorted(places))

    def of_tool(self, tool: str) -> tuple[Stage, ...]:
        """Return the stages of a tool, in the order of the plan."""
        return self._tools.get(tool, ())

    def place(self, stage: Stage) -> int:
        """Return the position of a stage in the plan."""
        return self._places[stage.name]

    @cached_property
    def expected_metrics(self) -> Mapping[str, list[tuple[str, str]]]:
        """The metrics that expectations read, by stage, each with the stage that reads it."""
        from runner.recipe.template.expressions import names  # a plan read back needs none

        readers: dict[str, list[tuple[str, str]]] = {}
        for stage in self.stages:
            for words in (words for line in stage.expect for words in names(line)):
                match words:
                    case ("metrics", metric):
                        readers.setdefault(stage.name, []).append((metric, stage.name))
                    case ("stages", name, "metrics", metric):
                        readers.setdefault(name, []).append((metric, stage.name))
        return readers

    @cached_property
    def outputs_by_path(self) -> Mapping[str, tuple[str, str]]:
        """The stage and output of each path; the first, if there are several."""
        owners: dict[str, tuple[str, str]] = {}
        for stage in self.stages:
            for name, path in stage.outputs.items():
                owners.setdefault(path, (stage.name, name))
        return owners

    @cached_property
    def model_commits(self) -> Mapping[str, str]:
        """What each name of a model of the hub is with its commit, where that is known."""
        return {
            one.name: f"{one.repository}@{one.commit}"
            for stage in self.stages
            for one in stage.pins
            if one.commit and one.kind == "model"
        }

    @cached_property
    def digest(self) -> str:
        """A digest that distinguishes this plan from all others."""
        from hashlib import blake2b  # a dry run asks for no digest

        text = json.dumps(self.as_dict(), sort_keys=True)
        return blake2b(text.encode(), digest_size=16).hexdigest()

    @cached_property
    def _by_name(self) -> Mapping[str, Stage]:
        return {stage.name: stage for stage in reversed(self.stages)}

    @cached_property
    def _makers_by_path(self) -> dict[str | None, tuple[Stage, ...]]:
        return {}

    @cached_property
    def _tools(self) -> Mapping[str, tuple[Stage, ...]]:
        tools: dict[str, list[Stage]] = {}
        for stage in self.stages:
            tools.setdefault(stage.tool, []).append(stage)
        return {tool: tuple(stages) for tool, stages in tools.items()}

    @cached_property
    def _places(self) -> Mapping[str, int]:
        return {stage.name: at for at, stage in enumerate(self.stages)}

    @cached_property
    def _makers(self) -> Mapping[str, list[int]]:
        """The places of the stages that make a path, by path."""
        makers: dict[str, list[int]] = {}
        for at, stage in enumerate(self.stages):
            for path in stage.outputs.values():
                makers.setdefault(normal(path), []).append(at)
        return makers

    def as_dict(self) -> Json:
        """Return the plan as JSON-ready values, which are the plan's own."""
        values = {**asdict(self), "stages": [stage.as_dict() for stage in self.stages]}
        return {key: value for key, value in values.items() if value or key not in _RARE}


def bind(value: Any, folder: str) -> Any:
    """Return a value with the run directory inserted, also inside mappings and lists."""
    if isinstance(value, str):
        return value.replace(RUN_DIR, folder)
    if isinstance(value, Mapping):
        return {key: bind(child, folder) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [bind(child, folder) for child in value]
    return value
