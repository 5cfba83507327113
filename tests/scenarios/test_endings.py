"""What is looked at when a stage has ended: on real models, and on files that mlx-lm would load."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

if importlib.util.find_spec("mlx_lm") is None:
    pytest.skip("needs mlx-lm", allow_module_level=True)
pytestmark = pytest.mark.slow

RUN = (sys.executable, "-m", "runner")

# Each stage does what its rule would refuse, so that only the end can say it.
CONVERT = """
version: 1
stages:
  tiny: {tool: model.tiny, params: {path: base}}
  four:
    tool: mlx_lm.convert
    params: {hf_path: "{{ stages.tiny.model }}", mlx_path: named, quantize: true, q_bits: 4}
  again:
    tool: mlx_lm.convert
    allow: [quantizes-twice]
    params: {hf_path: "{{ stages.four.model }}", quantize: true, q_bits: 8}
  wide:
    tool: mlx_lm.convert
    allow: [group-size-does-not-divide]
    params: {hf_path: "{{ stages.tiny.model }}", quantize: true, q_group_size: 128}
"""


def call(cwd, *words, code=0):
    done = subprocess.run(
        [*RUN, *words],
        cwd=cwd,
        env={**os.environ, "MLX_DISABLE_COMPILE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A base, and a copy of it in four bits in a folder the recipe names, made by a run."""
    cwd = tmp_path_factory.mktemp("models")
    (cwd / "r.yaml").write_text(CONVERT, encoding="utf-8")
    call(cwd, "r.yaml", "--to", "four", "-q")
    return cwd


def test_a_resumed_run_is_not_refused_for_its_own_outputs(models):
    said = call(models, "r.yaml", "--resume", "--to", "four")
    assert said.count("skipped: finished") == 2
    assert "'named' already exists" in call(models, "r.yaml", "--fresh", "--to", "four", code=2)


def test_what_a_run_itself_made_makes_room_for_what_it_makes_anew(models):
    words = ("r.yaml", "--resume", "--to", "four", "--set", "stages.tiny.params.seed=7")
    before = (models / "named" / "model.safetensors").read_bytes()
    assert "four: mlx_lm.convert, rerun: stage tiny changed" in call(models, *words)
    assert (models / "named" / "model.safetensors").read_bytes() != before
    assert (models / ".named.replaced" / "model.safetensors").read_bytes() == before
    (models / "named" / "mine.txt").write_text("keep me")
    assert "'named' already exists" in call(models, *words[:-2], code=2)
    (models / "named" / "mine.txt").unlink()
    call(models, *words[:-2])
    assert (models / "named" / "model.safetensors").read_bytes() == before  # for the tests below


def test_bits_that_stay_as_they_were_are_counted_off_the_weights(models):
    said = call(models, "r.yaml", "--resume", "--only", "again", code=1)
    assert "do not have the requested 8 bits: lm_head has 4" in said
    assert "(T85); start from the original model" in said


def test_a_model_without_one_quantized_layer_is_not_called_quantized(models):
    said = call(models, "r.yaml", "--resume", "--only", "wide", code=1)
    assert "no layer was quantized" in said


@pytest.fixture
def host(tmp_path):
    """What the end is looked at with: a stage of convert that was to quantize."""
    from runner.catalog import load
    from runner.worker.observer import Observer

    tool = load.catalog().get("mlx_lm.convert")
    params = {**tool.defaults, "hf_path": "base", "quantize": True, "q_bits": 4}
    stage = types.SimpleNamespace(name="q", params=params, allow=(), outputs={}, trainer={})
    return Observer(str(tmp_path), stage, tool)


def saved(folder, name="model.safetensors", **tensors):
    import mlx.core as mx

    folder.mkdir(exist_ok=True)
    mx.save_safetensors(str(folder / name), tensors, metadata={"format": "mlx"})


def test_one_number_that_is_not_finite_is_found(tmp_path, host):
    import mlx.core as mx

    from runner.worker.observer import OutputError
    from runner.worker.weights import finite

    saved(tmp_path, good=mx.ones((4, 4)), words=mx.zeros((2,), mx.uint32))
    finite(tmp_path / "model.safetensors")
    saved(tmp_path, good=mx.ones((4, 4)), bad=mx.array([1.0, float("inf")]))
    with pytest.raises(OutputError, match="bad is not finite"):
        finite(tmp_path / "model.safetensors")


def test_layers_that_the_groups_do_not_divide_are_named(models, tmp_path, host):
    import mlx.core as mx

    from runner.worker.observer import OutputError
    from runner.worker.weights import look

    folder = tmp_path / "partly"
    shutil.copytree(models / "named", folder)
    look(folder, host, host.tool.outputs["model"])
    found = mx.load(str(folder / "model.safetensors"))
    mx.eval(found)
    saved(folder, **found, **{"router.weight": mx.ones((4, 96)), "norm.weight": mx.ones((96,))})
    with pytest.raises(OutputError, match=r"1 of 17 layers were not quantized.*router"):
        look(folder, host, host.tool.outputs["model"])


def test_a_shard_that_the_index_does_not_name_is_an_old_one(models, tmp_path, host):
    from runner.worker.observer import OutputError
    from runner.worker.weights import shards

    folder = tmp_path / "named"
    shutil.copytree(models / "named", folder)
    assert [file.name for file in shards(folder, host.tool.outputs["model"])] == [
        "model.safetensors"
    ]
    shutil.copy(folder / "model.safetensors", folder / "model-00002-of-00002.safetensors")
    with pytest.raises(OutputError, match=r"model-00002-of-00002\.safetensors of another model"):
        shards(folder, host.tool.outputs["model"])
    (folder / "model.safetensors").unlink()
    with pytest.raises(OutputError, match=r"has no model\.safetensors, which its index lists"):
        shards(folder, host.tool.outputs["model"])


def test_a_service_that_is_not_installed_is_missed_before_anything_runs(tmp_path):
    name = next(n for n in ("swanlab", "wandb") if importlib.util.find_spec(n) is None)
    (tmp_path / "data").mkdir()
    row = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    for split, count in (("train", 4), ("valid", 4)):
        lines = [json.dumps({**row, "number": f"{split} {n}"}) for n in range(count)]
        (tmp_path / "data" / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    recipe = {
        "version": 1,
        "extends": "builtin:base/lora",
        "vars": {"warmup": 1},
        "stages": {
            "a": {
                "tool": "mlx_lm.lora",
                "params": {"model": "o/m", "data": "data", "train": True, "report_to": name},
            }
        },
    }
    (tmp_path / "r.yaml").write_text(json.dumps(recipe))
    said = call(tmp_path, "r.yaml", "--trust", code=5)
    assert f"stage 'a' needs {name}, which is not installed here" in said
    assert f"hint: pip install {name}" in said
    assert not Path(tmp_path / "runs").exists()


@pytest.mark.skipif(importlib.util.find_spec("datasets") is not None, reason="datasets is here")
def test_rows_of_a_library_that_is_not_installed_are_missed_before_anything_runs(tmp_path):
    (tmp_path / "kept").mkdir()
    params = {"model": "o/m", "train": True, "hf_dataset": {"path": "kept"}}
    stages = {"a": {"tool": "mlx_lm.lora", "params": params}}
    recipe = {"version": 1, "extends": "builtin:base/lora", "vars": {"warmup": 1}, "stages": stages}
    (tmp_path / "r.yaml").write_text(json.dumps(recipe))
    said = call(tmp_path, "r.yaml", code=5)
    assert "stage 'a' needs datasets, which is not installed here" in said
    assert "hint: pip install datasets" in said
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("added", "left", "noise", "size", "kept"),
    [
        (4.0, 4.0, 0.0, 100, 1.0),
        (4.0, 1.0, 0.01, 100, 0.25),
        (4.0, 40.0, 400.0, 100, 0.0),  # by chance: the rounding is ten times the adapter
        (0.0, 0.0, 0.0, 100, 0.0),
    ],
)
def test_the_share_of_an_adapter_that_is_left(added, left, noise, size, kept):
    from runner.worker.watch_fuse import share

    assert share(added, left, noise, size) == kept
