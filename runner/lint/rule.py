"""The rules: each is a function that checks one stage of a plan and says what MLX would do.

A decorator registers a rule; its slug is the function's name with dashes, and its documentation is
the function's docstring. Each module of `lint/rules` is one family; `lineage` follows paths through
the plan for them, and `pages` writes their documentation.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from importlib import import_module
from typing import Any, Literal

from msgspec import Struct, field

from runner.base.problems import Mark, Problem, as_yaml, sort_problems
from runner.catalog.tools import Catalog, Output, Tool
from runner.lint.facts import DiskFacts, Finding
from runner.plan.blame import nearest
from runner.plan.compile import Compilation
from runner.plan.inheritance import Draft
from runner.plan.inputs import FILES, Reading, readings
from runner.plan.model import Plan, Stage
from runner.plan.resolve import Resolver
from runner.plan.training import Training, training
from runner.provenance.origins import dependencies
from runner.recipe.node import Node, locate

Severity = Literal["error", "warning", "note"]
FAMILIES = (
    "lr_schedule",
    "adapter",
    "resume",
    "sequence",
    "paths",
    "data",
    "model",
    "launch",
    "train_options",
    "release",
    "stage",
    "number",
)


class View(Struct, frozen=True, kw_only=True, eq=False, dict=True):
    """What a rule sees: a stage, its tool, what the recipe says of it, the plan, the files.

    `catalog` has the tools of the other stages.

    `explicit` are the parameters that the recipe says, dotted, mappings beside what is inside them;
    `own` are those of them that not only the tool's `defaults` say. `inputs` are the paths the
    stage reads, without what need not be one.
    """

    stage: Stage
    tool: Tool
    explicit: frozenset[str]
    plan: Plan
    catalog: Catalog
    facts: DiskFacts = field(default_factory=DiskFacts)
    inputs: tuple[Reading, ...] = ()
    own: frozenset[str] = frozenset()

    @property
    def params(self) -> Mapping[str, Any]:
        """All parameters of the stage."""
        return self.stage.params

    @cached_property
    def trains(self) -> bool:
        """Whether this stage is a training."""
        return self.tool.is_training(self.params)

    @cached_property
    def training(self) -> Training | None:
        """The numbers of this stage's training; None if it does not train."""
        return training(self.stage, self.tool)

    def tool_of(self, stage: Stage | None) -> Tool | None:
        """Return the tool of a stage of the plan."""
        return self.catalog.get(stage.tool) if stage is not None else None

    def makes_adapter(self, stage: Stage) -> bool:
        """Return whether a stage of the plan makes an adapter."""
        return adapter_output(stage, self.tool_of(stage)) is not None

    def maker(self, path: str | None) -> Stage | None:
        """Return the stage of the plan that writes `path`, or the folder that contains it."""
        return self.plan.maker(path, self.stage)


def adapter_output(stage: Stage, tool: Tool | None) -> Output | None:
    """Return the output of a stage that is an adapter, None if it makes none."""
    candidates = tool.makes("adapter") if tool is not None else ()
    return next((one for one in candidates if one.name in stage.outputs), None)


Check = Callable[[View], Iterator[Finding]]


class Rule(Struct, frozen=True, kw_only=True):
    """A registered rule; `traps` are the numbers of the facts it stands for, as T28.

    A `general` one looks at every stage, another one at those of tools whose files name it.
    """

    slug: str
    severity: Severity
    general: bool
    traps: tuple[str, ...]
    check: Check

    @property
    def family(self) -> str:
        """The name of its module."""
        return self.check.__module__.rpartition(".")[2]

    @property
    def summary(self) -> str:
        """The first sentence of its documentation."""
        return self.page.partition("\n\n")[0].replace("\n", " ")

    @property
    def page(self) -> str:
        """Its documentation: what MLX would do, and how to fix it."""
        lines = (self.check.__doc__ or "").strip().splitlines()
        return "\n".join(line.strip() for line in lines)


_RULES: dict[str, Rule] = {}


def rule(severity: Severity, *traps: str, general: bool = False) -> Callable[[Check], Check]:
    """Register a rule function, for every stage or for those of tools whose files name it."""

    def register(check: Check) -> Check:
        slug = check.__name__.replace("_", "-")
        _RULES[slug] = Rule(slug=slug, severity=severity, general=general, traps=traps, check=check)
        return check

    return register


@cache
def rules() -> Mapping[str, Rule]:
    """Return every rule by slug."""
    for family in FAMILIES:
        import_module(f"runner.lint.rules.{family}")
    return dict(sorted(_RULES.items()))


@cache
def rules_of(named: tuple[str, ...]) -> tuple[Rule, ...]:
    """Return the rules for the stages of a tool whose file lists these."""
    return tuple(one for one in rules().values() if one.general or one.slug in named)


def examine(view: View) -> Iterator[tuple[Rule, Finding]]:
    """Yield the findings of the rules in one stage, except of rules that it allows."""
    allowed = view.stage.allow
    for one in rules_of(view.tool.rules):
        if one.slug not in allowed:
            for finding in one.check(view):
                yield one, finding


def views(
    compilation: Compilation, catalog: Catalog, facts: DiskFacts | None = None
) -> Iterator[View]:
    """Yield the View of every stage of a compiled recipe; none if it has no plan."""
    for stage in compilation.plan.stages if compilation.plan else ():
        tool = catalog.get(stage.tool)
        draft = compilation.resolver.drafts.get(stage.name)
        if tool is not None and draft is not None and compilation.plan is not None:
            explicit = frozenset(_names(draft.params))
            inputs = tuple(one for one in readings(stage, catalog) if one.kind != FILES)
            params = draft.node.get("params")
            yield View(
                stage=stage,
                tool=tool,
                explicit=explicit,
                plan=compilation.plan,
                catalog=catalog,
                facts=facts or DiskFacts(),
                inputs=inputs,
                own=frozenset(params.value if params and isinstance(params.value, dict) else ()),
            )


def problems(
    compilation: Compilation, catalog: Catalog, facts: DiskFacts | None = None
) -> list[Problem]:
    """Return the findings of the rules in a compiled recipe, each at its place in the files."""
    results = []
    for view in views(compilation, catalog, facts):
        draft = compilation.resolver.drafts[view.stage.name]
        for one, finding in examine(view):
            mark, notes = _location(compilation.resolver, draft, finding.parameter)
            severity = "error" if finding.stops else one.severity
            results.append(
                Problem(
                    mark=mark,
                    message=finding.message,
                    rule=one.slug,
                    hint=finding.hint,
                    notes=notes,
                    severity=severity,
                )
            )
    return sort_problems(results)


def _location(
    resolver: Resolver, draft: Draft, parameter: str
) -> tuple[Mark, tuple[tuple[Mark | None, str], ...]]:
    """Return the place of a finding, and where else to look.

    These are the values a parameter is made of, and who inherits its file; what an inherited
    template made of the user's own values is found at these.
    """
    recipe, mark = resolver.recipe, _place(draft, parameter)
    parts = [
        (statement.mark, f"{statement.name} is {as_yaml(statement.value)} here")
        for statement in dependencies(resolver, draft, tuple(parameter.split(".")))
        if statement.mark is not None and not isinstance(statement.value, dict | list)
    ]
    own = nearest(recipe, (place for place, _ in parts), mark)
    if own is not None:
        return own, ((mark, f"{parameter} is set here"), *(one for one in parts if one[0] != own))
    return mark, (*parts, *((place, "inherited here") for place in recipe.trail.get(mark.file, ())))


def _names(node: Node, above: str = "") -> set[str]:
    names = set()
    for name, child in node.value.items() if isinstance(node.value, dict) else ():
        names.add(f"{above}{name}")
        if isinstance(child.value, dict):
            names |= _names(child, f"{above}{name}.")
    return names


def _place(draft: Draft, parameter: str) -> Mark:
    """Return where a parameter or a stage's own key is said, else where its parameters are."""
    words = parameter.split(".")
    node = locate(draft.params, words)
    if node is draft.params:
        own = locate(draft.node, words)
        return (own if own is not draft.node else draft.node.get("params") or own).key_mark
    return node.mark
