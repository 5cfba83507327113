"""A recipe in, a Plan out: every parameter explicit, in the order the stages run."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from runner.base.problems import Mark, Others, Problem, listing, offer, sort_problems
from runner.catalog.tools import Catalog
from runner.catalog.validate import violations
from runner.catalog.validator import MAX_ERRORS
from runner.plan import launch as launching
from runner.plan.budget import Rows
from runner.plan.expectations import expectations
from runner.plan.inheritance import FIXED, Draft, TooLargeError, drafts
from runner.plan.keys import problem_at, recipe_problems, seconds
from runner.plan.model import Plan, Retry, Stage
from runner.plan.order import collisions, following, in_order
from runner.plan.resolve import Filled, Resolver, Troubles, mentions
from runner.plan.scope import Use
from runner.plan.settings import Settings, Words, settings
from runner.plan.unused import Offers, offers, profile_problems, unused
from runner.recipe.load import Recipe
from runner.recipe.template.render import is_template

if TYPE_CHECKING:
    from runner.recipe.node import Node


class Compilation(Struct, kw_only=True):
    """A plan, or None where an error is in its way, with every problem found.

    `offers` are what its bases hold, and whether it uses that; None where that is not known.
    """

    plan: Plan | None
    problems: "list[Problem]"
    resolver: "Resolver"
    offers: Offers | None = None


Json = dict[str, Any]


class _Outcome(Struct, frozen=True, kw_only=True):
    """What became of a stage: None where something is wrong with it, with its problems.

    `filled` is what was filled in for it beside its settings, `mentions` the vars it names where
    none are read.
    """

    stage: Stage | None
    problems: "list[Problem]"
    filled: "list[Filled]"
    mentions: set[Use]


def build(
    recipe: Recipe,
    catalog: Catalog,
    envelope: Json,
    environ: Mapping[str, str],
    slugs: Collection[str] = (),
    rows: Rows | None = None,
) -> Compilation:
    """Turn a recipe into a plan.

    `envelope` is schema/envelope.json, `environ` is for env(), `slugs` are the rules there are.
    `rows` counts the rows of data for budgets; without it a budget says nothing of ``iters``.
    """
    problems: list[Problem] = []
    try:
        every = drafts(recipe, catalog, problems, budgets=rows is not None)
    except TooLargeError as error:
        nothing = Resolver(recipe, catalog, {}, environ)
        return Compilation(plan=None, problems=[error.problem], resolver=nothing)
    resolver = Resolver(recipe, catalog, every, environ, rows)
    schema = {**envelope["$defs"]["stage"], "$defs": envelope["$defs"]}
    words = Words(recipe=recipe, resolver=resolver, schema=schema, slugs=slugs)
    problems += recipe_problems(recipe, envelope)
    said, too_many = _settings(words)
    problems += too_many
    outcomes = _outcomes(said, words) if not too_many else []
    stages = [one.stage for one in outcomes if one.stage is not None]
    description, track = (_of_recipe(name, resolver) for name in ("description", "track"))
    if whole := len(stages) == len(every):
        problems += collisions(stages, resolver)
        stages, circle = in_order(following(stages, catalog))
        problems += _circle(circle, resolver)
    parts: Sequence[Settings | _Outcome] = [*said, *outcomes]
    filled = [description, track, *(of for one in parts for of in one.filled)]
    reads = {use for one in (*filled, *resolver.values.values()) for use in one.reads}
    reads |= {use for one in parts for use in one.mentions}
    problems += profile_problems(recipe, resolver, words.schema)
    problems += [problem for one in parts for problem in one.problems]
    problems += unused(recipe, resolver, reads)
    problems = _causes([*problems, *_inherited(said, problems)], said, resolver.troubles(filled))
    plan = None
    if whole and not any(problem.severity == "error" for problem in problems):
        plan = Plan(
            name=recipe.name,
            file=recipe.file,
            stages=tuple(stages),
            description=description.value if isinstance(description.value, str) else "",
            vars=resolver.vars_of(line for stage in stages for line in stage.expect),
            track=track.value or {},
        )
    known = not recipe.gaps and not too_many
    offer = offers(recipe, resolver, reads) if known else None
    return Compilation(plan=plan, problems=problems, resolver=resolver, offers=offer)


def _settings(words: Words) -> tuple[list[Settings], list[Problem]]:
    """Return what each stage says; of a recipe with endless problems, the problem that it is."""
    said = []
    count = 0
    for draft in words.resolver.drafts.values():
        said.append(settings(draft, words))
        count += said[-1].count
        if count > MAX_ERRORS:
            why = f"more than {MAX_ERRORS:,} problems: the rest of the recipe was not checked"
            mark, hint = draft.node.key_mark, "fix these first"
            return said, [Problem(mark=mark, message=why, rule="more-problems", hint=hint)]
    return said, []


def _outcomes(said: Sequence[Settings], words: Words) -> list[_Outcome]:
    """Return what becomes of each stage, whose expectations may read of all others."""
    params = {one.draft.name: whole for one in said if (whole := one.whole) is not None}
    places = {one.draft.name: at for at, one in enumerate(said)}
    return [_outcome(one, words, params, places) for one in said]


def _outcome(
    said: Settings, words: Words, params: Mapping[str, Json], places: Mapping[str, int]
) -> _Outcome:
    """Return the finished stage, None if a problem is in its way."""
    draft, options = said.draft, said.options
    expect, filled = expectations(draft, words.resolver, params)
    waits, problems, named = _needs(draft, words)
    waits |= _reads_from(draft, said.outputs, (use for one in filled for use in one.outputs))
    launch, refusals = _launch(draft, options, words.resolver.catalog)
    problems += refusals
    troubled = problems or any(one.troubles for one in filled)
    if said.params is None or draft.tool is None or troubled:
        return _Outcome(stage=None, problems=problems, filled=filled, mentions=named)
    retry = options.get("retry", {})
    stage = Stage(
        name=draft.name,
        tool=draft.tool.name,
        params=said.params,
        outputs=words.resolver.outputs(draft),
        after=tuple(sorted(waits & places.keys(), key=places.__getitem__)),
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
        trainer=said.trainer,
        continues=options.get("continue", False),
    )
    return _Outcome(stage=stage, problems=problems, filled=filled, mentions=named)


def _launch(draft: Draft, options: Json, catalog: Catalog) -> tuple[Json, list[Problem]]:
    """Return every parameter of the launcher, none where the stage names none."""
    declared = options.get("launch")
    if not declared or not isinstance(declared, dict):
        return {}, []  # what is not a mapping is told by the shape of the recipe
    arguments = launching.arguments(declared)
    node = draft.node.get("launch") or draft.node
    problems = [
        problem_at(one, node, "launch") for one in violations(catalog.launcher.schema, arguments)
    ]
    return {} if problems else launching.full(arguments, catalog.launcher), problems


def _reads_from(draft: Draft, uses: Iterable[Use], expect_uses: Iterable[Use]) -> set[str]:
    """Return the stages that one reads from; itself, where it reads what it makes."""
    every = set(uses)
    waits = {use[1] for use in {*every, *expect_uses} if use[0] == "stages"} - {draft.name}
    return waits | {draft.name for use in every if use[:2] == ("made", draft.name)}


def _needs(draft: Draft, words: Words) -> tuple[set[str], list[Problem], set[Use]]:
    """Return the stages in ``needs``, what is wrong with them, and the vars they name."""
    stages = words.resolver.drafts
    waits: set[str] = set()
    problems: list[Problem] = []
    named: set[Use] = set()
    needs = draft.node.get("needs")
    for need in needs.value if needs is not None and isinstance(needs.value, list) else ():
        if not isinstance(need.value, str):
            continue
        rule = "unknown-stage"
        if need.value == draft.name:
            why, rule, hint = f"stage '{draft.name}' needs itself", "stage-cycle", "remove it"
        elif need.value in stages:
            waits.add(need.value)
            continue
        elif is_template(need.value):
            named |= mentions(need.value)
            why, hint = f"'needs' of stage '{draft.name}' cannot contain a template", FIXED
        else:
            why = f"stage '{draft.name}' needs '{need.value}', which is not a stage"
            hint = offer(need.value, Others(stages, draft.name))
        if not words.recipe.missing_files:
            notes = words.recipe.inherited(need)
            problems.append(Problem(mark=need.mark, message=why, rule=rule, hint=hint, notes=notes))
    return waits, problems, named


def _circle(names: Sequence[str], resolver: Resolver) -> Iterator[Problem]:
    """Yield the problem of a cycle of stages that wait for each other, nothing for no cycle."""
    if names:
        node = resolver.drafts[names[0]].node
        why = f"stages wait for each other: {' -> '.join(names)}"
        hint = "remove one of these references or needs"
        if len(set(names)) == 1:
            why = f"stage '{names[0]}' reads its own output"
            hint = "name an earlier stage"
        yield Problem(mark=node.key_mark, message=why, rule="stage-cycle", hint=hint)


def _of_recipe(name: str, resolver: Resolver) -> Filled:
    """Return the recipe's description or its trackers, filled in."""
    declared: Node | None = resolver.recipe.tree.get(name)
    text = name == "description"
    if declared is None or (text and not isinstance(declared.value, str)):
        return Filled()
    return resolver.fill(declared, "")


def _inherited(said: Iterable[Settings], problems: Iterable[Problem]) -> Iterator[Problem]:
    """Yield each inherited problem once, with the stages it reaches."""
    own = {(problem.mark, problem.message) for problem in problems}
    stages: dict[Problem, list[str]] = {}
    for one in said:
        for problem in one.inherited:
            stages.setdefault(problem, []).append(one.draft.name)
    for problem, names in stages.items():
        if (problem.mark, problem.message) not in own:
            what = "stage" if len(names) == 1 else "stages"
            note = (None, f"in {what} {listing(names, 5)}")
            yield replace(problem, notes=(*problem.notes, note))


def _causes(
    problems: Sequence[Problem], said: Iterable[Settings], troubles: Troubles
) -> list[Problem]:
    """Return the problems in order, without those that only follow from another one.

    What computes with a value of the wrong type fails, too: that is not a second mistake.
    """
    parts = {key: marks for one in said for key, marks in one.parts.items()}
    sure = _places(one for one in problems if (one.mark, one.message) not in parts)
    direct = [one for one in problems if not parts.get((one.mark, one.message), set()) & sure]
    told = _places(direct)
    return sort_problems([*direct, *(one for one, read in troubles.items() if not read & told)])


def _places(problems: Iterable[Problem]) -> set[Mark | None]:
    """Return the places of errors, and those that their notes name."""
    errors = [one for one in problems if one.severity == "error"]
    return {mark for one in errors for mark in (one.mark, *(mark for mark, _ in one.notes))}
