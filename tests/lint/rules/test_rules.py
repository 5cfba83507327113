"""Every rule finds its own case, keeps silent at its neighbour, and can be allowed."""

import re

import pytest
from cases import CASES, NOTHING, compiled, found, one, text, trained

import runner.lint.rule as framework
from runner import workflow
from runner.catalog import load as schemas
from runner.lint.rule import FAMILIES, problems, rules
from runner.recipe import find
from runner.recipe.load import load
from runner.system import files

SLUGS = sorted(rules())


def near(case):
    return case.known if case.near_known is None else case.near_known


def test_every_rule_has_a_case_and_every_case_a_rule():
    assert sorted(CASES) == SLUGS


@pytest.mark.parametrize("slug", SLUGS)
def test_a_rule_finds_its_case(slug):
    assert slug in found(text(CASES[slug].bad), CASES[slug].known)


@pytest.mark.parametrize("slug", SLUGS)
def test_nothing_is_found_in_the_nearest_good_recipe(slug):
    assert found(text(CASES[slug].near), near(CASES[slug])) == []


@pytest.mark.parametrize("slug", SLUGS)
def test_a_stage_may_allow_it(slug):
    assert slug not in found(text(CASES[slug].bad, allow=[slug]), CASES[slug].known)


@pytest.mark.parametrize("slug", SLUGS)
def test_without_the_rule_its_case_would_not_be_found(slug, monkeypatch):
    every = framework.rules_of
    others = lambda names: [one for one in every(names) if one.slug != slug]  # noqa: E731
    monkeypatch.setattr(framework, "rules_of", others)
    assert slug not in found(text(CASES[slug].bad), CASES[slug].known)


@pytest.mark.parametrize("slug", SLUGS)
def test_a_rule_has_a_page_and_says_what_to_change(slug):
    rule = rules()[slug]
    assert rule.family in FAMILIES
    assert rule.summary.endswith(".")
    assert "\n\n" in rule.page
    found = problems(compiled(text(CASES[slug].bad)), schemas.catalog(), CASES[slug].known)
    mine = [problem for problem in found if problem.rule == slug]
    assert mine
    for problem in mine:
        assert problem.hint
        assert problem.severity == rule.severity
        assert not re.search(r"[A-Z]", problem.message[0]) or problem.message.startswith("DoRA")
        assert problem.message[-1] != "."
        assert problem.mark.file == "r.yaml"


def test_a_finding_stands_where_the_parameter_is_said():
    recipe = text(one(num_layers=0))
    (problem,) = problems(compiled(recipe), schemas.catalog())
    line = recipe.splitlines()[problem.mark.line - 1]
    assert line.strip().startswith('"num_layers": 0')


def test_a_finding_about_a_default_stands_at_the_stages_parameters():
    (problem,) = problems(compiled(text(one(lora_parameters="absent"))), schemas.catalog())
    assert problem.rule == "keys-not-said"
    lines = text(one(lora_parameters="absent")).splitlines()
    assert '"params"' in lines[problem.mark.line - 1]


def test_a_finding_names_the_vars_behind_it_and_who_inherits_it(tmp_path, monkeypatch):
    said = 'lr_schedule: {name: cosine_decay, arguments: [1e-5, 50], warmup: "{{ vars.warm }}"}'
    base = f"vars: {{warm: 120}}\ndefaults: {{mlx_lm.lora: {{model: m, data: d, {said}}}}}\n"
    top = "version: 1\nextends: base.yaml\nstages: {train: {tool: mlx_lm.lora, "
    top += "params: {train: true, iters: 100, lora_parameters: {keys: null}}}}\n"
    (tmp_path / "base.yaml").write_text(base, encoding="utf-8")
    (tmp_path / "top.yaml").write_text(top, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    result = workflow.compile_recipe(workflow.load("top.yaml", environ={}), {})
    (problem,) = problems(result, schemas.catalog())
    assert problem.rule == "warmup-longer-than-training"
    assert [(str(mark), said) for mark, said in problem.notes] == [
        ("base.yaml:1:14", "vars.warm is 120 here"),
        ("top.yaml:2:10", "inherited here"),
    ]


def test_a_finding_about_what_a_base_made_of_the_recipes_own_var_stands_at_that_var(
    tmp_path, monkeypatch
):
    said = 'lr_schedule: {name: cosine_decay, arguments: [1e-5, 50], warmup: "{{ vars.warm }}"}'
    base = f"vars: {{warm: 12}}\ndefaults: {{mlx_lm.lora: {{model: m, data: d, {said}}}}}\n"
    top = "version: 1\nextends: base.yaml\nvars: {warm: 120}\nstages: {train: {tool: mlx_lm.lora, "
    top += "params: {train: true, iters: 100, lora_parameters: {keys: null}}}}\n"
    (tmp_path / "base.yaml").write_text(base, encoding="utf-8")
    (tmp_path / "top.yaml").write_text(top, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    result = workflow.compile_recipe(workflow.load("top.yaml", environ={}), {})
    (problem,) = problems(result, schemas.catalog())
    assert (str(problem.mark), problem.rule) == ("top.yaml:3:14", "warmup-longer-than-training")
    assert [(str(mark), said) for mark, said in problem.notes] == [
        ("base.yaml:2:110", "lr_schedule.warmup is set here")
    ]


@pytest.mark.parametrize(
    "file",
    sorted(filter(find.is_recipe, files.shipped("recipes").glob("*.yaml"))),
    ids=lambda p: p.stem,
)
def test_the_shipped_recipes_break_no_rule(file):
    from runner import workflow
    from runner.lint.read_facts import look

    loaded = load(str(file), files.read)
    result = workflow.compile_recipe(loaded.recipe, {})
    assert result.plan, [p.message for p in result.problems]
    for known in (NOTHING, look(result.plan)):
        assert [p.message for p in problems(result, schemas.catalog(), known)] == []


@pytest.mark.parametrize(
    ("save", "validate", "iters"), [(100, 200, 60), (900, 200, 900), (9, 4, 7)]
)
def test_a_single_checkpoint_comes_with_a_way_out(save, validate, iters):
    slug, counts = "best-of-one-checkpoint", {"steps_per_eval": validate, "iters": iters}
    recipe = compiled(text(trained({"save_every": save, **counts}, keep="best")))
    (hint,) = (one.hint for one in problems(recipe, schemas.catalog()) if one.rule == slug)
    often = int(hint.rpartition(" ")[2])
    assert slug not in found(text(trained({"save_every": often, **counts}, keep="best")))
