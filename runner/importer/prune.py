"""Adopted stages in, the same with leave to do what a rule refuses and the script does.

A script that works has to be a recipe that passes a check; what is wrong with it is told.
"""

from collections.abc import Collection, Iterator

from runner.base.problems import Mark, Problem
from runner.catalog.tools import complete
from runner.importer.arguments import IGNORED
from runner.importer.script import Adoption
from runner.importer.stages import Adopted, plain, said
from runner.lint.facts import Finding, Known
from runner.lint.rule import Rule, View, examine, rules
from runner.lint.rules.lr_schedule import hidden
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


def concede(adoption: Adoption, known: Known) -> None:
    """Allow each stage what it did as a command, with a note; `known` is what the disk says."""
    plan = planned(adoption)
    for adopted in adoption.stages:
        found = list(_found(adopted, plan, known))
        if found:
            adopted.around["allow"] = sorted({rule.slug for rule, _ in found})
            adopted.notes += [_note(adopted, rule, finding) for rule, finding in found]


def _found(adopted: Adopted, plan: Plan, known: Known) -> Iterator[tuple[Rule, Finding]]:
    """Yield what is to be allowed; nothing where values are not known yet."""
    if all(map(said, adopted.given.values())):
        yield from findings(adopted, plan, CONCEDED, known)


def _note(adopted: Adopted, rule: Rule, finding: Finding) -> Problem:
    given = adopted.given.get(finding.parameter.partition(".")[0])
    mark: Mark = given.mark if given is not None else adopted.mark
    traps = f" ({', '.join(rule.traps)})" if rule.traps else ""
    why = f"allowed, because the script does it: {finding.message}{traps}"
    hint = f"{finding.hint}; then take {rule.slug} out of allow"
    return Problem(mark=mark, message=why, rule=rule.slug, hint=hint, severity="warning")


_HIDDEN = "schedule-hides-learning-rate"
# What these rules find is a value that does nothing; others find values that do the wrong thing.
NEVER_READ = frozenset(
    {
        "adafactor-ignores-learning-rate",
        "full-ignores-lora-parameters",
        "hf-dataset-ignores-features",
        "project-name-not-read",
        _HIDDEN,
        "test-ignores-resume-file",
    }
)


def prune(adoption: Adoption) -> None:
    """Drop from each stage what does nothing, with a note in its place."""
    plan = planned(adoption)
    for adopted in adoption.stages:
        while any(_drop(adopted, rule, one) for rule, one in findings(adopted, plan, NEVER_READ)):
            pass
        for rule, one in _hidden(adopted, plan) if not adoption.terse else ():
            _drop(adopted, rule, one)


def planned(adoption: Adoption) -> Plan:
    """Return the plan of adopted stages, for the rules; those that lack a parameter are not in it.

    What the script leaves to bash is at its default.
    """
    return Plan(
        name="", file="", stages=tuple(_stage(one) for one in adoption.stages if _whole(one))
    )


def findings(
    adopted: Adopted, plan: Plan, slugs: Collection[str], known: Known | None = None
) -> Iterator[tuple[Rule, Finding]]:
    """Yield what some of the rules find in a stage; nothing in one that is not sound."""
    view = _view(adopted, plan, known)
    for rule, finding in examine(view) if view is not None else ():
        if rule.slug in slugs:
            yield rule, finding


def _stage(adopted: Adopted) -> Stage:
    schema = adopted.tool.schema
    given = {name: one for name, one in adopted.given.items() if name not in adopted.refused}
    params = complete(schema, plain(given), schema)
    return Stage(name=adopted.name, tool=adopted.tool.name, params=params, outputs=adopted.outputs)


def _whole(adopted: Adopted) -> bool:
    """Say whether a stage has every parameter of its tool."""
    return _stage(adopted).params.keys() >= adopted.tool.parameters.keys()


def _view(adopted: Adopted, plan: Plan, known: Known | None = None) -> View | None:
    """Return what the rules see of a stage, None where it lacks a parameter or has a wrong one."""
    if adopted.refused or not _whole(adopted):
        return None
    given = frozenset(_dotted(plain(adopted.given)))
    return View(
        stage=_stage(adopted), tool=adopted.tool, given=given, plan=plan, known=known or Known()
    )


def _hidden(adopted: Adopted, plan: Plan) -> Iterator[tuple[Rule, Finding]]:
    """Yield a learning_rate that is the schedule's peak: as long as it is, no rule minds it."""
    view, rule = _view(adopted, plan), rules()[_HIDDEN]
    found = hidden(view) if view is not None and adopted.tool.name in rule.tools else None
    if found is not None:
        yield rule, found[1]


def _drop(adopted: Adopted, rule: Rule, finding: Finding) -> bool:
    name = finding.parameter.partition(".")[0]
    given = adopted.given.pop(name, None)
    if given is None:
        return False
    traps = f" ({', '.join(rule.traps)})" if rule.traps else ""
    why = f"left out: {finding.message}{traps}"
    hint = f"run-recipe rules {rule.slug} says what counts"
    adopted.notes.append(
        Problem(mark=given.mark, message=why, rule=IGNORED, hint=hint, severity="warning")
    )
    return True


def _dotted(given: object, above: str = "") -> Iterator[str]:
    for name, child in given.items() if isinstance(given, dict) else ():
        yield f"{above}{name}"
        yield from _dotted(child, f"{above}{name}.")
