"""Script, JSON, a run's record and its process say the same words: they come from one place."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from runner import workflow
from runner.catalog import load
from runner.command.as_json import commands
from runner.command.script import script
from runner.plan.model import bind

RECIPE = """
version: 1
extends: builtin:base/lora
defaults: {{mlx_lm.lora: {{model: some/model, data: data, max_seq_length: 64}}}}
vars: {{warmup: 2}}
stages:
  train:
    tool: mlx_lm.lora
    {keys}
    params: {{train: true, iters: 12, save_every: 6, steps_per_eval: 6, seed: 3{name}}}
"""
KEYS = (
    "keep: best",
    "watch: {retention: {data: other data, every: 6, stop_above: 1.5}}",
    "launch: {backend: ring, hosts: 2}",
    "timeout: 90m",
    "retry: {attempts: 3}",
    "continue: true",
    'description: "its $HOME, `x`"',
)
NAMES = ("", ", project_name: \"a 'b' $C `d` \\\\ e\"")
SHIM = """#!/bin/sh
for word in "${0##*/}" "$@"; do printf '%s\\0' "$word"; done >> "$SEEN"
printf '%s' "$FLAVOUR-$MLX_DISABLE_COMPILE" > "$SEEN.env"
"""


@pytest.fixture
def shims(tmp_path):
    folder = tmp_path / "shims"
    folder.mkdir()
    for name in ("mlx_lm.lora", "mlx.launch", "run-recipe", "python", "model.tiny"):
        (folder / name).write_text(SHIM, encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


def planned(folder, keys, name, env, *, smoke=False):
    file = folder / "r.yaml"
    text = RECIPE.format(keys="\n    ".join(keys), name=name)
    file.write_text(text, encoding="utf-8")
    loaded = workflow.load(str(file))
    plan = workflow.plan(workflow.compile_recipe(loaded), loaded, smoke=smoke)
    return replace(plan, env={**env, **plan.env})


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=12)
@given(
    keys=st.sets(st.sampled_from(KEYS)),
    name=st.sampled_from(NAMES),
    env=st.sampled_from([{}, {"FLAVOUR": "it's $HOME"}]),
    smoke=st.booleans(),
)
def test_bash_runs_the_very_words_of_the_json(tmp_path, shims, keys, name, env, smoke):
    plan = planned(tmp_path, sorted(keys), name, env, smoke=smoke)
    said = commands(plan, load.catalog())
    place = f"run {len(list(tmp_path.iterdir()))} $x"
    seen = tmp_path / f"{place}.seen"
    done = subprocess.run(
        ["bash", "-c", script(plan, load.catalog())],
        cwd=tmp_path,
        env={"PATH": f"{shims}:{os.environ['PATH']}", "RUN_DIR": place, "SEEN": str(seen)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    argv = [word for stage in said["stages"] for word in stage["argv"]]
    assert seen.read_text(encoding="utf-8").split("\0")[:-1] == bind(argv, place)
    flavour = f"{env.get('FLAVOUR', '')}-{said['env'].get('MLX_DISABLE_COMPILE', '')}"
    assert Path(f"{seen}.env").read_text(encoding="utf-8") == flavour
    for stage in said["stages"]:
        if stage["config"] is not None:
            file = tmp_path / str(bind(stage["config_path"], place))
            assert json.loads(file.read_text(encoding="utf-8")) == bind(stage["config"], place)


@pytest.mark.slow
def test_a_run_records_and_gives_the_very_words_of_the_json(tmp_path):
    pytest.importorskip("mlx_lm")
    for folder in ("data", "other data"):
        (tmp_path / folder).mkdir()
        for split in ("train", "valid", "test"):
            text = "".join(json.dumps({"text": f"{split} {at} of it"}) + "\n" for at in range(8))
            (tmp_path / folder / f"{split}.jsonl").write_text(text, encoding="utf-8")
    planned(tmp_path, [*KEYS[:2], *KEYS[3:5]], NAMES[0], {})

    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "runner", "r.yaml", "--smoke", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )

    said = {s["name"]: s for s in json.loads(run("-n", "--format", "json").stdout)["stages"]}
    run()
    (folder,) = (tmp_path / "runs" / "r").glob("2*")
    kept = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    for record in kept["stages"]:
        argv = record["argv"]
        assert argv == said[record["name"]]["argv"]
        page = json.loads((folder / record["name"] / "effective.json").read_text(encoding="utf-8"))
        near = str(folder.relative_to(tmp_path))
        given = [w.replace(f"{record['name']}/.part/", f"{record['name']}/") for w in page["argv"]]
        assert given == bind(argv, near)[-len(given) :]
    assert kept["stages"][1]["argv"][:2] == ["run-recipe", "train"]
