"""Four stages by the runner and by its own bash script, in turns: ratios, and the same bits.

    python benchmarks/overlap.py [ROUNDS]

Both train, train on that, fuse and test a tiny model made beforehand. MLX compiles no kernels, as
in a smoke run. Run it where nothing else runs: the next interpreter starts on a core of its own.
"""

import contextlib
import filecmp
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

RECIPE = """
version: 1
extends: builtin:base/lora
vars: {warmup: 1}
defaults:
  mlx_lm.lora: {model: model, data: data, max_seq_length: 128, batch_size: 4, num_layers: 2,
    steps_per_eval: 10, steps_per_report: 10, val_batches: 1}
stages:
  first: {tool: mlx_lm.lora, params: {train: true, iters: 20, save_every: 10, seed: 3}}
  second:
    extends: first
    params: {seed: 4, resume_adapter_file: "{{ stages.first.adapter_file }}"}
  fuse:
    tool: mlx_lm.fuse
    params: {model: model, adapter_path: "{{ stages.second.adapter_path }}"}
  test:
    tool: mlx_lm.lora
    params: {test: true, model: "{{ stages.fuse.model }}", adapter_path: ""}
"""
MADE = (
    "first/adapters/adapters.safetensors",
    "second/adapters/adapters.safetensors",
    "fuse/model/model.safetensors",
)
RUNNER = (sys.executable, "-m", "runner")


def main(rounds=5):
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    here = Path(sys.executable).parent
    env |= {"MLX_DISABLE_COMPILE": "1", "PATH": f"{here}{os.pathsep}{env['PATH']}"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, env)
        rows = [compare(folder, env) for _ in range(rounds + 1)][1:]  # the first one warms up
    script, ours = (statistics.median(row[key] for row in rows) for key in ("script", "runner"))
    ratio = statistics.median(row["runner"] / row["script"] for row in rows)
    print(f"script {script:.2f} s, runner {ours:.2f} s, ratio {ratio:.2f} (median of {rounds})")
    print("ratios: " + " ".join(f"{row['runner'] / row['script']:.2f}" for row in rows))
    for name in ("start", "between", "end"):
        print(f"{name}: {1000 * statistics.median(row[name] for row in rows):.0f} ms")
    print(f"same bits: {all(row['same'] for row in rows)}")


def prepare(folder, env):
    (folder / "data").mkdir()
    for split, count in (("train", 24), ("valid", 6), ("test", 6)):
        rows = [
            {"prompt": f"{split}: what is {number} plus one?", "completion": f"{number + 1}"}
            for number in range(count)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "data" / f"{split}.jsonl").write_text(text, encoding="utf-8")
    (folder / "r.yaml").write_text(RECIPE, encoding="utf-8")
    call([*RUNNER, "model", "tiny", "--path", "model"], folder, env)
    said = call([*RUNNER, "r.yaml", "--dry-run"], folder, env)
    (folder / "script.sh").write_text(said, encoding="utf-8")


def compare(folder, env):
    for name in ("runs", "script"):
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder / name)
    script, _ = timed(["bash", "script.sh"], folder, env | {"RUN_DIR": "script"})
    ours, began = timed([*RUNNER, "r.yaml", "--quiet"], folder, env)
    run = folder / "runs" / "r" / "latest"
    said = json.loads((run / "run.json").read_text(encoding="utf-8"))
    times = [(moment(one["started"]), moment(one["ended"])) for one in said["stages"]]
    gaps = [after[0] - before[1] for before, after in itertools.pairwise(times)]
    return {
        "script": script,
        "runner": ours,
        "start": times[0][0] - began,
        "between": statistics.median(gaps),
        "end": began + ours - times[-1][1],
        "same": all(filecmp.cmp(folder / "script" / one, run / one, shallow=False) for one in MADE),
    }


def moment(text):
    return datetime.fromisoformat(text).timestamp()


def timed(words, folder, env):
    began, start = time.time(), time.perf_counter()
    call(words, folder, env)
    return time.perf_counter() - start, began


def call(words, folder, env):
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return done.stdout


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
