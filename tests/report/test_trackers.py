"""Trackers, for real: a run is tracked, and what they kept is read back."""

import importlib.util
import json
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from runner.base.errors import UnfitError
from runner.plan.model import Plan, Stage
from runner.report import trackers
from runner.report.trackers import Listener
from runner.runs.manifest import Manifest, StageRecord, State

RECIPE = """
version: 1
name: tracked
vars: {store: "sqlite:///{{ recipe.dir }}/mlflow.db"}
track:
  mlflow: {tracking_uri: "{{ vars.store }}", experiment: ours}
  tensorboard: {folder: "{{ recipe.dir }}/boards"}
stages:
  base: {tool: model.tiny}
  train:
    tool: mlx_lm.lora
    params:
      train: true
      model: "{{ stages.base.model }}"
      data: "{{ recipe.dir }}/data"
      iters: 4
      steps_per_report: 1
      steps_per_eval: 2
      val_batches: -1
      max_seq_length: 64
      num_layers: -1
      lora_parameters: {keys: [self_attn.q_proj]}
    expect: [metrics.val_loss <= 100]
"""


def lone(name="demo"):
    plan = Plan(
        name=name,
        file="demo.yaml",
        stages=(
            Stage(name="train", tool="mlx_lm.lora", params={"iters": 2, "train": True}, outputs={}),
        ),
    )
    return Manifest(
        id="id",
        folder="folder",
        plan=plan,
        facts={},
        stages=(StageRecord(name="train"),),
        state=State.RUNNING,
    )


class Broken:
    """A service that accepts a run, and then is gone."""

    def __init__(self, options, manifest):
        self.calls = 0

    def describe(self, texts):
        raise ConnectionError("the server is gone, correct-horse-battery\nand more")

    def end(self, *, good):
        """Nothing to close."""


def test_a_tracker_that_fails_is_said_once_and_stops_nothing(monkeypatch, capsys):
    monkeypatch.setattr(
        trackers.importlib, "import_module", lambda _: type("M", (), {"connect": Broken})
    )
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "correct-horse-battery")
    listener, manifest = Listener("mlflow", {}), lone()
    listener.run_started(manifest, [])
    listener.event(manifest.plan.stages[0], {"event": "train", "iteration": 1, "train_loss": 2.0})
    listener.stage_ended(manifest.plan.stages[0], manifest.stages[0])
    listener.run_ended(manifest)
    said = capsys.readouterr().err
    assert said == "mlflow: the server is gone, ***; tracking stops for this run\n"


def test_a_tracker_that_hangs_is_left_behind(monkeypatch, capsys):
    import threading

    release = threading.Event()

    class Slow(Broken):
        def describe(self, texts):
            release.wait(30)

    monkeypatch.setattr(
        trackers.importlib, "import_module", lambda _: type("M", (), {"connect": Slow})
    )
    monkeypatch.setattr(trackers, "PATIENCE", 0.05)
    listener = Listener("mlflow", {})
    listener.run_started(lone(), [])
    listener.run_ended(lone())
    release.set()
    assert "mlflow: still busy after 0.05 s, no longer waiting" in capsys.readouterr().err


def test_a_tracker_that_is_not_installed_is_told_before_the_run(monkeypatch):
    monkeypatch.setattr(trackers.machine, "importable", lambda name: False)
    plan = Plan(name="demo", file="demo.yaml", stages=(), track={"wandb": {}})
    with pytest.raises(UnfitError, match="track: wandb, but wandb is not installed"):
        trackers.trackers(plan)
    assert (
        trackers.trackers(
            Plan(name="demo", file="demo.yaml", stages=(), track={"wandb": {}}, smoke=True)
        )
        == []
    )


def records(path):
    """Yield the events of a TensorBoard file: length, check, bytes, check."""
    from tensorboardX.proto.event_pb2 import Event

    data = path.read_bytes()
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        yield Event.FromString(data[at + 12 : at + 12 + length])
        at += length + 16


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_mlflow_and_tensorboard_hold_every_metric_of_a_real_run(tmp_path):
    for needed in ("mlx_lm", "mlflow", "sqlalchemy", "tensorboardX"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"needs {needed}")
    (tmp_path / "data").mkdir()
    for split in ("train", "valid"):
        text = "".join(json.dumps({"text": f"row {n} of these"}) + "\n" for n in range(8))
        (tmp_path / "data" / f"{split}.jsonl").write_text(text, encoding="utf-8")
    (tmp_path / "r.yaml").write_text(RECIPE, encoding="utf-8")
    env = {**os.environ, "MLX_DISABLE_COMPILE": "1"}
    words = (sys.executable, "-m", "runner", "r.yaml")
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    folder = next(tmp_path.glob("runs/tracked/2*"))
    rows = [
        json.loads(line) for line in (folder / "train" / "metrics.jsonl").read_text().splitlines()
    ]
    wanted = {
        (f"train/{name}", row["iteration"]): value
        for row in rows
        for name, value in row.items()
        if name not in {"event", "time", "iteration"}
    }
    assert len(wanted) > 20
    assert {**wanted, **held_by_mlflow(tmp_path, wanted)} == wanted
    boards = {
        (value.tag, event.step): value.simple_value
        for path in Path(tmp_path / "boards").rglob("events.*")
        for event in records(path)
        for value in event.summary.value
        if value.HasField("simple_value")
    }
    for key, value in wanted.items():
        assert boards[key] == pytest.approx(value, rel=1e-6)
    assert boards["train/gate/0", 4] == 1
    assert boards["train/audit/different", 4] == 0


def held_by_mlflow(folder, wanted):
    """What MLflow's own store says of the metrics, after a look at the run itself."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    place = client.get_experiment_by_name("ours").experiment_id
    (run,) = client.search_runs([place])
    assert run.info.status == "FINISHED"
    assert run.data.params["train.iters"] == "4"
    assert run.data.params["train.state"] == "finished"
    assert run.data.metrics["train/audit/different"] == 0
    names = {name for name, _ in wanted}
    found = {
        (name, point.step): point.value
        for name in names
        for point in client.get_metric_history(run.info.run_id, name)
    }
    assert found.keys() == wanted.keys()
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("wandb", {"mode": "offline"}),
        ("swanlab", {"mode": "offline"}),
        ("trackio", {}),
    ],
)
def test_the_others_work_offline(name, options, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip(trackers.PACKAGES[name][0])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    manifest = replace(lone(), folder=str(tmp_path))
    listener = Listener(name, options)
    listener.run_started(manifest, [])
    listener.event(manifest.plan.stages[0], {"event": "train", "iteration": 1, "train_loss": 2.5})
    listener.stage_ended(manifest.plan.stages[0], manifest.stages[0])
    listener.run_ended(manifest)
    assert "it is told no more" not in capsys.readouterr().err
    deadline = time.monotonic() + 20  # wandb's own process writes when its run has ended
    while not (found := kept(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert found


def kept(folder):
    """The files below a folder that hold the metric."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if b"train_loss" in path.read_bytes()]
