"""Adopted stages in, the same with leave to do what a rule refuses and the script does.

A script that works has to be a recipe that passes a check; what is wrong with it is told.
"""

from collections.abc import Iterator

from runner.core.adoption import Adoption
from runner.core.fitting import Adopted, said
from runner.core.plan import Plan
from runner.core.problem import Mark, Problem
from runner.core.rules import Finding, Known, Rule
from runner.core.unread import findings, planned

# What these rules find mlx-lm does to the end, without a word, and what it makes can be used; where
# others find something it stops, a later stage does, or an adapter is not what anybody meant.
SLUGS = frozenset(
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
        yield from findings(adopted, plan, SLUGS, known)


def _note(adopted: Adopted, rule: Rule, finding: Finding) -> Problem:
    given = adopted.given.get(finding.parameter.partition(".")[0])
    mark: Mark = given.mark if given is not None else adopted.mark
    traps = f" ({', '.join(rule.traps)})" if rule.traps else ""
    why = f"allowed, because the script does it: {finding.message}{traps}"
    hint = f"{finding.hint}; then take {rule.slug} out of allow"
    return Problem(mark, why, rule.slug, hint, severity="warning")
