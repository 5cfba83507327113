"""A stage's keep and watch: what they become in the plan, the script and the resolved recipe."""

import pytest

from runner import workflow
from runner.catalog import load as schemas
from runner.command.resolved_recipe import recipe_text
from runner.command.script import script
from runner.lint import findings
from runner.plan.train_options import line
from runner.recipe.load import Overrides, load
from runner.runs.decisions import identities

RECIPE = """
version: 1
stages:
  first: {{tool: mlx_lm.lora, params: {{model: m, data: one, train: true}}}}
  mixed: {{tool: data.mix, params: {{primary: one, replay: two}}}}
  second:
    tool: mlx_lm.lora
    params: {{model: m, data: two, train: true, iters: 1200}}
    {lines}
"""
WATCH = 'watch: {retention: {data: "{{ stages.mixed.data }}", every: 200, stop_above: 1.15}}'


def compiled(*lines):
    text = RECIPE.format(lines="\n    ".join(lines))
    loaded = load("r.yaml", lambda _: text.encode(), Overrides())
    return workflow.compile_recipe(loaded.recipe, {})


def plan(*lines):
    result = compiled(*lines)
    assert [problem.message for problem in result.problems] == []
    return result.plan


def test_a_stage_that_says_nothing_has_nothing_around_its_trainer():
    assert plan("keep: last").stage("second").trainer == {}
    assert "run-recipe train" not in script(plan(), schemas.catalog())


def test_the_script_says_every_word_of_what_stands_around_the_trainer():
    words = script(plan("keep: best", WATCH), schemas.catalog()).replace(" \\\n  ", " ")
    assert (
        'run-recipe train --keep=best --retention-data="$RUN_DIR/mixed/data" '
        "--retention-split=valid --retention-every=200 --retention-batches=-1 "
        '--retention-stop-above=1.15 -- mlx_lm.lora --config="$RUN_DIR/second/config.json"'
    ) in words
    kept = script(plan("keep: best"), schemas.catalog())
    assert "run-recipe train \\\n  --keep=best \\\n  -- mlx_lm.lora \\\n" in kept


def test_the_resolved_recipe_compiles_to_the_same_plan():
    before = plan("keep: best", WATCH, "continue: true")
    loaded = load("r.yaml", lambda _: recipe_text(before).encode(), Overrides())
    after = workflow.compile_recipe(loaded.recipe, {}).plan
    assert script(after, schemas.catalog()) == script(before, schemas.catalog())
    assert after.stage("second").continues


def test_a_stage_waits_for_the_one_whose_data_it_watches():
    assert plan(WATCH).stage("second").after == ("mixed",)
    assert plan().stage("second").after == ()


def test_what_is_watched_is_an_input_and_changes_the_identity():
    def identity(*lines, digest="1"):
        made = plan(*lines)
        found = identities(made, schemas.catalog(), {}, {"elsewhere": digest})
        return found["second"].digest

    watch = "watch: {retention: {data: elsewhere}}"
    others = [identity(), identity("keep: best"), identity(watch), identity(watch, digest="2")]
    assert len(set(others)) == 4
    assert identity("continue: true") == identity()


def test_a_smoke_plan_looks_as_often_as_the_real_one():
    small = workflow.shrink(plan("keep: best", WATCH), alone=True).stage("second")
    assert small.params["iters"] == 12
    assert small.trainer["watch.retention.every"] == 2
    assert small.trainer["watch.retention.batches"] == 2
    assert small.trainer["watch.retention.stop_above"] is None  # its figures mean nothing


@pytest.mark.parametrize(
    ("metric", "lines", "hint"),
    [
        ("kept_val_loss", (), "add 'keep: best' to measure it"),
        ("retention_ratio", ("keep: best",), "add 'watch: {retention: {data: …}}' to measure it"),
        ("retention_ratio", (WATCH,), None),
        ("kept_iteration", ("keep: best",), None),
    ],
)
def test_only_what_a_stage_measures_can_be_expected_of_it(metric, lines, hint):
    problems = compiled(*lines, f"expect: [metrics.{metric} > 0]").problems
    assert [problem.hint for problem in problems] == ([] if hint is None else [hint])


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        ("keep: bets", "keep must be one of last, best, not 'bets'", "did you mean 'best'?"),
        ("watch: {}", "watch must not be empty", ""),
        ("watch: {retention: {every: 1}}", "watch.retention needs 'data'", None),
        (
            "watch: {retention: {data: a, evry: 3}}",
            "watch.retention has no key 'evry'",
            "did you mean 'every'?",
        ),
        (
            "watch: {retention: {data: a, steps: 3}}",
            "watch.retention has no key 'steps'",
            "write every: N, in iterations",
        ),
        (
            "watch: {retention: {data: a, stop_above: 0.9}}",
            "watch.retention.stop_above must be at least 1, not 0.9",
            "",
        ),
    ],
)
def test_a_mistake_is_told_at_its_place(said, message, hint):
    (problem,) = compiled(said).problems
    assert problem.message == message
    assert hint is None or problem.hint == hint
    assert problem.mark.line == 9


def test_what_was_kept_is_said_in_words():
    figures = {"kept_iteration": 4, "kept_val_loss": 2.0, "last_iteration": 8, "last_val_loss": 3.0}
    assert line("kept", figures) == (
        "kept checkpoint 4 (validation loss 2.000), not the last (8, validation loss 3.000)"
    )
    last = {"kept_iteration": 8, "last_iteration": 8}
    assert line("kept", last) == "kept the last checkpoint (8)"
    assert line("kept", {**figures, "stopped_iteration": 8}).startswith("stopped at iteration 8")


def test_a_script_says_that_it_starts_over():
    assert "--resume resumes it; this script restarts from the beginning" in script(
        plan("continue: true"), schemas.catalog()
    )


def test_the_forecast_says_what_is_compared_and_how_often_is_looked():
    result = compiled("keep: best", "watch: {retention: {data: one, every: 500}}")
    said = [str(one) for one in findings.forecasts(result) if one.stage == "second"]
    assert "12 checkpoints (the best is kept)" in said[0]
    assert "4 retention checks" in said[0]
