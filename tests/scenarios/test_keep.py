"""Real trainings whose checkpoints are compared and which are watched while they run."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

if importlib.util.find_spec("mlx_lm") is None:
    pytest.skip("needs mlx-lm", allow_module_level=True)
pytestmark = pytest.mark.slow

PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
ENV = {**os.environ, "PATH": PATH, "MLX_DISABLE_COMPILE": "1"}
FINAL = "adapters.safetensors"
# Two skills. The second one is validated on rows of the first: its loss rises, so the best comes first.
RECIPE = """
version: 1
defaults:
  mlx_lm.lora:
    model: "{{ stages.tiny.model }}"
    mask_prompt: true
    batch_size: 4
    num_layers: 2
    max_seq_length: 64
    learning_rate: 1e-3
    lora_parameters: {rank: 16, scale: 4.0, dropout: 0.1, keys: [
      self_attn.q_proj, self_attn.k_proj, self_attn.v_proj, self_attn.o_proj,
      mlp.gate_proj, mlp.up_proj, mlp.down_proj]}
    val_batches: -1
    test_batches: -1
stages:
  tiny: {tool: model.tiny, params: {num_layers: 2}}
  first:
    tool: mlx_lm.lora
    params: {train: true, data: one, iters: 40, save_every: 40, steps_per_eval: 40, seed: 1}
  plain:
    extends: first
    params: {data: two, iters: 20, save_every: 4, steps_per_eval: 4, seed: 2,
             resume_adapter_file: "{{ stages.first.adapter_file }}"}
  kept:
    extends: plain
    keep: best
    watch: {retention: {data: one, every: 6}}
    params: {test: true}
    expect:
      - metrics.kept_val_loss < metrics.last_val_loss
      - stages.kept.metrics.retention_ratio > 1
  kept_test:
    tool: mlx_lm.lora
    params: {test: true, data: two, adapter_path: "{{ stages.kept.adapter_path }}"}
  stopped:
    extends: plain
    watch: {retention: {data: "{{ stages.first.params.data }}", every: 1, stop_above: 3}}
  mix:
    tool: data.mix
    params: {primary: two, replay: one, ratio: 0.4}
  replayed:
    extends: plain
    watch: {retention: {data: one, every: 10}}
    params: {data: "{{ stages.mix.data }}"}
"""
SKILLS = (("color of", "it is {} and red as the sun"), ("animal of", "a {} bee flew to me"))
NUMBERS = {"train": range(24), "valid": range(24, 32), "test": range(32, 36)}


def write(folder, split, skill):
    ask, answer = SKILLS[skill]
    rows = (
        {"prompt": f"{ask} {number}?", "completion": answer.format("odd" if number % 2 else "even")}
        for number in NUMBERS[split]
    )
    folder.mkdir(exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    cwd = tmp_path_factory.mktemp("keep")
    for split in NUMBERS:
        write(cwd / "one", split, 0)
        write(cwd / "two", split, int(split == "train"))
    (cwd / "r.yaml").write_text(RECIPE, encoding="utf-8")
    words = [sys.executable, "-m", "runner", "r.yaml"]
    done = subprocess.run(words, cwd=cwd, env=ENV, capture_output=True, text=True, check=False)
    return cwd, done


@pytest.fixture(scope="module")
def folder(project):
    cwd, done = project
    assert done.returncode == 0, done.stdout + done.stderr
    return (cwd / "runs" / "r" / "latest").resolve()


def kept(folder, stage):
    return json.loads((folder / stage / "adapters" / "kept.json").read_text(encoding="utf-8"))


def events(folder, stage, kind):
    lines = (folder / stage / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def manifest(folder, stage):
    said = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return next(row for row in said["stages"] if row["name"] == stage)


def same_bits(one, other):
    return one.read_bytes() == other.read_bytes()


def test_the_best_checkpoint_is_handed_over_and_the_last_lies_beside_it(folder):
    adapters = folder / "kept" / "adapters"
    said = kept(folder, "kept")
    assert (said["kept_iteration"], said["last_iteration"]) == (4, 20)
    assert said["kept_val_loss"] < said["last_val_loss"]
    assert [one["iteration"] for one in said["compared"]] == [4, 8, 12, 16, 20]
    assert said["kept_val_loss"] == min(one["val_loss"] for one in said["compared"])
    assert same_bits(adapters / FINAL, adapters / f"0000004_{FINAL}")
    assert same_bits(adapters / f"last_{FINAL}", adapters / f"0000020_{FINAL}")
    metrics = manifest(folder, "kept")["metrics"]
    assert metrics["kept_iteration"] == 4
    assert metrics["last_val_loss"] == said["last_val_loss"]


def test_a_training_that_is_watched_is_the_one_that_is_not(folder):
    """Random states and modes are as they were: every checkpoint is the same, bit for bit."""
    for iteration in (4, 8, 12, 16, 20):
        name = f"{iteration:07d}_{FINAL}"
        assert same_bits(folder / "kept/adapters" / name, folder / "plain/adapters" / name)
    assert same_bits(folder / "kept/adapters" / f"last_{FINAL}", folder / "plain/adapters" / FINAL)
    reported = [event["val_loss"] for event in events(folder, "kept", "val")]
    assert reported == [event["val_loss"] for event in events(folder, "plain", "val")]


def test_what_is_tested_after_the_training_is_what_is_handed_over(folder):
    losses = {
        name: manifest(folder, name)["metrics"]["test_loss"] for name in ("kept", "kept_test")
    }
    assert losses["kept"] == pytest.approx(losses["kept_test"], rel=1e-6)


def test_the_second_data_set_is_measured_before_the_training_and_while_it_lasts(folder):
    measured = events(folder, "kept", "retention")
    assert [event["iteration"] for event in measured] == [0, 6, 12, 18, 20]
    start = measured[0]["retention_loss"]
    for event in measured:
        assert event["retention_ratio"] == pytest.approx(event["retention_loss"] / start)
    assert measured[0]["retention_ratio"] == 1
    assert measured[-1]["retention_ratio"] > 3


def test_a_training_that_forgets_is_stopped_and_its_best_within_the_bound_is_kept(folder):
    said = kept(folder, "stopped")
    measured = {event["iteration"]: event for event in events(folder, "stopped", "retention")}
    stop = said["stopped_iteration"]
    assert 4 < stop < 20
    assert measured[stop]["retention_ratio"] > 3
    assert all(event["retention_ratio"] <= 3 for at, event in measured.items() if at < stop)
    assert said["kept_iteration"] == 4
    assert measured[4]["retention_ratio"] == said["retention_ratio"]
    adapters = folder / "stopped" / "adapters"
    assert same_bits(adapters / FINAL, adapters / f"0000004_{FINAL}")
    assert f"0000020_{FINAL}" not in {path.name for path in adapters.iterdir()}


def test_replay_keeps_what_a_second_skill_alone_would_erase(folder):
    before = events(folder, "kept", "retention")[0]["retention_loss"]
    alone = events(folder, "kept", "retention")[-1]
    replayed = events(folder, "replayed", "retention")[-1]
    assert before < 1.5  # the first skill was learned: it began above 7
    assert events(folder, "first", "val")[0]["val_loss"] > 7
    assert (alone["iteration"], replayed["iteration"]) == (20, 20)
    assert alone["retention_ratio"] > 3
    assert replayed["retention_ratio"] < alone["retention_ratio"] / 2


def test_every_parameter_of_the_trainer_is_audited(folder):
    said = json.loads((folder / "kept" / "effective.json").read_text(encoding="utf-8"))
    rows = {row["parameter"]: row for row in said["parameters"]}
    assert rows["watch.retention.every"]["effective"] == 6
    assert rows["keep"]["effective"] == "best"
    assert all(row["equal"] for row in rows.values())


def test_the_lines_of_a_run_say_what_was_kept(project):
    assert "kept: kept checkpoint 4 (validation loss" in project[1].stderr
    assert "stopped: stopped at iteration" in project[1].stderr
    assert "kept checkpoint 4, not the last" in project[1].stderr


def test_the_script_makes_the_same_choice_bit_for_bit(project, folder):
    cwd, _ = project
    env = {**ENV, "RUN_DIR": "runs/by-hand"}
    script = (folder / "commands.sh").read_text(encoding="utf-8")
    done = subprocess.run(
        ["bash", "-c", script], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for stage in ("kept", "stopped"):
        place = Path(stage) / "adapters"
        names = {path.name for path in (folder / place).iterdir()}
        assert names == {path.name for path in (cwd / "runs/by-hand" / place).iterdir()}
        for name in names - {"adapter_config.json"}:
            assert same_bits(folder / place / name, cwd / "runs/by-hand" / place / name), name


def test_nothing_is_handed_over_where_everything_that_was_saved_forgot(project, tmp_path):
    cwd, _ = project
    shutil.copytree(cwd, tmp_path / "p", ignore=shutil.ignore_patterns("runs"))
    change = [
        "stages.stopped.watch.retention.stop_above=1.01",
        "stages.stopped.params.save_every=16",
    ]
    words = ["r.yaml", *(word for one in change for word in ("--set", one))]
    only = [word for name in ("tiny", "first", "stopped") for word in ("--only", name)]
    done = subprocess.run(
        [sys.executable, "-m", "runner", *words, *only],
        cwd=tmp_path / "p", env=ENV, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "stopped failed: forgotten (exit 1)" in done.stderr
    made = (tmp_path / "p" / "runs" / "r" / "latest" / "stopped").iterdir()
    assert "adapters" not in {path.name for path in made}
