"""Ten mistakes that mlx-lm takes without a word, made on the command line with real models.

Each must end in an error that a beginner understands; the first seven before any training step.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

if importlib.util.find_spec("mlx_lm") is None:
    pytest.skip("needs mlx-lm", allow_module_level=True)
pytestmark = pytest.mark.slow

RUN = (sys.executable, "-m", "runner")

# A small world: a tiny model, a quantized copy of it, and an adapter that was trained on the copy.
MADE = """
version: 1
defaults:
  mlx_lm.lora: {data: data, iters: 4, batch_size: 2, num_layers: 2, max_seq_length: 64}
stages:
  tiny: {tool: model.tiny, params: {path: base}}
  four:
    tool: mlx_lm.convert
    params: {hf_path: base, mlx_path: base-4bit, quantize: true, q_bits: 4, q_group_size: 32}
  train:
    tool: mlx_lm.lora
    params:
      model: base-4bit
      adapter_path: adapters
      train: true
      learning_rate: 1e-5
      lora_parameters: {keys: [self_attn.q_proj, mlp.up_proj]}
"""

TRAINING = """
version: 1
vars: {rank: 8}
defaults:
  mlx_lm.lora:
    model: base
    data: data
    iters: 4
    batch_size: 2
    num_layers: 2
    max_seq_length: 64
    lora_parameters: {rank: "{{ vars.rank }}", keys: [self_attn.q_proj, mlp.up_proj]}
stages:
  first:
    tool: mlx_lm.lora
    params: {train: true}
  second:
    extends: first
    params: {seed: 1, resume_adapter_file: "{{ stages.first.adapter_file }}"}
"""


def call(cwd, *words, code=0):
    """Call run-recipe; return all that it said on stderr."""
    done = subprocess.run(
        [*RUN, *map(str, words)],
        cwd=cwd,
        env={**os.environ, "MLX_DISABLE_COMPILE": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def row(number, question="What is"):
    answer = f"It is the number {number + 1}, and no other."
    return {
        "messages": [
            {"role": "user", "content": f"{question} {number} plus one?"},
            {"role": "assistant", "content": answer},
        ]
    }


def write(folder, count, start=0, **changed):
    """Write train and valid rows; `changed` are lines of train by number, as ``line_3``."""
    folder.mkdir(exist_ok=True)
    lines = [json.dumps(row(start + n)) for n in range(count)]
    for name, text in changed.items():
        lines[int(name.removeprefix("line_")) - 1] = text
    (folder / "train.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    valid = "".join(json.dumps(row(10_000 + n)) + "\n" for n in range(2))
    (folder / "valid.jsonl").write_text(valid, encoding="utf-8")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with data, models and an adapter, made once by a real run."""
    cwd = tmp_path_factory.mktemp("world")
    write(cwd / "data", 8)
    (cwd / "made.yaml").write_text(MADE, encoding="utf-8")
    call(cwd, "made.yaml", "-q")
    shutil.rmtree(cwd / "runs")
    return cwd


@pytest.fixture
def project(world, tmp_path):
    """A copy of that folder to make a mistake in."""
    cwd = tmp_path / "project"
    shutil.copytree(world, cwd)
    return cwd


def mistaken(cwd, text, *replacements, code=2):
    """Run a recipe with a mistake in it; return what was said, and that nothing was trained."""
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    (cwd / "r.yaml").write_text(text, encoding="utf-8")
    said = call(cwd, "r.yaml", code=code)
    assert not list(Path(cwd).glob("runs/*/*/*/metrics.jsonl"))
    return said


def test_without_a_mistake_it_trains(project):
    (project / "r.yaml").write_text(TRAINING, encoding="utf-8")
    said = call(project, "r.yaml")
    assert "[2/2] second: finished" in said
    assert "warning" not in said


def test_a_rank_that_changes_in_the_second_stage(project):
    changed = ("seed: 1,", "seed: 1, lora_parameters: {rank: 16},")
    said = mistaken(project, TRAINING, changed)
    assert (
        "r.yaml:19:47: stage 'first' has rank 8, but this stage sets 16: it would train at 8, and "
        "fusing would fail later [resume-rank-mismatch]"
    ) in said
    assert "hint: set rank: 8" in said


def test_a_misspelt_module_name(project):
    said = mistaken(project, TRAINING, ("self_attn.q_proj", "self_attn.qproj"))
    assert "'self_attn.qproj' would match no module of the model [keys-match-nothing]" in said
    assert "hint: did you mean 'self_attn.q_proj'?" in said


def test_a_schedule_over_a_learning_rate(project):
    schedule = "lr_schedule: {name: cosine_decay, arguments: [1e-5, 4]}"
    changed = ("{train: true}", f"{{train: true, learning_rate: 2e-4, {schedule}}}")
    said = mistaken(project, TRAINING, changed)
    assert "learning_rate 0.0002 would be ignored: the schedule's peak is 1e-05" in said
    assert 'hint: remove it, or write the peak as "{{ stage.params.learning_rate }}"' in said


def test_train_as_a_text(project):
    said = mistaken(project, TRAINING, ("{train: true}", "{train: 'false'}"))
    assert "r.yaml:16:21: train must be true or false, not the text 'false'" in said
    assert "hint: write false, without quotes" in said


def test_a_key_that_is_there_twice(project):
    said = mistaken(project, TRAINING, ("    iters: 4\n", "    iters: 4\n    iters: 400\n"))
    assert "'iters' is given twice" in said
    assert "r.yaml:9:5" in said


def test_a_wrong_base_under_an_adapter(project):
    call(project, "model", "tiny", "--path", "other", "--seed", "1")
    text = TRAINING.replace("{{ stages.first.adapter_file }}", "adapters/adapters.safetensors")
    said = mistaken(project, text, ("model: base\n", "model: other\n"))
    assert (
        "this adapter was trained on 'base-4bit', but the stage applies it to 'other' [other-base]"
    ) in said
    assert "hint: name the model the adapter was trained on" in said


def test_rows_that_make_the_loss_nan(project):
    long = row(0, "Say, what is " * 20)
    write(project / "data", 8, line_3=json.dumps(long), line_4=json.dumps(long | {}))
    said = mistaken(project, TRAINING, ("{train: true}", "{train: true, mask_prompt: true}"))
    assert (
        "data/train.jsonl:3:1: no token of lines 3, 4 is trained, and mlx-lm puts them into one batch"
    ) in said
    assert "all weights become NaN [batch-learns-nothing]" in said
    assert "hint: raise max_seq_length" in said


FUSE = """
version: 1
stages:
  fuse:
    tool: mlx_lm.fuse
    params: {model: base-4bit, adapter_path: adapters, save_path: fused, dequantize: true}
"""


def test_an_old_shard_beside_a_fused_model(project):
    (project / "fused").mkdir()
    old = project / "fused" / "model-00001-of-00002.safetensors"
    shutil.copy(project / "base" / "model.safetensors", old)
    said = mistaken(project, FUSE)
    assert "'fused' already exists: old weights could be loaded with the new ones" in said
    allowed = FUSE.replace("  fuse:\n", "  fuse:\n    allow: [model-folder-in-use]\n")
    said = mistaken(project, allowed, code=1)
    assert (
        "fused contains model-00001-of-00002.safetensors of another model next to the new one"
    ) in said
    assert "empty it and run again" in said


def test_a_bad_row_five_hundred_lines_into_a_file(project):
    write(project / "data", 600, line_501='{"messages": null}')
    said = mistaken(project, TRAINING)
    assert "data/train.jsonl:501:14: the row has null as messages, not a list of messages" in said


def test_an_adapter_that_fusing_erases(project):
    plain = (", dequantize: true", "")
    said = mistaken(project, FUSE, plain)
    assert "the base is quantized to 4 bits" in said
    assert (
        "weights would be rounded again, which can erase the adapter [fuse-without-dequantize]"
        in said
    )
    assert "hint: set dequantize: true" in said
    allowed = FUSE.replace("  fuse:\n", "  fuse:\n    allow: [fuse-without-dequantize]\n")
    said = mistaken(project, allowed, plain, code=1)
    assert "of the adapter is left in the fused weights" in said
    assert "most changes are rounded away (T80); set dequantize: true" in said
    assert not (project / "runs" / "r" / "latest" / "fuse" / "model").exists()
    shutil.rmtree(project / "fused", ignore_errors=True)
    (project / "r.yaml").write_text(FUSE, encoding="utf-8")  # as both say: dequantize: true
    assert "fuse: finished" in call(project, "r.yaml")
