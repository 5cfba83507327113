"""mlx-lm-lora trains for real in each of its modes, and what the audit says of it is true."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from tests.support.modes_in_use import MODES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("mlx_lm_lora") is None, reason="needs mlx-lm-lora"),
]
# Fewer would be seen in use where an observer lost sight of what it looks at.
LEAST = 28


@pytest.fixture(scope="module")
def modes(tmp_path_factory):
    """What the audit says of each mode, and what of it is not true."""
    place = tmp_path_factory.mktemp("modes")
    environ = {**os.environ, "MLX_DISABLE_COMPILE": "1", "HF_HUB_OFFLINE": "1"}
    words = [sys.executable, "-m", "tests.support.modes_in_use", str(place)]
    done = subprocess.run(words, capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("mode", MODES)
def test_what_is_seen_in_use_changes_what_the_trainer_is_given(modes, mode):
    assert len(modes[mode]["seen"]) >= LEAST
    assert modes[mode]["without_effect"] == []


@pytest.mark.parametrize("mode", MODES)
def test_all_that_is_not_read_changes_no_weight(modes, mode):
    assert len(modes[mode]["unread"]) >= LEAST
    assert modes[mode]["same_weights"]


RECIPE = """\
version: 1
vars: {least: 0.9}
defaults:
  mlx_lm_lora.train:
    model: "{{ stages.base.model }}"
    data: rows
    iters: 4
    batch_size: 2
    learning_rate: 1.0e-2
    steps_per_report: 1
    steps_per_eval: 4
    save_every: 4
    val_batches: -1
    test_batches: -1
    max_seq_length: 128
    fuse: false
stages:
  base: {tool: model.tiny}
  sft: {tool: mlx_lm_lora.train, params: {train: true}}
  orpo:
    tool: mlx_lm_lora.train
    params: {train: true, train_mode: orpo, resume_adapter_file: "{{ stages.sft.adapter_file }}", seed: 1}
  dpo:
    tool: mlx_lm_lora.train
    params: {train: true, test: true, train_mode: dpo}
    expect: [metrics.test_accuracies >= vars.least]
  grpo:
    tool: mlx_lm_lora.train
    params:
      train: true
      train_mode: grpo
      iters: 2
      max_completion_length: 4
      reward_functions_file: rewards.py
      reward_functions: length
  ask:
    tool: mlx_lm.generate
    params:
      model: "{{ stages.base.model }}"
      adapter_path: "{{ stages.orpo.adapter_path }}"
      prompt: What is it?
      max_tokens: 2
"""
REWARDS = """\
from mlx_lm_lora.trainer.grpo_reward_functions import register_reward_function
@register_reward_function()
def length(prompts, completions, answer, types=None):
    return [float(len(text)) for text in completions]
"""


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A run of several modes, one after the other, with rows of all of them."""
    place = tmp_path_factory.mktemp("chain")
    (place / "r.yaml").write_text(RECIPE, encoding="utf-8")
    (place / "rewards.py").write_text(REWARDS, encoding="utf-8")
    (place / "rows").mkdir()
    for at, split in enumerate(("train", "valid", "test")):
        rows = [
            {
                "prompt": f"What is {number}?",
                "completion": f"It is {number}.",
                "chosen": f"It is {number}.",
                "rejected": "no no no no",
                "answer": str(number),
            }
            for number in range(10 * at, 10 * at + 6)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (place / "rows" / f"{split}.jsonl").write_text(text, encoding="utf-8")
    environ = {**os.environ, "MLX_DISABLE_COMPILE": "1", "HF_HUB_OFFLINE": "1"}

    def command(*words):
        done = subprocess.run(
            [sys.executable, "-m", "runner", *words],
            cwd=place,
            capture_output=True,
            text=True,
            env=environ,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return place, command("r.yaml", "--trust"), command


def test_a_chain_of_modes_runs_is_gated_and_asked(chain):
    place, (code, said), command = chain
    assert code == 0, said
    manifest = json.loads((place / "runs" / "r" / "latest" / "run.json").read_text())
    stages = {one["name"]: one for one in manifest["stages"]}
    assert stages["dpo"]["expectations"] == [["metrics.test_accuracies >= vars.least", True]]
    for name, count in {"sft": 46, "orpo": 46, "dpo": 45, "grpo": 39}.items():
        assert stages[name]["audit"]["different"] == 0
        assert abs(stages[name]["audit"]["unread"] - count) <= 4
        assert stages[name]["audit"]["used"] >= LEAST
    assert stages["dpo"]["metrics"]["train_accuracies"] == 1.0
    assert "train_total_rewards_mean" in stages["grpo"]["metrics"]
    code, said = command("audit", "--runs", "runs")
    assert code == 0
    assert "not as planned" not in said
