"""Adopted stages in, the same without what the rules say mlx-lm records and never reads."""

from collections.abc import Iterator

from runner.core.adoption import Adoption
from runner.core.arguments import IGNORED
from runner.core.catalog import complete
from runner.core.fitting import Adopted, plain
from runner.core.plan import Plan, Stage
from runner.core.problem import Problem
from runner.core.rules import Finding, Rule, View, examine

# What these rules find is a value that does nothing; others find values that do the wrong thing.
SLUGS = frozenset(
    {
        "adafactor-ignores-learning-rate",
        "full-ignores-lora-parameters",
        "hf-dataset-ignores-features",
        "project-name-not-read",
        "schedule-hides-learning-rate",
        "test-ignores-resume-file",
    }
)


def prune(adoption: Adoption) -> None:
    """Drop from each stage what does nothing, with a note in its place."""
    plan = Plan("", "", tuple(map(_stage, adoption.stages)))
    for adopted in adoption.stages:
        while any(_drop(adopted, rule, finding) for rule, finding in _found(adopted, plan)):
            pass


def _stage(adopted: Adopted) -> Stage:
    schema = adopted.tool.schema
    given = {name: one for name, one in adopted.given.items() if name not in adopted.refused}
    params = complete(schema, plain(given), schema)
    return Stage(adopted.name, adopted.tool.name, params, adopted.outputs)


def _found(adopted: Adopted, plan: Plan) -> Iterator[tuple[Rule, Finding]]:
    """Yield what the rules of SLUGS find in a stage; nothing in one that is not sound."""
    stage = _stage(adopted)
    whole = all(name in stage.params for name in adopted.tool.parameters)
    if whole and not adopted.refused:
        given = frozenset(_dotted(plain(adopted.given)))
        for rule, finding in examine(View(stage, adopted.tool, given, plan)):
            if rule.slug in SLUGS:
                yield rule, finding


def _drop(adopted: Adopted, rule: Rule, finding: Finding) -> bool:
    name = finding.parameter.partition(".")[0]
    given = adopted.given.pop(name, None)
    if given is None:
        return False
    traps = f" ({', '.join(rule.traps)})" if rule.traps else ""
    why = f"left out: {finding.message}{traps}"
    adopted.notes.append(Problem(given.mark, why, IGNORED, finding.hint, severity="warning"))
    return True


def _dotted(given: object, above: str = "") -> Iterator[str]:
    for name, child in given.items() if isinstance(given, dict) else ():
        yield f"{above}{name}"
        yield from _dotted(child, f"{above}{name}.")
