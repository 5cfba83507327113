"""Trainings: on sorted rows against the same rows as they were, and what recording them costs."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.harness import Command, once
from benchmarks.peers import OURS, TOP, WORK
from benchmarks.row import Goal, Row
from benchmarks.trainings import BATCH

ENV = {"MLX_DISABLE_COMPILE": "1"}
UNSORTED = "mlx-lm, rows as they were"
RECIPE = """
version: 1
stages:
  train:
    tool: mlx_lm.lora
    params: {model: model, data: data, train: true, batch_size: 4, iters: 200, num_layers: -1,
      steps_per_report: 1, steps_per_eval: 1000, val_batches: 1, learning_rate: 1e-4, seed: 1,
      lora_parameters: {rank: 8, scale: 2.0, dropout: 0.0, keys: [self_attn.q_proj]}}
    allow: [keys-not-said]
"""


def rows() -> Iterator[Row]:
    """Yield the rows."""
    folder = WORK / "training"
    if not (folder / "sorted").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        once(_said("rows", "rows", folder))
        argv = [OURS, "data", "sort", "--data", folder / "data", "--out", folder / "sorted"]
        once(Command("data sort", [*argv, "--batch-size", str(BATCH)], TOP))
    speed = Goal(1.2, UNSORTED, "said", least=True)
    yield Row(
        "trained tokens a second, sorted by length",
        _said("mlx-lm after data sort", "train", folder, "sorted"),
        (_said(UNSORTED, "train", folder, "data"),),
        goals=(speed,),
        rounds=1,
        unit="tokens/s",
    )
    yield Row(
        "test loss after as many tokens",
        _said("mlx-lm after data sort", "loss", folder, "sorted"),
        (_said(UNSORTED, "loss", folder, "data"),),
        goals=(Goal(1.0, UNSORTED, "said"),),
        rounds=1,
        unit="nats",
        why="the mean of eight seeds; mlx-lm takes the mean of a batch whatever its tokens are "
        "(T37): where it holds short rows only, each of their tokens counts for more than in the "
        "loss of the test",
    )
    (folder / "r.yaml").write_text(RECIPE)
    if not (folder / "runs").exists():
        once(Command("one run", [OURS, "r.yaml", "--quiet"], folder, ENV))
    run = folder / "runs" / "r" / "latest"
    yield Row(
        "recording each of 200 iterations, % of the training",
        replace(_said("run-recipe's recorder", "recorder", run, "train"), cwd=folder),
        goals=(Goal(0.5, of="said"),),
        rounds=3,
        unit="%",
    )


def _said(name: str, what: str, folder: Path, *rest: str) -> Command:
    argv = [sys.executable, "-m", "benchmarks.trainings", what, folder, *rest]
    return Command(name, argv, TOP, ENV, reads=None if what == "rows" else _figure)


def _figure(out: str, _: str) -> float:
    return float(out.rpartition("figure ")[2])
