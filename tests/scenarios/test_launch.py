"""Stages on several ranks: the words of the launcher, and two real ranks on this machine."""

import json
import os
import subprocess
import sys

import pytest

from runner import workflow
from runner.catalog import load
from runner.command.script import script
from runner.plan.launch import code
from runner.worker.observer import rank

RECIPE = """
version: 1
extends: builtin:base/lora
vars: {warmup: 1}
defaults: {mlx_lm.lora: {model: some/model, data: data, max_seq_length: 64, batch_size: 2}}
stages:
  train:
    tool: mlx_lm.lora
    launch: {hosts: 2, starting_port: 41320, env: {NAME: "two words"}}
    params: {train: true, iters: 4, save_every: 2}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    row = {"messages": [{"role": "user", "content": "a?"}, {"role": "assistant", "content": "b."}]}
    for split in ("train", "valid", "test"):
        (tmp_path / "data" / f"{split}.jsonl").write_text((json.dumps(row) + "\n") * 4)
    (tmp_path / "r.yaml").write_text(RECIPE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def compiled(*sets):
    recipe = workflow.load("r.yaml", sets=sets, environ={})
    return workflow.plan(workflow.compile_recipe(recipe, {}), recipe)


def test_the_program_always_stands_behind_two_dashes(project):
    words = script(compiled(), load.catalog()).replace(" \\\n  ", " ")
    assert (
        "mlx.launch --backend=ring --hosts=127.0.0.1 --repeat-hosts=2 --env='NAME=two words' "
        "--connections-per-ip=1 --starting-port=41320 --nccl-port=12345 -- mlx_lm.lora --config="
    ) in words


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("host=3", "launch has no parameter 'host'"),
        ("backend=rings", "backend must be one of"),
        ("hostfile=hosts.json", "would not read 'hosts'"),
        ("hosts=many", "hosts must be a list"),
    ],
)
def test_a_mistake_in_launch_is_an_error_at_its_place(project, change, message):
    with pytest.raises(workflow.InvalidRecipeError, match=message):
        compiled(f"stages.train.launch.{change}")


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("x\n\x1b[33m[WARN] Node with rank 1 exited with code 3 \x1b[0m\nfine", 1),
        ("Node with rank 0 was killed", 1),
        ("Node with rank 0 was killed\nNode with rank 1 exited with code 6", 6),
        ("Node with rank 1 exited with code 60", 1),
        ("all is well", 0),
    ],
)
def test_how_ranks_ended_is_read_from_the_launchers_log(log, expected):
    assert code(log) == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [({}, 0), ({"MLX_RANK": "2"}, 2), ({"OMPI_COMM_WORLD_RANK": "1"}, 1), ({"PMI_RANK": "3"}, 3)],
)
def test_a_process_knows_its_rank_under_every_backend(environ, expected):
    assert rank(environ) == expected


def run(cwd, *words, code=0, env=None):
    done = subprocess.run(
        [sys.executable, "-m", "runner", "r.yaml", "--smoke", "--trust", *words],
        cwd=cwd, capture_output=True, text=True, check=False, env=env,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.mark.slow
def test_two_ranks_train_one_adapter_and_one_of_them_reports(project):
    pytest.importorskip("mlx_lm")
    done = run(project)
    assert "34 of 34 parameters as planned" in done.stderr
    folder = project / "runs" / "r" / "latest" / "train"
    events = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    iterations = [event["iteration"] for event in events if event["event"] == "train"]
    assert iterations == sorted(set(iterations))
    assert (folder / "adapters" / "adapters.safetensors").exists()


@pytest.mark.slow
def test_a_killed_rank_fails_the_stage_although_the_launcher_exits_with_0(project):
    pytest.importorskip("mlx_lm")
    (project / "sitecustomize.py").write_text(
        "import os, sys, threading, time\n"
        "def die():\n"
        "    time.sleep(2.5)\n"
        "    os.kill(os.getpid(), 9)\n"
        "if os.environ.get('MLX_RANK') == '1':\n"
        "    threading.Thread(target=die, daemon=True).start()\n",
        encoding="utf-8",
    )
    env = {**os.environ, "PYTHONPATH": str(project)}
    done = run(project, "--set", "stages.train.params.iters=4000", code=1, env=env)
    assert "train failed" in done.stderr
    assert "Node with rank 1" in done.stderr
    assert not (project / "runs" / "r" / "latest" / "train" / "adapters").exists()
