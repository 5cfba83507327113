"""What a failure tells to change is tried on its recipe: with it the recipe is sound, and changed."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from runner import workflow
from runner.catalog import load
from runner.cli.tried_remedies import Trial
from runner.runs.failures import FAILURES
from runner.runs.remedies import _REMEDIES, assignment, remedies, value

ROW = '{"text": "%s %d"}\n'
STAGE = "train: true, model: some/model, data: data, lora_parameters: {keys: null}"
SCHEDULE = "lr_schedule: {name: cosine_decay, arguments: [%s, %s], warmup: 0}"
RECIPES = {
    "by a var": f"""
vars: {{lr: 1e-4, n: 400}}
stages: {{train: {{tool: mlx_lm.lora, params: {{{STAGE}, iters: "{{{{ vars.n }}}}",
  learning_rate: "{{{{ vars.lr }}}}"}}}}}}
""",
    "by a var that another stage reads": f"""
vars: {{lr: 1e-4}}
stages:
  train: {{tool: mlx_lm.lora, params: {{{STAGE}, iters: 400, learning_rate: "{{{{ vars.lr }}}}"}}}}
  more: {{tool: mlx_lm.lora, params: {{{STAGE}, iters: 400, learning_rate: "{{{{ vars.lr * 2 }}}}"}}}}
""",
    "by another stage": f"""
stages:
  first: {{tool: mlx_lm.lora, params: {{{STAGE}, iters: 400, learning_rate: 1e-4}}}}
  train: {{tool: mlx_lm.lora, params: {{{STAGE}, iters: 400,
    learning_rate: "{{{{ stages.first.params.learning_rate }}}}"}}}}
""",
    "by a schedule of its own": f"""
stages: {{train: {{tool: mlx_lm.lora, params: {{{STAGE}, iters: 400,
  {SCHEDULE % ("1e-4", 400)}}}}}}}
""",
    "by a schedule that follows the rate": f"""
vars: {{lr: 1e-4}}
stages: {{train: {{tool: mlx_lm.lora, params: {{{STAGE}, iters: 400, learning_rate: "{{{{ vars.lr }}}}",
  {SCHEDULE % ('"{{ stage.params.learning_rate }}"', 400)}}}}}}}
""",
    "by a schedule beside an equal rate": f"""
stages: {{train: {{tool: mlx_lm.lora, params: {{{STAGE}, iters: 400, learning_rate: 1e-4,
  {SCHEDULE % ("1e-4", 400)}}}}}}}
""",
    "by the shipped base": """
extends: builtin:base/lora
vars: {learning_rate: 1e-4}
stages: {train: {tool: mlx_lm.lora, params: {train: true, model: some/model, data: data, iters: 800}}}
""",
    "by a profile": f"""
vars: {{lr: 1e-5}}
stages: {{train: {{tool: mlx_lm.lora, params: {{{STAGE}, iters: 400, learning_rate: "{{{{ vars.lr }}}}"}}}}}}
profiles: {{fast: {{vars: {{lr: 1e-4}}}}}}
""",
    "by odd iterations": f"""
stages: {{train: {{tool: mlx_lm.lora, params: {{{STAGE}, iters: 401, learning_rate: 1e-4}}}}}}
""",
    "with checkpoints to keep": f"""
stages: {{train: {{tool: mlx_lm.lora, keep: best, params: {{{STAGE}, iters: 400, learning_rate: 1e-4}}}}}}
""",
    "with time and a state": f"""
stages: {{train: {{tool: mlx_lm.lora, timeout: 1h, continue: true,
  params: {{{STAGE}, iters: 400, learning_rate: 1e-4}}}}}}
""",
}
LOG = "Dataset must have at least batch_size=4 examples but only has 3."
KINDS = sorted(_REMEDIES)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for split in ("train", "valid"):
        rows = "".join(ROW % (split, n) for n in range(40))
        Path("data", f"{split}.jsonl").write_text(rows, encoding="utf-8")
    return tmp_path


def changed(said, kind, sets=()):
    """Return the stage before and with what the failure of a kind tells to change."""
    Path("r.yaml").write_text(f"version: 1{said}", encoding="utf-8")
    profiles = ("fast",) if "profiles:" in said else ()
    return followed(Trial(file="r.yaml", profiles=profiles, sets=sets, smoke=False), kind)


def followed(trial, kind):
    assert trial.unchanged.plan, [p.message for p in trial.unchanged.problems]
    stage = trial.unchanged.plan.stage("train")
    changes = trial(stage, remedies(kind, stage, LOG, load.catalog().get(stage.tool)))
    words = [assignment(stage, one) for one in changes]
    assert shlex.split(shlex.join(words)) == words
    if not words:
        return stage, stage, changes
    recipe = workflow.load("r.yaml", trial.profiles, (*trial.sets, *words))
    plan = workflow.plan(workflow.compile_recipe(recipe), recipe)
    return stage, plan.stage("train"), changes


@pytest.mark.slow
@pytest.mark.parametrize("how", RECIPES)
def test_what_a_failure_tells_to_change_holds_wherever_the_value_is_said(how, folder):
    said = RECIPES[how]
    Path("r.yaml").write_text(f"version: 1{said}", encoding="utf-8")
    trial = Trial(
        file="r.yaml", profiles=("fast",) if "profiles:" in said else (), sets=(), smoke=False
    )
    for kind in {find: kind for kind, find in _REMEDIES.items()}.values():
        stage, after, changes = followed(trial, kind)
        for one in changes:
            assert value(stage, one.path) == one.old
            assert value(after, one.path) == one.new


@pytest.mark.parametrize("how", RECIPES)
def test_a_loss_that_is_not_finite_lowers_the_rate_that_counts(how, folder):
    stage, after, changes = changed(RECIPES[how], "non-finite")
    assert changes

    def peak(one):
        schedule = one.params["lr_schedule"]
        return schedule["arguments"][0] if schedule else one.params["learning_rate"]

    assert peak(after) == pytest.approx(peak(stage) / 10)


@pytest.mark.parametrize("sets", [("vars.lr=1e-3",), ("stages.train.params.learning_rate=1e-3",)])
def test_an_option_that_decides_is_overruled(sets, folder):
    _, after, changes = changed(RECIPES["by a var"], "non-finite", sets)
    assert [one.new for one in changes] == [1e-4]
    assert after.params["learning_rate"] == 1e-4


def test_a_variable_that_decides_is_overruled(folder, monkeypatch):
    monkeypatch.setenv("RECIPE_VARS_LR", "1e-3")
    _, after, (one,) = changed(RECIPES["by a var"], "non-finite")
    assert (one.new, after.params["learning_rate"]) == (1e-4, 1e-4)
    assert one.source == "set at r.yaml:4:18, vars.lr at environment:1:16"


def test_the_place_that_decides_is_named(folder):
    *_, (one,) = changed(RECIPES["by a var that another stage reads"], "non-finite")
    assert str(one) == (
        "learning_rate: 0.0001 -> 1e-05 (set at r.yaml:4:141, vars.lr at r.yaml:2:12)"
    )


def test_accumulating_is_left_out_where_it_would_lose_iterations(folder):
    *_, changes = changed(RECIPES["by odd iterations"], "out of memory")
    assert [one.path for one in changes][:2] == ["batch_size", "grad_checkpoint"]
    *_, changes = changed(RECIPES["by a var"], "out of memory")
    assert [one.path for one in changes][:2] == ["batch_size", "grad_accumulation_steps"]


def test_only_known_failures_have_remedies():
    kinds = {one.kind for one in FAILURES} | {"killed", "crashed", "timeout"}
    assert set(KINDS) <= kinds


@pytest.mark.slow
def test_the_command_that_a_failed_training_prints_makes_it_train(folder):
    """On the CPU a rate of 1e18 gives no finite loss, and a tenth of it does."""
    pytest.importorskip("mlx_lm")
    recipe = f"""version: 1
vars: {{lr: 1e18}}
stages: {{train: {{tool: mlx_lm.lora, allow: [unusual-number], params: {{{STAGE}, iters: 8, steps_per_eval: 4, batch_size: 2,
  optimizer: sgd, learning_rate: "{{{{ vars.lr }}}}"}}}}}}
"""
    Path("r.yaml").write_text(recipe, encoding="utf-8")
    first = run("r.yaml", "--smoke")
    assert first.returncode == 1
    assert "change learning_rate: 1e+18 -> 1e+17 (set at r.yaml:4:" in first.stderr
    (line,) = (row for row in first.stderr.splitlines() if row.startswith("  try: "))
    words = shlex.split(line.removeprefix("  try: "))
    assert words[0] == "run-recipe"
    again = run(*words[1:])
    assert again.returncode == 0, again.stderr
    assert "train: finished" in again.stderr


def run(*words):
    return subprocess.run(
        [sys.executable, "-m", "runner", *words],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
