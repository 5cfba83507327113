"""A recipe against the bash script of the same commands: the same bits, in less time.

MLX compiles no kernels, as in a smoke run. What was found in rows is kept while their files are the
same; a row says what it takes to look for the first time, which loads a tokenizer.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.harness import BenchError, Command, environment
from benchmarks.peers import OURS, WORK
from benchmarks.profiles import processes
from benchmarks.row import Goal, Row

CACHE = WORK / "cache"
FINDINGS = (CACHE / "kept",)
SCRIPT = "the bash script"
LONG = 400
_RECIPE = """
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
_MADE = (
    "first/adapters/adapters.safetensors",
    "second/adapters/adapters.safetensors",
    "fuse/model/model.safetensors",
)


def rows() -> Iterator[Row]:
    """Yield the rows."""
    short = _prepared("short", _RECIPE)
    yield _row("four stages, 20 iterations", short, 5, 0.78)
    yield _row("four stages, looked at for the first time", short, 3, 0.78, fresh=FINDINGS)
    if shutil.which("taskset"):
        lead = ("taskset", "-c", "0")
        yield _row("four stages on one core", short, 4, 1.05, lead)
        yield _row("four stages on one core, for the first time", short, 3, 1.05, lead, FINDINGS)
    long = _prepared("long", _RECIPE.replace("iters: 20", f"iters: {LONG}"))
    yield _row(f"four stages, {LONG} iterations", long, 2, 1.05)


def _prepared(name: str, recipe: str) -> Path:
    """Return a folder with the recipe, its data, its model, and the script it becomes."""
    folder = WORK / "script" / name
    if not (folder / "script.sh").exists():
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "data").mkdir(parents=True)
        for split, count in (("train", 24), ("valid", 6), ("test", 6)):
            made = "".join(json.dumps(_chat(split, number)) + "\n" for number in range(count))
            (folder / "data" / f"{split}.jsonl").write_text(made, encoding="utf-8")
        (folder / "r.yaml").write_text(recipe, encoding="utf-8")
        _said([OURS, "model", "tiny", "--path", "model"], folder)
        said = _said([OURS, "r.yaml", "--dry-run"], folder)
        (folder / "script.sh").write_text(said, encoding="utf-8")
    return folder


def _chat(split: str, number: int) -> dict[str, str]:
    return {"prompt": f"{split}: what is {number} plus one?", "completion": f"{number + 1}"}


def _said(words: Sequence[str | Path], folder: Path) -> str:
    env = environment(_more())
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{words[1]}: {done.stderr[-2000:]}")
    return done.stdout


def _more() -> dict[str, str]:
    here = Path(sys.executable).parent
    path = f"{here}{os.pathsep}{os.environ['PATH']}"
    return {"RUN_RECIPE_CACHE": str(CACHE), "MLX_DISABLE_COMPILE": "1", "PATH": path}


def _row(
    what: str,
    folder: Path,
    rounds: int,
    most: float,
    lead: tuple[str, ...] = (),
    fresh: tuple[Path, ...] = (),
) -> Row:
    made, run = folder / "script", folder / "runs"
    theirs = Command(
        SCRIPT, [*lead, "bash", "script.sh"], folder, {**_more(), "RUN_DIR": "script"}, (made,)
    )
    bare = Command("run-recipe", [OURS, "r.yaml", "--quiet"], folder, _more(), (run, *fresh))
    ours = replace(bare, argv=[*lead, *bare.argv])
    return Row(
        what,
        ours,
        (theirs,),
        goals=(Goal(most, SCRIPT),),
        rounds=rounds,
        why=processes(bare),
        same=tuple((made / one, run / "r" / "latest" / one) for one in _MADE),
    )
