"""How stages end, by what they say: the class, and what to change to which value."""

import re
from pathlib import Path

import pytest

from runner.catalog import load
from runner.plan.model import Stage
from runner.runs.failures import CRASH, END, FAILURES, UNSEEN, classify
from runner.runs.remedies import assignment, remedies, subject

# Exit code, the log's last words, the class: the facts' table of exit codes.
ENDS = [
    (6, "", "audit"),
    (1, "mx.NotFiniteError: the train loss is nan", "non-finite"),
    (-6, "[METAL] Command buffer execution failed: Insufficient Memory (00000008:kIOGPU", "out of memory"),
    (1, "RuntimeError: [metal::malloc] Resource limit (499000) exceeded.", "out of memory"),
    (1, "Attempting to allocate 9 bytes which is greater than the maximum allowed buffer size of 8 bytes.", "out of memory"),
    (134, "kIOGPUCommandBufferCallbackErrorImpactingInteractivity", "GPU watchdog"),
    (-9, "", "killed"),
    (137, "Loading datasets", "killed"),
    (-11, "", "crashed"),
    (139, "Training", "crashed"),
    (1, "RuntimeError: [write] Unable to write 1532 bytes to file.", "disk full"),
    (1, "OSError: [Errno 28] No space left on device", "disk full"),
    (1, "GatedRepoError: 401 Client Error. Access to model x/y is restricted.", "gated model"),
    (1, "urllib.error.URLError: <urlopen error [Errno -2] Name or service not known>", "hub not reachable"),
    (1, "LocalEntryNotFoundError: Cannot find an appropriate cached snapshot folder", "hub not reachable"),
    (1, "RepositoryNotFoundError: 404 Client Error", "model not found"),
    (1, "HFValidationError: Repo id must be in the form 'repo_name'", "model not found"),
    (1, "ValueError: Model type foobar not supported.", "unsupported model"),
    (1, "RuntimeError: [load_safetensors] Tensor 'x' invalid data offsets 0 9. corrupt file?", "damaged model"),
    (1, "RuntimeError: [load_safetensors] Invalid json header length model.safetensors", "damaged model"),
    (1, "RuntimeError: [read] Unable to read 8 bytes from file.", "damaged model"),
    (1, "FileNotFoundError: No safetensors found in m", "damaged model"),
    (1, "FileNotFoundError: [Errno 2] No such file or directory: 'm/config.json'", "not a model"),
    (1, "ValueError: Expected shape (355, 128) but received shape (355, 64) for parameter x", "not a model"),
    (1, "You need to have sentencepiece or tiktoken installed to convert", "no tokenizer"),
    (1, "ValueError: Cannot use chat template functions because", "data"),
    (1, "ValueError: Dataset must have at least batch_size=4 examples but only has 3.", "data"),
    (1, "ValueError: Training set not found or empty.", "data"),
    (1, "ModuleNotFoundError: No module named 'datasets'", "data not found"),
    (1, "ModuleNotFoundError: No module named 'wandb'", "not installed"),
    (1, "FileNotFoundError: The adapter path does not exist: a", "adapter mismatch"),
    (1, "ValueError: Adapter at a contains incompatible tensors:", "adapter mismatch"),
    (2, "mlx_lm.lora: error: unrecognized arguments: --mask", "wrong options"),
    (2, "mlx_lm.lora: error: argument --iters: invalid int value: '1e3'", "wrong options"),
    (1, "something nobody has seen", "unknown"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "log", "kind"), ENDS, ids=lambda said: str(said)[:40])
def test_each_end_has_its_class_and_a_way_out(code, log, kind):
    found = classify(code, f"Loading pretrained model\n{log}")
    assert found.kind == kind
    assert found.guidance.endswith(".")


def test_only_what_time_can_help_is_tried_again():
    kinds = {kind for code, log, kind in ENDS if classify(code, log).retry}
    assert kinds == {"GPU watchdog", "hub not reachable"}


LORA = {
    "train": True,
    "batch_size": 4,
    "grad_accumulation_steps": 1,
    "grad_checkpoint": False,
    "max_seq_length": 2048,
    "num_layers": 16,
    "learning_rate": 1e-5,
    "lr_schedule": None,
    "iters": 1000,
    "save_every": 100,
    "model": "some/model",
    "data": "data",
}


TOOL = load.catalog().get("mlx_lm.lora")


def change(kind, tail="", **params):
    stage = Stage(
        name="train",
        tool="mlx_lm.lora",
        params={**LORA, **params},
        outputs={},
        timeout=600.0,
        continues=True,
    )
    return [str(one) for step in remedies(kind, stage, tail, TOOL) for one in step[0].changes]


def test_out_of_memory_names_this_stages_own_values_and_keeps_the_effective_batch():
    assert change("out of memory") == [
        "batch_size: 4 -> 2",
        "grad_accumulation_steps: 1 -> 2",
        "grad_checkpoint: false -> true",
        "max_seq_length: 2048 -> 1024",
        "num_layers: 16 -> 8",
    ]
    small = {"batch_size": 1, "grad_checkpoint": True, "max_seq_length": 256, "num_layers": -1}
    assert change("crashed", **small) == []


@pytest.mark.parametrize(
    ("kind", "params", "tail", "expected"),
    [
        ("non-finite", {}, "", ["learning_rate: 1e-05 -> 1e-06"]),
        (
            "non-finite",
            {"lr_schedule": {"arguments": [2e-5, 100, 0.0]}},
            "",
            ["lr_schedule.arguments: [2e-05, 100, 0.0] -> [2e-06, 100, 0.0]"],
        ),
        ("disk full", {}, "", ["save_every: 100 -> 500"]),
        ("disk full", {"save_every": 1000}, "", []),
        (
            "data",
            {},
            "Dataset must have at least batch_size=4 examples but only has 3.",
            ["batch_size: 4 -> 3"],
        ),
        ("data", {}, "Unsupported data format", []),
        ("timeout", {}, "", ["timeout: 600 -> 1200"]),
        ("cannot resume", {}, "", ["continue: true -> false"]),
        ("unknown", {}, "", []),
    ],
)
def test_a_class_names_the_parameter_to_change_and_to_what(kind, params, tail, expected):
    assert change(kind, tail, **params) == expected


def test_a_change_is_said_as_the_words_that_make_it():
    stage = Stage(name="train", tool="mlx_lm.lora", params=LORA, outputs={}, timeout=600.0)
    words = [
        assignment(stage, one)
        for kind in ("disk full", "timeout")
        for step in remedies(kind, stage, "", TOOL)
        for one in step[0].changes
    ]
    assert words == [
        "stages.train.params.save_every=500",
        "stages.train.timeout=1200",
    ]


def test_a_failure_about_a_file_names_the_files():
    stage = Stage(name="train", tool="mlx_lm.lora", params=LORA, outputs={})
    assert subject("gated model", stage) == "This stage has model: some/model, data: data."
    assert subject("out of memory", stage) == ""


def test_the_page_names_every_class():
    page = (Path(__file__).parent.parent.parent / "docs" / "running.md").read_text(encoding="utf-8")
    classes = " ".join(page.partition("Classes:")[2].partition("##")[0].split())
    named = set(re.findall(r"`([^`]+)`", classes))
    assert {one.kind for one in (*FAILURES, UNSEEN, CRASH, END)} - named == set()
