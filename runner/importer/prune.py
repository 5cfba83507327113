"""Drafts of stages in, the same out, allowing what a rule refuses but the script does.

A working script has to become a recipe that passes a check; its problems are reported.
"""

from collections.abc import Collection, Iterator

from runner.base.problems import Mark, Problem
from runner.catalog.tools import Catalog, complete
from runner.importer.arguments import IGNORED
from runner.importer.script import Adoption
from runner.importer.stages import StageDraft, is_known, plain
from runner.lint.facts import DiskFacts, Finding
from runner.lint.rule import Rule, View, examine, rules
from runner.lint.rules.lr_schedule import hidden_rate
from runner.plan.model import Plan, Stage

# What these rules find mlx-lm does to the end, without a word, and what it makes can be used; where
# others find something it stops, a later stage does, or an adapter is not what anybody meant.
CONCEDED = frozenset(
    {
        "fuse-without-dequantize",
        "iters-not-multiple-of-accumulation",
        "keys-from-the-root",
        "num-layers-ambiguous",
        "quantizes-twice",
        "schedule-shorter-than-training",
        "schedule-under-accumulation",
        "warmup-longer-than-training",
    }
)


def concede(adoption: Adoption, facts: DiskFacts, catalog: Catalog) -> None:
    """Allow each stage what it did as a command, with a note; `facts` is what the disk says."""
    plan = plan_of(adoption)
    for draft in adoption.stages:
        concessions = list(_concessions(draft, plan, facts, catalog))
        if concessions:
            draft.around["allow"] = sorted({rule.slug for rule, _ in concessions})
            draft.notes += [_note(draft, rule, finding) for rule, finding in concessions]


def _concessions(
    draft: StageDraft, plan: Plan, facts: DiskFacts, catalog: Catalog
) -> Iterator[tuple[Rule, Finding]]:
    """Yield what is to be allowed; nothing where values are not known yet."""
    if all(map(is_known, draft.values.values())):
        yield from findings(draft, plan, CONCEDED, catalog, facts)


def _note(draft: StageDraft, rule: Rule, finding: Finding) -> Problem:
    value = draft.values.get(finding.parameter.partition(".")[0])
    mark: Mark = value.mark if value is not None else draft.mark
    traps = f" ({', '.join(rule.traps)})" if rule.traps else ""
    why = f"allowed because the script does it: {finding.message}{traps}"
    hint = f"{finding.hint}; then remove {rule.slug} from allow"
    return Problem(mark=mark, message=why, rule=rule.slug, hint=hint, severity="warning")


_HIDDEN = "schedule-hides-learning-rate"
# What these rules find is a value that does nothing; others find values that do the wrong thing.
NEVER_READ = frozenset(
    {
        "adafactor-ignores-learning-rate",
        "full-ignores-lora-parameters",
        "hf-dataset-ignores-features",
        "parameter-not-read",
        "project-name-not-read",
        _HIDDEN,
        "test-ignores-resume-file",
    }
)


def prune(adoption: Adoption, catalog: Catalog) -> None:
    """Drop from each stage what does nothing, with a note in its place."""
    plan = plan_of(adoption)
    for draft in adoption.stages:
        while any(
            _drop(draft, rule, one) for rule, one in findings(draft, plan, NEVER_READ, catalog)
        ):
            pass
        for rule, one in _hidden_rates(draft, plan, catalog) if not adoption.terse else ():
            _drop(draft, rule, one)


def plan_of(adoption: Adoption) -> Plan:
    """Return the plan of draft stages, for the rules; those that lack a parameter are not in it.

    What the script leaves to bash is at its default.
    """
    return Plan(
        name="", file="", stages=tuple(_stage(one) for one in adoption.stages if _whole(one))
    )


def findings(
    draft: StageDraft,
    plan: Plan,
    slugs: Collection[str],
    catalog: Catalog,
    facts: DiskFacts | None = None,
) -> Iterator[tuple[Rule, Finding]]:
    """Yield what some of the rules find in a stage; nothing in one that is not sound."""
    view = _view(draft, plan, catalog, facts)
    for rule, finding in examine(view) if view is not None else ():
        if rule.slug in slugs:
            yield rule, finding


def _stage(draft: StageDraft) -> Stage:
    schema = draft.tool.schema
    values = {name: one for name, one in draft.values.items() if name not in draft.invalid}
    params = complete(schema, plain(values), schema)
    return Stage(name=draft.name, tool=draft.tool.name, params=params, outputs=draft.outputs)


def _whole(draft: StageDraft) -> bool:
    """Return whether a stage has every parameter of its tool."""
    return _stage(draft).params.keys() >= draft.tool.parameters.keys()


def _view(
    draft: StageDraft, plan: Plan, catalog: Catalog, facts: DiskFacts | None = None
) -> View | None:
    """Return what the rules see of a stage, None if it lacks a parameter or has a wrong one."""
    if draft.invalid or not _whole(draft):
        return None
    names = frozenset(_dotted_names(plain(draft.values)))
    return View(
        stage=_stage(draft),
        tool=draft.tool,
        explicit=names,
        plan=plan,
        catalog=catalog,
        facts=facts or DiskFacts(),
        own=names,
    )


def _hidden_rates(
    draft: StageDraft, plan: Plan, catalog: Catalog
) -> Iterator[tuple[Rule, Finding]]:
    """Yield a learning_rate that is the schedule's peak: as long as it is, no rule minds it."""
    view, rule = _view(draft, plan, catalog), rules()[_HIDDEN]
    match = hidden_rate(view) if view is not None and _HIDDEN in draft.tool.rules else None
    if match is not None:
        yield rule, match[1]


def _drop(draft: StageDraft, rule: Rule, finding: Finding) -> bool:
    name = finding.parameter.partition(".")[0]
    value = draft.values.pop(name, None)
    if value is None:
        return False
    traps = f" ({', '.join(rule.traps)})" if rule.traps else ""
    why = f"left out: {finding.message}{traps}"
    hint = f"run-recipe rules {rule.slug} explains it"
    draft.notes.append(
        Problem(mark=value.mark, message=why, rule=IGNORED, hint=hint, severity="warning")
    )
    return True


def _dotted_names(values: object, above: str = "") -> Iterator[str]:
    for name, child in values.items() if isinstance(values, dict) else ():
        yield f"{above}{name}"
        yield from _dotted_names(child, f"{above}{name}.")
