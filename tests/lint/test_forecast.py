"""What a training amounts to, and a budget turned into iterations."""

from fractions import Fraction

import pytest

from runner import workflow
from runner.catalog import load as schemas
from runner.lint.facts import DataSet, DiskFacts
from runner.lint.forecast import Forecast, forecast
from runner.lint.rule import views
from runner.plan.budget import whole_iterations
from runner.recipe.load import Overrides, load

RECIPE = """
version: 1
stages:
  a: {tool: mlx_lm.lora, params: {train: true, model: m, data: rows, iters: 800, learning_rate: 1e-5}}
  mix: {tool: data.mix, params: {primary: other, replay: rows, ratio: 0.15}}
  b:
    extends: a
    params:
      data: "{{ stages.mix.data }}"
      resume_adapter_file: "{{ stages.a.adapter_file }}"
      learning_rate: 2e-6
      batch_size: 2
      grad_accumulation_steps: 3
"""
KNOWN = DiskFacts(
    data={
        "rows": DataSet(path="rows", rows={"train": 170, "valid": 40}),
        "other": DataSet(path="other", rows={"train": 170, "valid": 40}),
    }
)


@pytest.fixture
def forecasts():
    loaded = load("r.yaml", lambda _: RECIPE.encode(), Overrides())
    result = workflow.compile_recipe(loaded.recipe, {})
    found = [forecast(view) for view in views(result, schemas.catalog(), KNOWN)]
    return {one.stage: one for one in found if one}


def test_only_trainings_have_one(forecasts):
    assert list(forecasts) == ["a", "b"]


def test_epochs_are_counted_in_batches_that_are_full(forecasts):
    assert forecasts["a"].rows == 170
    assert forecasts["a"].epochs == 800 / (170 // 4)
    assert forecasts["b"].rows == 200
    assert forecasts["b"].epochs == 800 / 100


def test_accumulation_is_told_as_a_mean_of_batch_means(forecasts):
    assert forecasts["b"].updates == 266  # 800 // 3
    assert "6 rows per update, as the mean of 3 batch means" in str(forecasts["b"])
    assert "batch means" not in str(forecasts["a"])


def test_replay_and_the_step_to_the_stage_before_are_told(forecasts):
    assert "0.15 of the rows replayed" in str(forecasts["b"])
    assert str(forecasts["b"]).endswith("learning rate 2e-06, 0.2 x that of a")


def test_without_the_data_the_rest_is_told():
    one = Forecast(
        stage="a",
        iterations=100,
        batch=4,
        accumulation=1,
        rows=None,
        updates=100,
        warmup=10,
        checkpoints=1,
        validations=2,
        learning_rate=1e-5,
    )
    assert str(one) == (
        "budget a: 100 iterations of 4 rows, 100 updates, 10.0% of them warm-up, "
        "1 checkpoint, 2 validations, learning rate 1e-05"
    )


@pytest.mark.parametrize(
    ("rows", "batch_size", "epochs", "expected"),
    [(170, 1, 3, 510), (170, 4, 2, 84), (10, 4, "0.5", 1), (10, 4, "0.25", None), (3, 4, 1, None)],
)
def test_epochs_are_whole_iterations_or_none(rows, batch_size, epochs, expected):
    assert whole_iterations(rows, batch_size, Fraction(epochs)) == expected


BUDGET = """
version: 1
stages:
  a: {tool: mlx_lm.lora, budget: {epochs: 3}, params: {train: true, model: m, data: rows, batch_size: 2}}
"""


@pytest.fixture
def budget(tmp_path, monkeypatch):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "train.jsonl").write_text('{"text": "x"}\n' * 10, encoding="utf-8")
    (tmp_path / "r.yaml").write_text(BUDGET, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def compiled(*sets):
        recipe = workflow.load("r.yaml", sets=sets, environ={})
        return workflow.compile_recipe(recipe, {})

    return compiled


def test_a_budget_says_the_iterations(budget):
    assert budget().plan.stage("a").params["iters"] == 15


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("params.iters=10", "'iters' is also set"),
        ("params.data=owner/rows", "there is no folder 'owner/rows' here"),
        ("params.batch_size=99", "do not fill a batch of 99: an epoch has no iteration"),
        ("budget.epochs=0.3", "0.3 epochs of 5 batches are 1.5 iterations"),
    ],
)
def test_a_budget_that_cannot_be_exact_is_refused(budget, change, message):
    result = budget(f"stages.a.{change}")
    assert result.plan is None
    assert [message in problem.message for problem in result.problems] == [True]
