"""The rules: each is a function that looks at one stage of a plan and says what MLX would do.

A rule is registered by its decorator; its slug is the function's name with dashes, its page the
function's docstring. The modules of this folder are one family each.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any, Literal

from runner.core.catalog import Tool
from runner.core.plan import Plan, Stage

Severity = Literal["error", "warning"]
FAMILIES = ("schedule", "adapter", "sequence", "data", "model")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found: the parameter (dotted), what MLX would do, and what to change."""

    parameter: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter's shape: from the stage that trains it, or read from the files on disk.

    `base` is the model it was trained on as it was named, None where that is not known.
    """

    fine_tune_type: str
    rank: int | None
    scale: float | None
    keys: tuple[str, ...] | None
    num_layers: int
    base: str | None
    source: str


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data folder: rows and formats by split name; splits that do not exist are left out."""

    path: str
    rows: Mapping[str, int]
    formats: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a model folder's config.json says."""

    path: str
    model_type: str
    layers: int | None
    quantized_bits: int | None


@dataclass(frozen=True, slots=True)
class Known:
    """What the edges know of the files a plan names, by path; empty where nothing is on disk."""

    adapters: Mapping[str, Adapter] = field(default_factory=dict)
    data: Mapping[str, DataSet] = field(default_factory=dict)
    models: Mapping[str, ModelFacts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class View:
    """What a rule sees: a stage, its tool, the parameters the recipe says, the plan, the files."""

    stage: Stage
    tool: Tool
    given: frozenset[str]
    plan: Plan
    known: Known = field(default_factory=Known)

    @property
    def params(self) -> Mapping[str, Any]:
        """The stage's parameters, every one."""
        return self.stage.params

    @property
    def trains(self) -> bool:
        """Whether this stage is a training of mlx_lm.lora."""
        return self.stage.tool == "mlx_lm.lora" and bool(self.params["train"])

    def maker(self, path: str | None) -> Stage | None:
        """Return the stage of the plan that makes `path`, or the folder it lies in."""
        for stage in self.plan.stages:
            for made in stage.outputs.values():
                if path is not None and stage is not self.stage and path == made:
                    return stage
        return None


Check = Callable[[View], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A registered rule; `traps` are the numbers of the facts it stands for, as T28."""

    slug: str
    severity: Severity
    tools: tuple[str, ...]
    traps: tuple[str, ...]
    check: Check

    @property
    def summary(self) -> str:
        """The first sentence of its page."""
        return self.page.partition("\n\n")[0].replace("\n", " ")

    @property
    def page(self) -> str:
        """What it is about: what MLX would do, and the way out."""
        lines = (self.check.__doc__ or "").strip().splitlines()
        return "\n".join(line.strip() for line in lines)


_RULES: dict[str, Rule] = {}


def rule(
    severity: Severity, *traps: str, tools: tuple[str, ...] = ("mlx_lm.lora",)
) -> Callable[[Check], Check]:
    """Register a rule function for the stages of `tools`."""

    def register(check: Check) -> Check:
        slug = check.__name__.replace("_", "-")
        _RULES[slug] = Rule(slug, severity, tools, traps, check)
        return check

    return register


@cache
def rules() -> Mapping[str, Rule]:
    """Return every rule by slug."""
    for family in FAMILIES:
        import_module(f"runner.core.rules.{family}")
    return dict(sorted(_RULES.items()))


def examine(view: View) -> Iterator[tuple[Rule, Finding]]:
    """Yield what the rules find in one stage; rules it allows keep silent."""
    for known in rules().values():
        if view.stage.tool in known.tools and known.slug not in view.stage.allow:
            for finding in known.check(view):
                yield known, finding
