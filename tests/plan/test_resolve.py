"""Values that read each other: each is made once, after what it reads."""

from itertools import pairwise

import pytest

from runner import workflow
from runner.recipe.template import render

HEAD = """
version: 1
stages:
  a: {tool: mlx_lm.lora, params: {train: true, model: m, data: d, iters: "{{ vars.first }}"}}
vars:
"""


@pytest.fixture
def compiled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def build(variables):
        lines = [f"  {name}: {value}" for name, value in variables.items()]
        (tmp_path / "r.yaml").write_text(HEAD + "\n".join(lines), encoding="utf-8")
        reading = workflow.read("r.yaml", environ={})
        assert reading.problems == []
        return workflow.compile_recipe(reading.recipe, {})

    return build


def messages(result):
    return [problem.message for problem in result.problems]


def ring(count, last):
    names = ["first", *(f"v{number}" for number in range(1, count)), last]
    return {name: f'"{{{{ vars.{after} }}}}"' for name, after in pairwise(names)}


@pytest.mark.parametrize("count", [1, 2, 1_500])
def test_a_chain_is_followed_to_its_end(compiled, count):
    result = compiled({**ring(count, "end"), "end": 7})
    assert result.plan.stage("a").params["iters"] == 7


def test_a_circle_is_told_once_with_its_trail(compiled):
    assert messages(compiled(ring(3, "first"))) == [
        "these values need each other: vars.first -> vars.v1 -> vars.v2 -> vars.first"
    ]


def test_a_circle_too_large_to_follow_is_told_as_one(compiled):
    (message,) = messages(compiled(ring(1_200, "first")))
    trail = "vars.first -> vars.v1 -> vars.v2 -> vars.v3 -> vars.v4 -> vars.v5 -> … (1194 more)"
    assert message == f"1,200 values need each other: {trail} -> vars.first"


def test_a_branch_that_is_not_taken_closes_no_circle(compiled):
    either = {
        "first": "\"{{ vars.small * 10 if vars.mode == 'small' else 100 }}\"",
        "small": "\"{{ vars.first // 10 if vars.mode == 'large' else 2 }}\"",
    }
    assert compiled({**either, "mode": "small"}).plan.stage("a").params["iters"] == 20
    assert compiled({**either, "mode": "other"}).plan.stage("a").params["iters"] == 100


def test_what_a_branch_not_taken_would_read_is_no_problem(compiled):
    result = compiled({"first": '"{{ 10 if true else vars.b }}"', "b": "\"{{ env('NOT_SET') }}\""})
    assert messages(result) == []


def test_a_var_may_be_chosen_by_a_value(compiled):
    result = compiled({"first": '"{{ vars[vars.which] }}"', "which": "b", "b": 10})
    assert result.plan.stage("a").params["iters"] == 10


def test_a_value_is_made_once_however_many_read_it(compiled, monkeypatch):
    made = []
    fill = render.fill
    monkeypatch.setattr(render, "fill", lambda text, *rest: made.append(text) or fill(text, *rest))
    compiled(
        {"first": '"{{ vars.b + vars.b + vars.c }}"', "b": '"{{ vars.c }}"', "c": '"{{ 1 + 1 }}"'}
    )
    assert len(made) == len(set(made)) == 4


BUDGET = """
version: 1
vars: {epochs: 2}
stages:
  mix: {tool: data.mix, params: {primary: rows, replay: rows, ratio: 0.5}}
  a:
    tool: mlx_lm.lora
    budget: {epochs: "{{ vars.epochs }}"}
    params:
      train: true
      model: m
      data: "{{ stages.mix.data }}"
      batch_size: 2
      lr_schedule: {name: cosine_decay, arguments: [1e-5, "{{ stage.params.iters }}"]}
"""


def test_a_budget_is_answered_where_it_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "train.jsonl").write_text('{"text": "x"}\n' * 10, encoding="utf-8")
    (tmp_path / "r.yaml").write_text(BUDGET, encoding="utf-8")
    result = workflow.compile_recipe(workflow.load("r.yaml", environ={}), {})
    params = result.plan.stage("a").params
    assert params["iters"] == 20  # ten rows and ten replayed, in batches of two, twice
    assert params["lr_schedule"]["arguments"][1] == 20
    assert list(result.plan.stage("a").after) == ["mix"]
