"""A recipe in, a Plan out: every parameter explicit, in the order the stages run."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from runner.base.problems import (
    Mark,
    Others,
    Problem,
    as_yaml,
    listing,
    offer,
    sort_problems,
    suggest,
)
from runner.catalog.tools import Catalog, Tool, complete
from runner.catalog.validate import Path, Violation, violations
from runner.catalog.validator import MAX_ERRORS
from runner.plan import blame
from runner.plan import launch as launching
from runner.plan import train_options as training
from runner.plan.expectations import expectations
from runner.plan.inheritance import FIXED, Draft
from runner.plan.inputs import no_paths
from runner.plan.keys import from_template, problem_at, recipe_problems, seconds, stage_problems
from runner.plan.model import Plan, Retry, Stage
from runner.plan.order import collisions, following, in_order
from runner.plan.resolve import Resolver, incomplete
from runner.plan.scope import Use
from runner.plan.unused import profile_problems, unused
from runner.recipe.load import Recipe
from runner.recipe.node import Node, locate
from runner.recipe.template.render import is_template


class Compilation(Struct, kw_only=True):
    """A plan, or None where an error stands in its way, with every problem found."""

    plan: Plan | None
    problems: "list[Problem]"
    resolver: "Resolver"


Json = dict[str, Any]


def build(
    recipe: Recipe,
    catalog: Catalog,
    envelope: Json,
    environ: Mapping[str, str],
    slugs: Collection[str] = (),
) -> Compilation:
    """Turn a recipe into a plan.

    `envelope` is schema/envelope.json, `environ` is for env(), `slugs` are the rules there are.
    """
    resolver = Resolver(recipe, catalog, environ)
    if resolver.full:
        return Compilation(plan=None, problems=resolver.problems, resolver=resolver)
    builder = _StageBuilder(recipe, resolver, envelope, slugs)
    builder.problems += recipe_problems(recipe, envelope)
    stages = builder.stages()
    description, track = builder.description(), builder.track()
    whole = len(stages) == len(resolver.drafts)
    if whole:
        builder.problems += collisions(stages, resolver)
        stages, circle = in_order(following(stages, catalog))
        builder.circle(circle)
    builder.problems += profile_problems(recipe, resolver, builder.schema)
    builder.problems += unused(recipe, resolver)
    direct = builder.causes([*builder.problems, *builder.inherited_problems()])
    problems = sort_problems([*direct, *resolver.first(direct)])
    plan = None
    if whole and not any(problem.severity == "error" for problem in problems):
        variables = resolver.vars_of(line for stage in stages for line in stage.expect)
        plan = Plan(
            name=recipe.name,
            file=recipe.file,
            stages=tuple(stages),
            description=description,
            vars=variables,
            track=track,
        )
    return Compilation(plan=plan, problems=problems, resolver=resolver)


class _StageBuilder:
    """Makes Stages of Drafts, collecting problems."""

    def __init__(
        self, recipe: Recipe, resolver: Resolver, envelope: Json, slugs: Collection[str]
    ) -> None:
        self.recipe = recipe
        self.resolver = resolver
        self.slugs = slugs
        self.schema = {**envelope["$defs"]["stage"], "$defs": envelope["$defs"]}
        self.problems: list[Problem] = []
        self.inherited: dict[Problem, list[str]] = {}
        self.inherited_count = 0
        self.params: dict[str, Json] = {}
        self.places = {name: at for at, name in enumerate(resolver.drafts)}
        self.trainers: dict[str, Json] = {}
        self.settings: dict[str, Json] = {}
        self.marks: dict[str, set[Mark]] = {}
        self.follows: dict[tuple[Mark, str], set[Mark]] = {}

    def stages(self) -> list[Stage]:
        """Return the stages that have no problem, as they are written."""
        drafts = self.resolver.drafts.values()
        parts = []
        for draft in drafts:
            parts.append((draft, *self.begin(draft)))
            if self.problem_count() > MAX_ERRORS:
                why = f"more than {MAX_ERRORS:,} problems up to here: what follows is not looked at"
                mark = draft.node.key_mark
                self.problems.append(
                    Problem(mark=mark, message=why, rule="more-problems", hint="mend these first")
                )
                return []
        return [
            stage
            for draft, options, uses in parts
            if (stage := self.stage(draft, options, uses)) is not None
        ]

    def begin(self, draft: Draft) -> tuple[Json, frozenset[Use]]:
        """Return a stage's own keys and the outputs it reads; sound parameters are put aside."""
        before = self.problem_count()
        options, uses = self.options(draft)
        tool = self.tool(draft)
        values, read = self.resolver.fill(draft.params, draft.name)
        if tool is not None:
            self.check(draft, tool, values)
            # A var that several stages read is told once: what it made of them is looked at itself.
            if before == self.problem_count() and not (incomplete(options) or incomplete(values)):
                self.params[draft.name] = self.full(draft, tool, values)
        around = self.trainers[draft.name] = self.trainer(draft, options)
        if before == self.problem_count() and draft.name in self.params:
            self.settings[draft.name] = {**self.params[draft.name], **around}
        return options, uses | read.outputs

    def problem_count(self) -> int:
        """Return how many problems are told so far."""
        return len(self.problems) + len(self.resolver.problems) + self.inherited_count

    def stage(self, draft: Draft, options: Json, uses: frozenset[Use]) -> Stage | None:
        """Return the finished stage, None where a problem stands in its way."""
        before = self.problem_count()
        expect, expect_uses = expectations(draft, self.resolver, self.settings)
        after = self.after(draft, uses, expect_uses)
        launch = self.launch(draft, options)
        if draft.name not in self.params or draft.tool is None or before != self.problem_count():
            return None
        retry = options.get("retry", {})
        return Stage(
            name=draft.name,
            tool=draft.tool.name,
            params=self.params[draft.name],
            outputs=self.resolver.outputs(draft),
            after=after,
            description=options.get("description", ""),
            timeout=seconds(options.get("timeout")),
            retry=Retry(
                attempts=retry.get("attempts", 1),
                delay=seconds(retry.get("delay")) or 0.0,
                backoff=float(retry.get("backoff", 1.0)),
            ),
            expect=tuple(text for text, _ in expect),
            allow=tuple(options.get("allow", ())),
            launch=launch,
            expect_at=tuple(place for _, place in expect),
            trainer=self.trainers[draft.name],
            continues=options.get("continue", False),
        )

    def launch(self, draft: Draft, options: Json) -> Json:
        """Return every parameter of the launcher, none where the stage names none."""
        declared = options.get("launch")
        if not declared or not isinstance(declared, dict):
            return {}  # what is no mapping is told by the shape of the recipe
        launcher = self.resolver.catalog.launcher
        refusals = violations(launcher.schema, launching.arguments(declared))
        node = draft.node.get("launch") or draft.node
        self.problems += [problem_at(one, node, "launch") for one in refusals]
        return {} if refusals else launching.full(launching.arguments(declared), launcher)

    def trainer(self, draft: Draft, options: Json) -> Json:
        """Return every parameter of what stands around the trainer, none where it stands alone."""
        trainer = self.resolver.catalog.trainer
        declared = training.options(options)
        refusals = list(training.refusals(declared, trainer))
        for one in refusals:
            notes = self.recipe.inherited(locate(draft.node, one.path))
            self.problems.append(problem_at(one, draft.node, f"stage '{draft.name}'", notes))
        return {} if refusals else training.full(declared, trainer)

    def options(self, draft: Draft) -> tuple[Json, frozenset[Use]]:
        """Return a stage's own keys, filled in, and the outputs they read."""
        node = draft.node
        if not isinstance(node.value, dict):
            if not node.unreadable():
                why = f"stage '{draft.name}' must be a mapping, not {as_yaml(node.plain())}"
                hint = "write {tool: NAME, params: {…}}"
                self.problems.append(
                    Problem(mark=node.mark, message=why, rule="not-a-mapping", hint=hint)
                )
            return {}, frozenset()
        own: Json = {}
        uses: frozenset[Use] = frozenset()
        for key, child in node.value.items():
            if key in {"params", "expect", "tool", "extends", "needs"}:
                plain = child.plain()
                own[key] = {} if key == "params" and isinstance(plain, dict) else plain
            else:
                own[key], read = self.resolver.fill(child, draft.name)
                uses |= read.outputs
        self.problems += stage_problems(draft, own, self.schema, self.recipe)
        self.check_slugs(draft)
        return own, uses

    def check_slugs(self, draft: Draft) -> None:
        """Tell each slug a stage allows that no rule has."""
        allow = draft.node.get("allow")
        for slug in allow.value if allow is not None and isinstance(allow.value, list) else ():
            if self.slugs and isinstance(slug.value, str) and slug.value not in self.slugs:
                hint = suggest(slug.value, self.slugs, "see: run-recipe rules")
                why = f"there is no rule '{slug.value}'"
                self.problems.append(
                    Problem(mark=slug.mark, message=why, rule="unknown-rule", hint=hint)
                )

    def tool(self, draft: Draft) -> Tool | None:
        """Return a stage's tool; one that does not exist is a problem."""
        declared = draft.node.get("tool")
        if draft.tool is None and declared is not None and isinstance(declared.value, str):
            name = declared.value
            tools = self.resolver.catalog.names
            endings = self.resolver.catalog.ending_in(name)
            proposal = f"did you mean '{endings[0]}'?" if len(endings) == 1 else offer(name, tools)
            why, hint = f"there is no tool '{name}'", proposal
            if is_template(name):
                self.resolver.mention(name)
                why, hint = "tool is a template", FIXED
            notes = self.recipe.inherited(declared)
            self.problems.append(
                Problem(
                    mark=declared.mark, message=why, rule="unknown-tool", hint=hint, notes=notes
                )
            )
        return draft.tool

    def check(self, draft: Draft, tool: Tool, params: Json) -> None:
        """Tell what the tool's schema refuses in a stage's parameters."""
        beside = self.beside(draft, tool)
        if not draft.sound:
            return
        whole = self.anchor(draft)
        for one in (*violations(tool.schema, params), *no_paths(tool, params)):
            violation = self.with_place(one)
            if violation.rule == "missing-key" and (beside or self.recipe.missing_files):
                continue
            if beside and not violation.path:
                continue
            at = locate(draft.params, violation.path)
            ingredients = blame.parts(self.resolver, draft, at) if violation.path else []
            notes = (*(part.note for part in ingredients), *self.recipe.inherited(at))
            problem = problem_at(violation, whole, tool.name, notes)
            if is_template(str(violation.path[-1:])):
                self.resolver.mention(str(violation.path[-1]))
            if isinstance(at.value, str) and is_template(at.value) and violation.types:
                value: Any = params
                for step in violation.path:
                    value = value[step]
                problem = replace(problem, hint=from_template(violation, at.value, value))
            if ingredients:
                problem = blame.at_source(problem, violation, draft, at, self.resolver)
            if blame.is_computed(at):
                self.follows[_key(problem)] = {part.node.mark for part in ingredients}
            self.tell(draft, violation.path, problem)

    def with_place(self, violation: Violation) -> Violation:
        """Return a violation; of a stage's own key among its parameters, with where it belongs."""
        stray = violation.rule == "unknown-key" and len(violation.path) == 1
        if not stray or violation.path[0] not in self.schema["properties"]:
            return violation
        return replace(violation, hint=f"write {violation.path[0]}: … beside params, not in it")

    def beside(self, draft: Draft, tool: Tool) -> bool:
        """Say whether a stage has parameters where they do not belong, told already."""
        keys = draft.node.value if isinstance(draft.node.value, dict) else ()
        strange = [key for key in keys if key not in self.schema["properties"]]
        return any(key in tool.parameters or suggest(key, ("params",)) for key in strange)

    def tell(self, draft: Draft, path: Path, problem: Problem) -> None:
        """Keep a problem; one in what the stage inherits is told once for all who inherit it."""
        own = self.recipe.section("stages")[draft.name].get("params")
        node = locate(own, path) if own is not None else None
        if (
            not path
            or problem.mark in self.own(draft)
            or (node and node.mark == locate(draft.params, path).mark)
        ):
            self.problems.append(problem)
        else:
            self.inherited.setdefault(problem, []).append(draft.name)
            self.inherited_count += 1

    def own(self, draft: Draft) -> set[Mark]:
        """Return the places of a stage's own parameters."""
        if draft.name not in self.marks:
            params = self.recipe.section("stages")[draft.name].get("params")
            below = params.value.values() if params and isinstance(params.value, dict) else ()
            self.marks[draft.name] = {one.mark for one in below}
        return self.marks[draft.name]

    def inherited_problems(self) -> Iterable[Problem]:
        """Yield each inherited problem once, with the stages it reaches."""
        own = {(problem.mark, problem.message) for problem in self.problems}
        for problem, names in self.inherited.items():
            if (problem.mark, problem.message) not in own:
                what = "stage" if len(names) == 1 else "stages"
                note = (None, f"in {what} {listing(names, 5)}")
                yield replace(problem, notes=(*problem.notes, note))

    def causes(self, problems: Sequence[Problem]) -> list[Problem]:
        """Return the problems, without those of values computed with a value told by another."""
        sure = [
            one for one in problems if _key(one) not in self.follows and one.severity == "error"
        ]
        marks = {mark for one in sure for mark in (one.mark, *(mark for mark, _ in one.notes))}
        return [one for one in problems if not self.follows.get(_key(one), set()) & marks]

    def anchor(self, draft: Draft) -> Node:
        """Return a stage's parameters at the place of the stage where it has none of its own."""
        own = self.recipe.section("stages")[draft.name].get("params")
        mark = (own or draft.node).key_mark
        return Node(value=draft.params.value, file=mark.file, line=mark.line, column=mark.column)

    def full(self, draft: Draft, tool: Tool, params: Json) -> Json:
        """Return every parameter of the tool with its value."""
        makers = {
            output.param: output
            for output in tool.outputs.values()
            if output.param and output.param not in params
        }
        places = {
            name: place
            for name, output in makers.items()
            if self.resolver.makes(draft, output)
            and (place := self.resolver.place(draft, name)) is not None
        }
        return complete(tool.schema, {**params, **places}, tool.schema)

    def after(
        self, draft: Draft, uses: Iterable[Use], expect_uses: Iterable[Use]
    ) -> tuple[str, ...]:
        """Return the stages this one waits for: those it reads from, and its ``needs``."""
        waits = {use[1] for use in {*uses, *expect_uses} if use[0] == "stages"}
        waits.discard(draft.name)
        waits |= {draft.name for use in uses if use[:2] == ("made", draft.name)}
        needs = draft.node.get("needs")
        for need in needs.value if needs is not None and isinstance(needs.value, list) else ():
            if isinstance(need.value, str):
                self.need(draft, need, waits)
        return tuple(sorted(waits & self.places.keys(), key=self.places.__getitem__))

    def need(self, draft: Draft, need: Node, waits: set[str]) -> None:
        stages = self.resolver.drafts
        notes = self.recipe.inherited(need)
        if need.value == draft.name:
            why, rule, hint = f"'{draft.name}' needs itself", "stage-cycle", "remove it"
        elif need.value in stages:
            waits.add(need.value)
            return
        elif is_template(need.value):
            self.resolver.mention(need.value)
            why, rule, hint = f"'{draft.name}' needs a template", "unknown-stage", FIXED
        else:
            why, rule = (
                f"'{draft.name}' needs '{need.value}', which is not a stage",
                "unknown-stage",
            )
            hint = offer(need.value, Others(stages, draft.name))
        if not self.recipe.missing_files:
            self.problems.append(
                Problem(mark=need.mark, message=why, rule=rule, hint=hint, notes=notes)
            )

    def circle(self, names: list[str]) -> None:
        """Tell a circle of stages that wait for each other."""
        if names:
            node = self.resolver.drafts[names[0]].node
            why = f"stages wait for each other: {' -> '.join(names)}"
            hint = "remove one of these references or needs"
            if len(set(names)) == 1:
                why = f"stage '{names[0]}' reads what it makes itself"
                hint = "name an earlier stage"
            self.problems.append(
                Problem(mark=node.key_mark, message=why, rule="stage-cycle", hint=hint)
            )

    def track(self) -> Json:
        """Return the trackers the recipe names, with their options filled in."""
        declared = self.recipe.tree.get("track")
        return self.resolver.fill(declared, "")[0] if declared is not None else {}

    def description(self) -> str:
        """Return the recipe's description, filled in."""
        declared = self.recipe.tree.get("description")
        if declared is None or not isinstance(declared.value, str):
            return ""
        value, _ = self.resolver.fill(declared, "")
        return value if isinstance(value, str) else ""


def _key(problem: Problem) -> tuple[Mark, str]:
    return problem.mark, problem.message
