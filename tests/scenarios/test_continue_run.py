"""Scenarios: a run is cut off inside a training, and goes on inside it."""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

if importlib.util.find_spec("mlx_lm") is None:
    pytest.skip("needs mlx-lm", allow_module_level=True)
pytestmark = pytest.mark.slow

RECIPE = """
version: 1
extends: builtin:base/lora
vars: {warmup: 4}
stages:
  tiny: {tool: model.tiny, params: {num_layers: 2}}
  train:
    tool: mlx_lm.lora
    keep: best
    continue: true
    retry: {attempts: 2}
    params:
      model: "{{ stages.tiny.model }}"
      data: data
      train: true
      iters: 28
      learning_rate: 1e-3
      max_seq_length: 64
      steps_per_report: 4
      steps_per_eval: 4
      save_every: 4
"""
# Ends the trainer's process once, as a hub that cannot be reached would, after a checkpoint.
UNLUCKY = """
import os, pathlib, sys, threading, time
def fail():
    while not list(pathlib.Path().glob("runs/r/2*/train/.part/state/state.json")):
        time.sleep(0.01)
    print("Temporary failure in name resolution", file=sys.stderr, flush=True)
    pathlib.Path("failed").touch()
    os._exit(1)
if {"runner.worker", "train"} <= set(sys.orig_argv) and not os.path.exists("failed"):
    threading.Thread(target=fail, daemon=True).start()
"""
ENV = {**os.environ, "MLX_DISABLE_COMPILE": "1"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    cwd = tmp_path_factory.mktemp("going-on")
    (cwd / "data").mkdir()
    for split, count in (("train", 15), ("valid", 4), ("test", 2)):
        rows = ({"text": f"{split} {number} is {number % 5}"} for number in range(count))
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (cwd / "data" / f"{split}.jsonl").write_text(text, encoding="utf-8")
    (cwd / "r.yaml").write_text(RECIPE, encoding="utf-8")
    return cwd


def run(cwd, *words, code=0, env=None):
    command = [sys.executable, "-m", "runner", "r.yaml", *words]
    done = subprocess.run(
        command, cwd=cwd, env={**ENV, **(env or {})}, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def newest(cwd):
    return max(cwd.glob("runs/r/2*"), key=lambda path: path.name)


@pytest.fixture(scope="module")
def whole(project):
    """The run that nothing happens to."""
    run(project)
    return newest(project)


def cut_off(cwd, number):
    """Begin a run, and end the runner by a signal after some checkpoints; return its folder."""
    known = set(cwd.glob("runs/r/2*"))
    command = [sys.executable, "-m", "runner", "r.yaml", "--fresh"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=cwd, env=ENV, **quiet)
    while saved(cwd, known) < 8:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    process.wait()
    (made,) = set(cwd.glob("runs/r/2*")) - known
    return made


def saved(cwd, known):
    for made in set(cwd.glob("runs/r/2*")) - known:
        note = made / "train" / ".part" / "state" / "state.json"
        if note.exists():
            return json.loads(note.read_text(encoding="utf-8"))["iteration"]
    return 0


@pytest.fixture(scope="module")
def killed(project, whole):
    """A run whose runner was killed inside the training, as it was left."""
    return cut_off(project, signal.SIGKILL)


@pytest.fixture
def left(killed):
    """A copy of what the killed run left."""
    copy = killed.with_name(f"{killed.name}-copy")
    shutil.rmtree(copy, ignore_errors=True)
    while (killed / "train" / ".part" / "state").exists():  # its child ends a moment later
        try:
            shutil.copytree(killed, copy)
            break
        except (OSError, shutil.Error):
            shutil.rmtree(copy, ignore_errors=True)
    yield copy
    shutil.rmtree(copy, ignore_errors=True)


def weights(folder):
    return {p.name: p.read_bytes() for p in (folder / "train" / "adapters").glob("*.safetensors")}


def figures(folder):
    """What was measured, without what a clock or the memory says."""
    unsteady = {"time", "val_time", "iterations_per_second", "tokens_per_second", "peak_memory"}
    lines = (folder / "train" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in unsteady} for line in lines]


def decided(cwd, folder, *words):
    rows = run(cwd, "--resume", str(folder), "--dry-run", *words).stdout.splitlines()
    return next(row for row in rows if row.split()[1] == "train:")


def test_a_killed_training_goes_on_to_the_same_bits(project, whole, left):
    at = json.loads((left / "train/.part/state/state.json").read_text(encoding="utf-8"))[
        "iteration"
    ]
    expected = f"resumes after iteration {at} of 28: {28 - at} remain, the schedule at update {at}"
    assert decided(project, left) == f"run   train: it was interrupted; {expected}"
    done = run(project, "--resume", str(left))
    assert f"train: mlx_lm.lora, rerun: it was interrupted; {expected}" in done.stderr
    assert weights(left) == weights(whole)
    assert figures(left) == figures(whole)
    ended = [json.loads((one / "run.json").read_text(encoding="utf-8")) for one in (left, whole)]
    metrics = [said["stages"][1]["metrics"] for said in ended]
    for name in ("train_loss", "best_val_loss", "trained_tokens", "kept_iteration"):
        assert metrics[0][name] == metrics[1][name]
    assert not (left / "train" / ".part").exists()


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        ("truncated", "its saved state 00000.*.safetensors is damaged"),
        ("altered", "it was interrupted; resumes"),
        ("note", "its saved state cannot be read"),
        ("none", "it was interrupted before its first checkpoint"),
        ("release", "mlx-lm is a different release"),
    ],
)
def test_a_state_that_is_not_whole_starts_the_training_over(project, whole, left, harm, why):
    state = left / "train" / ".part" / "state"
    (file,) = [path for path in state.glob("*.safetensors") if path.name[0] != "."]
    note = state / "state.json"
    match harm:
        case "truncated":
            file.write_bytes(file.read_bytes()[:-4])
        case "altered":
            data = file.read_bytes()
            file.write_bytes(data[:-4] + bytes(4 * [data[-1] ^ 1]))
        case "note":
            note.write_text("{")
        case "none":
            shutil.rmtree(state)
        case "release":
            said = json.loads(note.read_text(encoding="utf-8"))
            note.write_text(json.dumps({**said, "packages": {**said["packages"], "mlx-lm": "0"}}))
    assert re.search(why, decided(project, left))
    if harm == "altered":
        done = run(project, "--resume", str(left))
        assert "is damaged" in done.stderr
        assert weights(left) == weights(whole)
        assert figures(left) == figures(whole)


def test_another_learning_rate_starts_the_training_over(project, left):
    said = decided(project, left, "--set", "stages.train.params.learning_rate=2e-3")
    assert said.endswith("; restarts from the beginning: its inputs changed")
    cadence = decided(project, left, "--set", "stages.train.params.steps_per_report=2")
    assert "resumes after iteration" in cadence


def test_a_training_whose_model_is_made_again_starts_over(project, killed):
    config = killed / "tiny" / "model" / "config.json"
    text = config.read_bytes()
    config.write_text("{}", encoding="utf-8")
    assert decided(project, killed).endswith("; restarts from the beginning: stage tiny runs again")
    config.write_bytes(text)
    assert "resumes after iteration" in decided(project, killed)


def test_a_stopped_training_goes_on(project, whole):
    made = cut_off(project, signal.SIGTERM)
    assert "it was stopped; resumes after iteration" in decided(project, made)
    run(project, "--resume", str(made))
    assert weights(made) == weights(whole)


def test_a_second_try_goes_on_where_the_first_one_failed(project, whole, tmp_path):
    cwd = tmp_path / "unlucky"
    shutil.copytree(project, cwd, ignore=shutil.ignore_patterns("runs"))
    (cwd / "sitecustomize.py").write_text(UNLUCKY, encoding="utf-8")
    done = run(cwd, env={"PYTHONPATH": str(cwd)})
    assert (cwd / "failed").exists()
    assert "[2/2] train: resumes after iteration" in done.stderr
    assert weights(newest(cwd)) == weights(whole)
    assert figures(newest(cwd)) == figures(whole)
