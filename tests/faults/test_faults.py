"""Faults: a run is struck at points spread over all of its writes, and goes on to the same weights.

``--faults N`` sets how many points are tried for each harm; ``make faults`` tries them all.
"""

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

if importlib.util.find_spec("mlx_lm") is None:
    pytest.skip("needs mlx-lm", allow_module_level=True)
pytestmark = pytest.mark.slow

RUN = (sys.executable, "-m", "runner")
STRUCK = (sys.executable, str(Path(__file__).parent / "struck.py"))
RECIPE = """
version: 1
extends: builtin:base/lora
vars: {warmup: 1}
defaults: {mlx_lm.lora: {model: some/model, data: data, max_seq_length: 64}}
stages:
  first: {tool: mlx_lm.lora, params: {train: true, iters: 4, save_every: 2, seed: 3}}
  second:
    extends: first
    params: {seed: 4, resume_adapter_file: "{{ stages.first.adapter_file }}"}
  fuse:
    tool: mlx_lm.fuse
    params: {model: some/model, adapter_path: "{{ stages.second.adapter_path }}"}
  test:
    tool: mlx_lm.lora
    params: {test: true, adapter_path: "{{ stages.second.adapter_path }}"}
"""
MADE = (
    "first/adapters/adapters.safetensors",
    "second/adapters/adapters.safetensors",
    "fuse/model/model.safetensors",
)
# Before a run begins a signal ends the process as it ends any: a shell says 143 of that, too.
CODES = {"kill": {-9}, "term": {143, -15}, "int": {130}, "full": {1}}


def lay(folder):
    (folder / "data").mkdir()
    for split, count in (("train", 8), ("valid", 2), ("test", 2)):
        texts = (json.dumps({"text": f"{split} row {n}"}) + "\n" for n in range(count))
        (folder / "data" / f"{split}.jsonl").write_text("".join(texts), encoding="utf-8")
    (folder / "r.yaml").write_text(RECIPE, encoding="utf-8")
    return folder


def call(cwd, *words):
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)


def strike(cwd, harm, number):
    return call(cwd, *STRUCK, harm, str(number), str(cwd / "runs"), "r.yaml", "--smoke")


def weights(run):
    return [(run / name).read_bytes() for name in MADE]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What a run that nothing struck makes, and how many writes it takes."""
    cwd = lay(tmp_path_factory.mktemp("undisturbed"))
    done = strike(cwd, "count", 0)
    assert done.returncode == 0, done.stderr
    writes = int(done.stderr.rpartition("writes: ")[2])
    assert writes > 60
    return weights((cwd / "runs" / "r" / "latest").resolve()), writes


def processes_of(cwd):
    """Whatever still runs a stage below a folder."""
    listed = call(cwd, "ps", "-ww", "-eo", "pid,args").stdout.splitlines()
    return [line for line in listed if "runner.worker" in line and str(cwd) in line]


def orphans(cwd):
    """Processes of a run that did not end when the runner did: they are given a few seconds."""
    deadline = time.monotonic() + 10
    while (found := processes_of(cwd)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def truthful(cwd, run):
    """Hold what status says against what stands on the disk; return how many stages are done."""
    said = call(cwd, *RUN, "status", str(run), "--format", "json")
    assert said.returncode == 0, said.stderr
    status = json.loads(said.stdout)
    done = 0
    for record in status["stages"]:
        if record["state"] == "finished":
            done += 1
            assert all(os.path.lexists(cwd / path) for path in record["outputs"].values()), record
    if status["state"] == "running":
        assert "its process is no longer running" in call(cwd, *RUN, "status", str(run)).stdout
    return done


@pytest.mark.parametrize("harm", list(CODES))
def test_a_run_struck_anywhere_goes_on_to_the_same_weights(harm, undisturbed, tmp_path, request):
    expected, writes = undisturbed
    count = min(int(request.config.getoption("--faults")), writes)
    first = ([*CODES].index(harm) + 0.5) / len(CODES)  # each harm elsewhere
    for number in sorted({1 + int((at + first) * writes / count) for at in range(count)}):
        cwd = tmp_path / f"{harm}-{number}"
        cwd.mkdir()
        lay(cwd)
        done = strike(cwd, harm, number)
        left = orphans(cwd)
        assert left == [], f"{harm} at write {number}"
        runs = sorted(cwd.glob("runs/r/2*/run.json"))
        ended = bool(runs) and json.loads(runs[0].read_text())["state"] == "finished"
        if not (ended and done.returncode == 0):
            assert done.returncode in CODES[harm], f"{harm} at write {number}: {done.stderr}"
            assert "Traceback" not in done.stderr, f"{harm} at write {number}: {done.stderr}"
        if harm == "full" and not ended:
            assert "No space left on device" in done.stderr, f"at write {number}: {done.stderr}"
        again = [*RUN, "r.yaml", "--smoke"]
        if runs:
            truthful(cwd, runs[0].parent)
            again.append("--resume")
        gone_on = call(cwd, *again)
        assert gone_on.returncode == 0, f"{harm} at write {number}: {gone_on.stderr}"
        assert weights((cwd / "runs" / "r" / "latest").resolve()) == expected, (harm, number)
        if runs:
            assert len(list(cwd.glob("runs/r/2*"))) == 1
