"""A stage after inheritance in, its own keys and every parameter of its tool out, and problems."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from runner.base.problems import Mark, Problem, as_yaml, offer, suggest
from runner.catalog.tools import Tool
from runner.catalog.validate import Path, Violation, violations
from runner.plan import blame
from runner.plan import train_options as training
from runner.plan.budget import no_training
from runner.plan.hub_names import bad_revisions
from runner.plan.inheritance import FIXED, Draft
from runner.plan.inputs import no_paths
from runner.plan.keys import from_template, problem_at, stage_problems
from runner.plan.resolve import Filled, Resolver, mentions
from runner.plan.scope import Use
from runner.recipe.load import Recipe
from runner.recipe.node import Node, locate
from runner.recipe.template.render import is_template

Json = dict[str, Any]
_WRITTEN_OUT = frozenset({"params", "expect", "tool", "extends", "needs"})
"""Keys of a stage in which no templates are filled in, or not with the others."""


class Words(Struct, frozen=True, kw_only=True):
    """What stages are compared with: the recipe, its values, the schema of a stage, the rules."""

    recipe: Recipe
    resolver: Resolver
    schema: Json
    slugs: Collection[str]


class Settings(Struct, frozen=True, kw_only=True):
    """What a stage says, filled in.

    `params` are all its tool's parameters and `trainer` those of what stands around its trainer,
    `params` None where something is wrong. `problems` are its own, `inherited` those in what it
    inherits; `parts` are, by the place and the words of a problem, the places its value was made
    of. `filled` is what was filled in, `mentions` are vars named where no templates are.
    """

    draft: Draft
    options: Json
    trainer: Json
    params: Json | None
    problems: "list[Problem]" = field(default_factory=list)
    inherited: "list[Problem]" = field(default_factory=list)
    parts: Mapping[tuple[Mark, str], set[Mark]] = field(default_factory=dict)
    filled: "list[Filled]" = field(default_factory=list)
    mentions: set[Use] = field(default_factory=set)

    @property
    def whole(self) -> Json | None:
        """The parameters of the tool and the options around its trainer; None like `params`."""
        wrong = self.problems or self.inherited
        return None if self.params is None or wrong else {**self.params, **self.trainer}

    @property
    def outputs(self) -> frozenset[Use]:
        """The outputs of stages that it reads."""
        return frozenset(use for one in self.filled for use in one.outputs)

    @property
    def count(self) -> int:
        """How many problems it has."""
        own = sum(len(one.troubles) for one in self.filled)
        return len(self.problems) + len(self.inherited) + own


def settings(draft: Draft, words: Words) -> Settings:
    """Return what a stage says, with everything that is wrong with it."""
    options, filled = _options(draft, words)
    problems, named = _own_problems(draft, options, words)
    values = words.resolver.fill(draft.params, draft.name)
    filled.append(values)
    inherited: list[Problem] = []
    parts: dict[tuple[Mark, str], set[Mark]] = {}
    if draft.tool is not None:
        for at, problem in _refusals(draft, draft.tool, values.value, words):
            if _is_own(draft, at.path, problem, words.recipe):
                problems.append(problem)
            else:
                inherited.append(problem)
            named |= at.mentions
            if at.computed:
                parts[problem.mark, problem.message] = at.parts
    params = None
    sound = not (problems or inherited or any(one.troubles for one in filled))
    whole = all(one.whole for one in filled)
    if draft.tool is not None and sound and whole:
        params = words.resolver.complete(draft, draft.tool, values.value)
    trainer, refusals = _trainer(draft, options, words)
    return Settings(
        draft=draft,
        options=options,
        trainer=trainer,
        params=params,
        problems=[*problems, *refusals],
        inherited=inherited,
        parts=parts,
        filled=filled,
        mentions=named,
    )


def _options(draft: Draft, words: Words) -> tuple[Json, list[Filled]]:
    """Return a stage's own keys, filled in."""
    own: Json = {}
    filled = []
    for key, child in draft.node.value.items() if isinstance(draft.node.value, dict) else ():
        if key in _WRITTEN_OUT:
            params = key == "params" and isinstance(child.value, dict)
            own[key] = {} if params else child.plain()
        else:
            one = words.resolver.fill(child, draft.name)
            own[key] = one.value
            filled.append(one)
    return own, filled


def _own_problems(draft: Draft, options: Json, words: Words) -> tuple[list[Problem], set[Use]]:
    """Return what is wrong with a stage's own keys, and the vars it names where none are read."""
    node = draft.node
    if not isinstance(node.value, dict):
        if node.unreadable():
            return [], set()
        why = f"stage '{draft.name}' must be a mapping, not {as_yaml(node.plain())}"
        hint = "write {tool: NAME, params: {…}}"
        return [Problem(mark=node.mark, message=why, rule="not-a-mapping", hint=hint)], set()
    budget = node.get("budget")
    useless = budget is not None and draft.tool is not None and not draft.trains
    sound = {name: value for name, value in options.items() if name != "budget" or not useless}
    problems = stage_problems(draft, sound, words.schema, words.recipe)
    problems += _unknown_slugs(draft, words.slugs)
    if budget is not None and useless:
        problems.append(no_training(budget, draft.tool))
    declared = node.get("tool")
    if draft.tool is not None or declared is None or not isinstance(declared.value, str):
        return problems, set()
    if declared.value in words.recipe.section("tools"):  # its file is told to be no tool's
        return problems, set()
    problems.append(_unknown_tool(declared, words))
    return problems, mentions(declared.value) if is_template(declared.value) else set()


def _unknown_slugs(draft: Draft, slugs: Collection[str]) -> Iterator[Problem]:
    """Yield each slug a stage allows that no rule has."""
    allow = draft.node.get("allow")
    for slug in allow.value if allow is not None and isinstance(allow.value, list) else ():
        if slugs and isinstance(slug.value, str) and slug.value not in slugs:
            hint = suggest(slug.value, slugs, "see: run-recipe rules")
            why = f"there is no rule '{slug.value}'"
            yield Problem(mark=slug.mark, message=why, rule="unknown-rule", hint=hint)


def _unknown_tool(declared: Node, words: Words) -> Problem:
    """Return the problem of a tool that does not exist."""
    name, catalog = declared.value, words.resolver.catalog
    endings = catalog.ending_in(name)
    why = f"there is no tool '{name}'"
    hint = f"did you mean '{endings[0]}'?" if len(endings) == 1 else offer(name, catalog.names)
    if is_template(name):
        why, hint = "tool cannot be a template", FIXED
    notes = words.recipe.inherited(declared)
    return Problem(mark=declared.mark, message=why, rule="unknown-tool", hint=hint, notes=notes)


class _Place(Struct, frozen=True, kw_only=True):
    """Where a refused value stands; one that is `computed` was made of the values at `parts`."""

    path: Path
    mentions: set[Use]
    computed: bool
    parts: set[Mark]


def _refusals(
    draft: Draft, tool: Tool, params: Json, words: Words
) -> Iterator[tuple[_Place, Problem]]:
    """Yield what the tool's schema refuses in a stage's parameters."""
    if not draft.sound:
        return
    beside = _beside(draft, tool, words.schema)
    whole = _anchor(draft, words.recipe)
    refusals = (*no_paths(tool, params), *bad_revisions(tool, params))
    for one in (*violations(tool.schema, params), *refusals):
        violation = _with_place(one, words.schema)
        if violation.rule == "missing-key" and (beside or words.recipe.missing_files):
            continue
        if beside and not violation.path:
            continue
        at = locate(draft.params, violation.path)
        ingredients = blame.parts(words.resolver, draft, at) if violation.path else []
        notes = (*(part.note for part in ingredients), *words.recipe.inherited(at))
        problem = problem_at(violation, whole, tool.name, notes)
        key = str(violation.path[-1:])
        named = mentions(str(violation.path[-1])) if is_template(key) else set()
        if isinstance(at.value, str) and is_template(at.value) and violation.types:
            value: Any = params
            for step in violation.path:
                value = value[step]
            problem = replace(problem, hint=from_template(violation, at.value, value))
        if ingredients:
            problem = blame.at_source(problem, violation, draft, at, words.resolver)
        place = _Place(
            path=violation.path,
            mentions=named,
            computed=blame.is_computed(at),
            parts={part.node.mark for part in ingredients},
        )
        yield place, problem


def _with_place(violation: Violation, schema: Json) -> Violation:
    """Return a violation; of a stage's own key among its parameters, with where it belongs."""
    stray = violation.rule == "unknown-key" and len(violation.path) == 1
    if not stray or violation.path[0] not in schema["properties"]:
        return violation
    return replace(violation, hint=f"write {violation.path[0]}: … next to params, not inside it")


def _beside(draft: Draft, tool: Tool, schema: Json) -> bool:
    """Return whether a stage has parameters where they do not belong, told already."""
    keys = draft.node.value if isinstance(draft.node.value, dict) else ()
    strange = [key for key in keys if key not in schema["properties"]]
    return any(key in tool.parameters or suggest(key, ("params",)) for key in strange)


def _is_own(draft: Draft, path: Path, problem: Problem, recipe: Recipe) -> bool:
    """Return whether a problem is a stage's own; one that it inherits is reported once for all."""
    own = recipe.section("stages")[draft.name].get("params")
    node = locate(own, path) if own is not None else None
    if not path or (node and node.mark == locate(draft.params, path).mark):
        return True
    below = own.value.values() if own and isinstance(own.value, dict) else ()
    return any(one.mark == problem.mark for one in below)


def _anchor(draft: Draft, recipe: Recipe) -> Node:
    """Return a stage's parameters at the place of the stage where it has none of its own."""
    own = recipe.section("stages")[draft.name].get("params")
    mark = (own or draft.node).key_mark
    return Node(value=draft.params.value, file=mark.file, line=mark.line, column=mark.column)


def _trainer(draft: Draft, options: Json, words: Words) -> tuple[Json, list[Problem]]:
    """Return every parameter of what stands around the trainer, none where it is alone."""
    trainer = words.resolver.catalog.trainer
    declared = training.options(options)
    problems = []
    for one in training.refusals(declared, trainer):
        notes = words.recipe.inherited(locate(draft.node, one.path))
        problems.append(problem_at(one, draft.node, f"stage '{draft.name}'", notes))
    return {} if problems else training.full(declared, trainer), problems
