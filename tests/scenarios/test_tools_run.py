"""Each tool of the catalogue as a real stage, on a model made on the spot."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

if importlib.util.find_spec("mlx_lm") is None:
    pytest.skip("needs mlx-lm", allow_module_level=True)
pytestmark = pytest.mark.slow

# One stage names the tiny model for all; every other takes its tool's defaults but for toy sizes.
TRAINING = """
version: 1
vars: {data: data}
defaults:
  mlx_lm.lora: {data: "{{ vars.data }}", iters: 2, batch_size: 2, num_layers: 2, max_seq_length: 64}
stages:
  tiny: {tool: model.tiny}
  convert:
    tool: mlx_lm.convert
    params: {hf_path: "{{ stages.tiny.model }}", quantize: true, q_bits: 4, q_group_size: 32}
  lora:
    tool: mlx_lm.lora
    params: {model: "{{ stages.convert.model }}", train: true, test: true, learning_rate: 1e-3}
  dora:
    tool: mlx_lm.lora
    params:
      model: "{{ stages.tiny.model }}"
      train: true
      fine_tune_type: dora
      grad_checkpoint: true
      optimizer: adamw
      optimizer_config: {adamw: {weight_decay: 0.1}}
  full:
    tool: mlx_lm.lora
    params:
      model: "{{ stages.tiny.model }}"
      train: true
      fine_tune_type: full
      optimizer: sgd
      lr_schedule: {name: cosine_decay, warmup: 1, arguments: [1e-3, 2, 1e-4]}
  fuse:
    tool: mlx_lm.fuse
    params:
      model: "{{ stages.convert.model }}"
      adapter_path: "{{ stages.lora.adapter_path }}"
      dequantize: true
  generate:
    tool: mlx_lm.generate
    params: {model: "{{ stages.fuse.model }}", prompt: "What is ünique?", max_tokens: 4, temp: 0.7, top_p: 0.9, seed: 3}
  cache:
    tool: mlx_lm.cache_prompt
    params: {model: "{{ stages.tiny.model }}", prompt: "- A long text to keep", kv_bits: 8}
  cached:
    tool: mlx_lm.generate
    params:
      model: "{{ stages.tiny.model }}"
      prompt_cache_file: "{{ stages.cache.cache }}"
      prompt: "and its end"
      max_tokens: 4
      kv_bits: 8
      verbose: false
  benchmark:
    tool: mlx_lm.benchmark
    params: {model: "{{ stages.tiny.model }}", prompt_tokens: 8, generation_tokens: 4, num_trials: 1}
"""

QUANTIZERS = """
version: 1
stages:
  tiny: {tool: model.tiny}
  gptq:
    tool: mlx_lm.gptq
    params: {model: "{{ stages.tiny.model }}", num_samples: 2, sequence_length: 32}
  awq:
    tool: mlx_lm.awq
    params: {model: "{{ stages.tiny.model }}", num_samples: 2, sequence_length: 32, n_grid: 2}
  dynamic_quant:
    tool: mlx_lm.dynamic_quant
    params: {model: "{{ stages.tiny.model }}", target_bpw: 5.5, report_ppl: true}
"""

DATASETS = """
version: 1
stages:
  tiny: {tool: model.tiny}
  perplexity:
    tool: mlx_lm.perplexity
    params: {model: "{{ stages.tiny.model }}", data_path: data, num_samples: 4, sequence_length: 32, batch_size: 2}
  dwq:
    tool: mlx_lm.dwq
    params: {model: "{{ stages.tiny.model }}", data_path: data, num_samples: 8, batch_size: 2, max_seq_length: 33}
  targets:
    tool: mlx_lm.dwq
    params: {model: "{{ stages.tiny.model }}", data_path: data, num_samples: 8, batch_size: 2, max_seq_length: 33, targets_only: true}
"""

EVALUATE = """
version: 1
stages:
  tiny: {tool: model.tiny}
  evaluate:
    tool: mlx_lm.evaluate
    params: {model: "{{ stages.tiny.model }}", tasks: [colours.yaml], limit: 2, batch_size: 2}
"""

# A task of lm-eval that reads its rows from this disk; without a '/' in its name (T93).
TASK = """
task: colours
dataset_path: json
dataset_kwargs: {data_files: {test: colours.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: 0
"""


def needs(*modules):
    absent = [name for name in modules if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(absent), reason=f"needs {', '.join(absent)}")


def ran(place, text, names):
    """Run a recipe in `place`; return its run's folder and what each stage said."""
    (place / "data").mkdir()
    for first, split in ((100, "train"), (200, "valid"), (300, "test")):
        rows = (json.dumps(row(number)) + "\n" for number in range(first, first + 48))
        (place / "data" / f"{split}.jsonl").write_text("".join(rows), encoding="utf-8")
    # Where mlx-lm would download its calibration text to: a small one of our own.
    calibration = place / "home" / ".cache" / "mlx-lm" / "calibration_v5.txt"
    calibration.parent.mkdir(parents=True)
    calibration.write_text("The quick brown fox jumps over the lazy dog. " * 150, encoding="utf-8")
    (place / "colours.yaml").write_text(TASK, encoding="utf-8")
    question = {"question": "The sky is", "choices": ["blue", "green"]}
    (place / "colours.jsonl").write_text(f"{json.dumps(question)}\n" * 3, encoding="utf-8")
    (place / "r.yaml").write_text(text, encoding="utf-8")
    home = str(place / "home")
    done = subprocess.run(
        [sys.executable, "-m", "runner", "r.yaml", "--trust"],
        cwd=place,
        env={**os.environ, "HOME": home, "HF_HUB_OFFLINE": "1", "MLX_DISABLE_COMPILE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = [path.parent for path in place.glob("runs/r/2*/run.json")]
    assert said, done.stderr
    manifest = json.loads((said[0] / "run.json").read_text(encoding="utf-8"))
    assert [stage["name"] for stage in manifest["stages"]] == list(names), done.stderr
    return place, said[0], manifest, done


def row(number):
    return {
        "messages": [
            {"role": "user", "content": f"What is {number} plus one?"},
            {"role": "assistant", "content": f"It is {number + 1}, and so on."},
        ]
    }


STAGES = {
    "training": (
        TRAINING,
        [
            "tiny",
            "convert",
            "lora",
            "dora",
            "full",
            "fuse",
            "generate",
            "cache",
            "cached",
            "benchmark",
        ],
        (),
    ),
    "quantizers": (QUANTIZERS, ["tiny", "gptq", "awq", "dynamic_quant"], ()),
    "datasets": (DATASETS, ["tiny", "perplexity", "dwq", "targets"], ("datasets",)),
    "evaluate": (EVALUATE, ["tiny", "evaluate"], ("datasets", "lm_eval")),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Each recipe, run when it is first asked for."""
    known = {}

    def run(name):
        if name not in known:
            text, stages, _ = STAGES[name]
            known[name] = ran(tmp_path_factory.mktemp(name), text, stages)
        return known[name]

    return run


@pytest.mark.parametrize(
    ("recipe", "stage"),
    [
        pytest.param(recipe, stage, marks=needs(*modules))
        for recipe, (_, stages, modules) in STAGES.items()
        for stage in stages
    ],
)
def test_a_tool_runs_with_every_parameter_as_planned(recipe, stage, runs):
    place, folder, manifest, done = runs(recipe)
    at = [one["name"] for one in manifest["stages"]].index(stage)
    record, plan = manifest["stages"][at], manifest["plan"]["stages"][at]
    assert record["state"] == "finished", done.stderr
    said = json.loads((folder / stage / "effective.json").read_text(encoding="utf-8"))
    assert [one["parameter"] for one in said["parameters"]] == list(plan["params"])
    assert [one for one in said["parameters"] if not one["equal"]] == []
    assert set(record["outputs"]) == set(plan["outputs"])
    for path in record["outputs"].values():
        found = place / path
        assert any(found.iterdir()) if found.is_dir() else found.stat().st_size > 0


def config(folder, stage):
    return json.loads((folder / stage / "model" / "config.json").read_text(encoding="utf-8"))


def test_what_is_quantized_has_the_bits_that_were_asked_for(runs):
    _, folder, *_ = runs("training")
    assert config(folder, "convert")["quantization"] == {
        "group_size": 32, "bits": 4, "mode": "affine",
    }  # fmt: skip
    assert "quantization" not in config(folder, "fuse")
    _, folder, *_ = runs("quantizers")
    for stage in ("gptq", "awq", "dynamic_quant"):
        assert config(folder, stage)["quantization"]


def test_a_training_says_what_it_measured(runs):
    _, _, manifest, _ = runs("training")
    metrics = {one["name"]: one["metrics"] for one in manifest["stages"]}
    assert {"train_loss", "val_loss", "test_loss"} <= set(metrics["lora"])
    for stage in ("lora", "dora", "full"):
        assert metrics[stage]["train_loss"] > 0


def test_adapters_of_each_kind_hold_the_tensors_of_their_kind(runs):
    _, folder, *_ = runs("training")
    for stage, ending in (("lora", "lora_a"), ("dora", ".m"), ("full", ".weight")):
        header = (folder / stage / "adapters" / "adapters.safetensors").read_bytes()
        assert ending.encode() + b'"' in header, stage


def test_generated_text_and_figures_stand_in_the_logs(runs):
    _, folder, *_ = runs("training")
    assert "Generation: " in (folder / "generate" / "log.txt").read_text(encoding="utf-8")
    assert "Averages: " in (folder / "benchmark" / "log.txt").read_text(encoding="utf-8")
    assert "Original PPL: " in (runs("quantizers")[1] / "dynamic_quant" / "log.txt").read_text()


@needs("datasets")
def test_a_perplexity_stands_in_the_log(runs):
    _, folder, *_ = runs("datasets")
    assert "Perplexity: " in (folder / "perplexity" / "log.txt").read_text(encoding="utf-8")


@needs("datasets", "lm_eval")
def test_an_evaluation_leaves_one_file_of_results(runs):
    _, folder, *_ = runs("evaluate")
    (file,) = Path(folder / "evaluate" / "results").iterdir()
    assert "acc,none" in json.loads(file.read_text(encoding="utf-8"))["colours"]
