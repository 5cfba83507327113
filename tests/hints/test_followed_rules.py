"""Every hint of a rule is followed in the rule's own case, and the rule must then keep silent."""

import pytest
from cases import CASES, FURTHER, text
from following import PROSE, Case, Place, follow

import runner.lint.rule as framework
from runner import workflow
from runner.catalog import load as schemas
from runner.recipe.load import Overrides, load

# What the tools that are offered ask for, and the one before does not.
REVEALED = {"awq-of-other-model": "mlx_lm.dwq needs 'data_path'"}


def told(case, known):
    """Return the problems of a recipe, those of the rules where it compiles, and of its trainer."""
    loaded = load(case.file, lambda _: case.text.encode(), Overrides(sets=case.sets))
    if loaded.problems:
        return loaded.problems
    compiled = workflow.compile_recipe(loaded.recipe, {"HOME": "home"})
    return compiled.problems or framework.problems(compiled, schemas.catalog(), known)


def faults(slug, one):
    case = Case("r.yaml", text(one.bad))
    before = told(case, one.known)
    for problem in before:
        if problem.rule != slug or any(prose.fullmatch(problem.hint) for prose in PROSE):
            continue
        made = follow(Place(case, problem.mark, problem, lambda _: ""))
        lead = f"{problem.hint!r} ({problem.message})"
        if made is None:
            yield f"no form reads {lead}"
        elif not made:
            yield f"nothing follows {lead}"
        for other in made or ():
            for after in told(other, one.known):
                if after.rule == slug:
                    yield f"stays: {lead} -> {after.message}\n{other.text}{other.sets}"
                elif after.message.startswith(REVEALED.get(slug, "-")):
                    continue
                elif after.severity == "error" and after.rule not in {p.rule for p in before}:
                    yield f"makes new: {lead} -> {after.message} {after.rule}\n{other.text}{other.sets}"


@pytest.mark.parametrize("slug", sorted(CASES))
def test_a_rules_hint_that_is_followed_silences_it(slug):
    assert list(faults(slug, CASES[slug])) == []


@pytest.mark.parametrize("name", FURTHER)
def test_another_hint_of_a_rule_that_is_followed_silences_it(name):
    slug, one = FURTHER[name]
    assert slug in {problem.rule for problem in told(Case("r.yaml", text(one.bad)), one.known)}
    assert list(faults(slug, one)) == []
