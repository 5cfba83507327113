"""A recipe in, a Plan out: every parameter explicit, in the order the stages run."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from runner.base.problems import Mark, Others, Problem, listing, offer, ordered, shown, suggest
from runner.catalog.tools import Catalog, Tool, complete
from runner.catalog.validate import Path, Violation, violations
from runner.catalog.validator import MAX_ERRORS
from runner.plan import blame
from runner.plan import launch as launching
from runner.plan import train_options as training
from runner.plan.expectations import expectations
from runner.plan.inheritance import FIXED, Draft
from runner.plan.inputs import no_paths
from runner.plan.keys import from_template, placed, recipe_problems, seconds, stage_problems
from runner.plan.model import Plan, Retry, Stage
from runner.plan.order import collisions, following, in_order
from runner.plan.resolve import Resolver, incomplete
from runner.plan.scope import Use
from runner.plan.unused import profile_problems, unused
from runner.recipe.load import Recipe
from runner.recipe.node import Node, locate
from runner.recipe.template.render import is_template


class Compiled(Struct, kw_only=True):
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
) -> Compiled:
    """Turn a recipe into a plan.

    `envelope` is schema/envelope.json, `environ` is for env(), `slugs` are the rules there are.
    """
    resolver = Resolver(recipe, catalog, environ)
    if resolver.full:
        return Compiled(plan=None, problems=resolver.problems, resolver=resolver)
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
    found = builder.causes([*builder.problems, *builder.shared()])
    problems = ordered([*found, *resolver.first(found)])
    plan = None
    if whole and not any(problem.severity == "error" for problem in problems):
        judged = resolver.named(line for stage in stages for line in stage.expect)
        plan = Plan(
            name=recipe.name,
            file=recipe.file,
            stages=tuple(stages),
            description=description,
            vars=judged,
            track=track,
        )
    return Compiled(plan=plan, problems=problems, resolver=resolver)


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
        self.handed = 0
        self.params: dict[str, Json] = {}
        self.places = {name: at for at, name in enumerate(resolver.drafts)}
        self.trainers: dict[str, Json] = {}
        self.settings: dict[str, Json] = {}
        self.marks: dict[str, set[Mark]] = {}
        self.follows: dict[tuple[Mark, str], set[Mark]] = {}

    def stages(self) -> list[Stage]:
        """Return the stages that have no problem, as they are written."""
        drafts = self.resolver.drafts.values()
        begun = []
        for draft in drafts:
            begun.append((draft, *self.begun(draft)))
            if self.told() > MAX_ERRORS:
                why = f"more than {MAX_ERRORS:,} problems up to here: what follows is not looked at"
                mark = draft.node.key_mark
                self.problems.append(
                    Problem(mark=mark, message=why, rule="more-problems", hint="mend these first")
                )
                return []
        return [
            stage
            for draft, options, uses in begun
            if (stage := self.stage(draft, options, uses)) is not None
        ]

    def begun(self, draft: Draft) -> tuple[Json, frozenset[Use]]:
        """Return a stage's own keys and the outputs it reads; sound parameters are put aside."""
        before = self.told()
        options, uses = self.options(draft)
        tool = self.tool(draft)
        given, read = self.resolver.fill(draft.given, draft.name)
        if tool is not None:
            self.check(draft, tool, given)
            # A var that several stages read is told once: what it made of them is looked at itself.
            if before == self.told() and not (incomplete(options) or incomplete(given)):
                self.params[draft.name] = self.full(draft, tool, given)
        around = self.trainers[draft.name] = self.trainer(draft, options)
        if before == self.told() and draft.name in self.params:
            self.settings[draft.name] = {**self.params[draft.name], **around}
        return options, uses | read.made

    def told(self) -> int:
        """Return how many problems are told so far."""
        return len(self.problems) + len(self.resolver.problems) + self.handed

    def stage(self, draft: Draft, options: Json, uses: frozenset[Use]) -> Stage | None:
        """Return the finished stage, None where a problem stands in its way."""
        before = self.told()
        expect, judged = expectations(draft, self.resolver, self.settings)
        after = self.after(draft, uses, judged)
        launch = self.launch(draft, options)
        if draft.name not in self.params or draft.tool is None or before != self.told():
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
        said = options.get("launch")
        if not said or not isinstance(said, dict):
            return {}  # what is no mapping is told by the shape of the recipe
        launcher = self.resolver.catalog.launcher
        found = violations(launcher.schema, launching.given(said))
        node = draft.node.get("launch") or draft.node
        self.problems += [placed(one, node, "launch") for one in found]
        return {} if found else launching.full(launching.given(said), launcher)

    def trainer(self, draft: Draft, options: Json) -> Json:
        """Return every parameter of what stands around the trainer, none where it stands alone."""
        trainer = self.resolver.catalog.trainer
        said = training.given(options)
        found = list(training.refused(said, trainer))
        for one in found:
            notes = self.recipe.inherited(locate(draft.node, one.path))
            self.problems.append(placed(one, draft.node, f"stage '{draft.name}'", notes))
        return {} if found else training.full(said, trainer)

    def options(self, draft: Draft) -> tuple[Json, frozenset[Use]]:
        """Return a stage's own keys, filled in, and the outputs they read."""
        node = draft.node
        if not isinstance(node.value, dict):
            if not node.told():
                why = f"stage '{draft.name}' must be a mapping, not {shown(node.plain())}"
                hint = "write {tool: NAME, params: {…}}"
                self.problems.append(
                    Problem(mark=node.mark, message=why, rule="not-a-mapping", hint=hint)
                )
            return {}, frozenset()
        said: Json = {}
        uses: frozenset[Use] = frozenset()
        for key, child in node.value.items():
            if key in {"params", "expect", "tool", "extends", "needs"}:
                plain = child.plain()
                said[key] = {} if key == "params" and isinstance(plain, dict) else plain
            else:
                said[key], read = self.resolver.fill(child, draft.name)
                uses |= read.made
        self.problems += stage_problems(draft, said, self.schema, self.recipe)
        self.allowed(draft)
        return said, uses

    def allowed(self, draft: Draft) -> None:
        """Tell each slug a stage allows that no rule has."""
        said = draft.node.get("allow")
        for slug in said.value if said is not None and isinstance(said.value, list) else ():
            if self.slugs and isinstance(slug.value, str) and slug.value not in self.slugs:
                hint = suggest(slug.value, self.slugs, "see: run-recipe rules")
                why = f"there is no rule '{slug.value}'"
                self.problems.append(
                    Problem(mark=slug.mark, message=why, rule="unknown-rule", hint=hint)
                )

    def tool(self, draft: Draft) -> Tool | None:
        """Return a stage's tool; one that does not exist is a problem."""
        said = draft.node.get("tool")
        if draft.tool is None and said is not None and isinstance(said.value, str):
            name = said.value
            known = self.resolver.catalog.names
            endings = self.resolver.catalog.named(name)
            near = f"did you mean '{endings[0]}'?" if len(endings) == 1 else offer(name, known)
            why, hint = f"there is no tool '{name}'", near
            if is_template(name):
                self.resolver.mentioned(name)
                why, hint = "tool is a template", FIXED
            notes = self.recipe.inherited(said)
            self.problems.append(
                Problem(mark=said.mark, message=why, rule="unknown-tool", hint=hint, notes=notes)
            )
        return draft.tool

    def check(self, draft: Draft, tool: Tool, given: Json) -> None:
        """Tell what the tool's schema refuses in a stage's parameters."""
        beside = self.beside(draft, tool)
        if not draft.sound:
            return
        whole = self.anchor(draft)
        for one in (*violations(tool.schema, given), *no_paths(tool, given)):
            found = self.moved(one)
            if found.rule == "missing-key" and (beside or self.recipe.lost):
                continue
            if beside and not found.path:
                continue
            at = locate(draft.given, found.path)
            made = blame.parts(self.resolver, draft, at) if found.path else []
            notes = (*(part.note for part in made), *self.recipe.inherited(at))
            problem = placed(found, whole, tool.name, notes)
            if is_template(str(found.path[-1:])):
                self.resolver.mentioned(str(found.path[-1]))
            if isinstance(at.value, str) and is_template(at.value) and found.wanted:
                value: Any = given
                for step in found.path:
                    value = value[step]
                problem = replace(problem, hint=from_template(found, at.value, value))
            if made:
                problem = blame.led(problem, found, draft, at, self.resolver)
            if blame.computed(at):
                self.follows[_key(problem)] = {part.node.mark for part in made}
            self.tell(draft, found.path, problem)

    def moved(self, found: Violation) -> Violation:
        """Return a violation; of a stage's own key among its parameters, with where it belongs."""
        stray = found.rule == "unknown-key" and len(found.path) == 1
        if not stray or found.path[0] not in self.schema["properties"]:
            return found
        return replace(found, hint=f"write {found.path[0]}: … beside params, not in it")

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
            or (node and node.mark == locate(draft.given, path).mark)
        ):
            self.problems.append(problem)
        else:
            self.inherited.setdefault(problem, []).append(draft.name)
            self.handed += 1

    def own(self, draft: Draft) -> set[Mark]:
        """Return the places of a stage's own parameters."""
        if draft.name not in self.marks:
            said = self.recipe.section("stages")[draft.name].get("params")
            below = said.value.values() if said and isinstance(said.value, dict) else ()
            self.marks[draft.name] = {one.mark for one in below}
        return self.marks[draft.name]

    def shared(self) -> Iterable[Problem]:
        """Yield each inherited problem once, with the stages it reaches."""
        own = {(problem.mark, problem.message) for problem in self.problems}
        for problem, names in self.inherited.items():
            if (problem.mark, problem.message) not in own:
                what = "stage" if len(names) == 1 else "stages"
                note = (None, f"in {what} {listing(names, 5)}")
                yield replace(problem, notes=(*problem.notes, note))

    def causes(self, found: Sequence[Problem]) -> list[Problem]:
        """Return the problems, without those of values computed with a value told by another."""
        sure = [one for one in found if _key(one) not in self.follows and one.severity == "error"]
        told = {mark for one in sure for mark in (one.mark, *(mark for mark, _ in one.notes))}
        return [one for one in found if not self.follows.get(_key(one), set()) & told]

    def anchor(self, draft: Draft) -> Node:
        """Return a stage's parameters at the place of the stage where it has none of its own."""
        own = self.recipe.section("stages")[draft.name].get("params")
        mark = (own or draft.node).key_mark
        return Node(value=draft.given.value, file=mark.file, line=mark.line, column=mark.column)

    def full(self, draft: Draft, tool: Tool, given: Json) -> Json:
        """Return every parameter of the tool with its value."""
        made = {
            output.param: output
            for output in tool.outputs.values()
            if output.param and output.param not in given
        }
        placed = {
            name: place
            for name, output in made.items()
            if self.resolver.makes(draft, output)
            and (place := self.resolver.placed(draft, name)) is not None
        }
        return complete(tool.schema, {**given, **placed}, tool.schema)

    def after(self, draft: Draft, uses: Iterable[Use], judged: Iterable[Use]) -> tuple[str, ...]:
        """Return the stages this one waits for: those it reads from, and its ``needs``."""
        waits = {use[1] for use in {*uses, *judged} if use[0] == "stages"}
        waits.discard(draft.name)
        waits |= {draft.name for use in uses if use[:2] == ("made", draft.name)}
        said = draft.node.get("needs")
        for need in said.value if said is not None and isinstance(said.value, list) else ():
            if isinstance(need.value, str):
                self.need(draft, need, waits)
        return tuple(sorted(waits & self.places.keys(), key=self.places.__getitem__))

    def need(self, draft: Draft, need: Node, waits: set[str]) -> None:
        known = self.resolver.drafts
        notes = self.recipe.inherited(need)
        if need.value == draft.name:
            why, rule, hint = f"'{draft.name}' needs itself", "stage-cycle", "remove it"
        elif need.value in known:
            waits.add(need.value)
            return
        elif is_template(need.value):
            self.resolver.mentioned(need.value)
            why, rule, hint = f"'{draft.name}' needs a template", "unknown-stage", FIXED
        else:
            why, rule = (
                f"'{draft.name}' needs '{need.value}', which is not a stage",
                "unknown-stage",
            )
            hint = offer(need.value, Others(known, draft.name))
        if not self.recipe.lost:
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
        said = self.recipe.tree.get("track")
        return self.resolver.fill(said, "")[0] if said is not None else {}

    def description(self) -> str:
        """Return the recipe's description, filled in."""
        said = self.recipe.tree.get("description")
        if said is None or not isinstance(said.value, str):
            return ""
        value, _ = self.resolver.fill(said, "")
        return value if isinstance(value, str) else ""


def _key(problem: Problem) -> tuple[Mark, str]:
    return problem.mark, problem.message
