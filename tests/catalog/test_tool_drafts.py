"""The draft of a tool's file: what a parser says, and what a shipped tool says of the same words."""

from runner.catalog import load
from runner.catalog.draft import draft

CATALOG = load.catalog()
KNOWN = [tool for name in CATALOG.names if (tool := CATALOG.get(name))]
SHARED = (
    "model", "train", "data", "iters", "batch_size", "learning_rate", "seed", "save_every",
    "val_batches", "steps_per_report", "steps_per_eval", "adapter_path", "max_seq_length",
)  # fmt: skip


def option(name, default):
    kind = type(default).__name__
    switch = isinstance(default, bool)
    return {
        "flags": [f"--{name.replace('_', '-')}"],
        "dest": name,
        "type": kind,
        "default": default,
        "choices": None,
        "nargs": 0 if switch else None,
        "required": False,
        "help": None,
        "action": "store_true" if switch else "store",
    }


def program(*names):
    lora = CATALOG.get("mlx_lm.lora")
    flags = {f"--{n}": option(n, lora.parameters[n].default) for n in names}
    flags["--config"] = {**option("config", "c"), "flags": ["-c", "--config"], "default": None}
    return {
        "name": "other.train",
        "command": ["other.train"],
        "main": "other:main",
        "distribution": None,
        "release": None,
        "description": "Train",
        "flags": flags | {"--own": option("own", 2)},
        "config": {},
    }


def test_a_trainer_is_described_like_the_one_it_shares_most_with():
    schema, gaps = draft(program(*SHARED), KNOWN)
    own = schema["properties"]
    assert own["model"]["x-input"] == {"kind": "model"}
    assert own["iters"]["x-smoke"]["total"] is True
    assert own["own"]["description"] == "Its own --own."
    assert schema["x-tool"]["trains"]["iterations"] == "iters"
    assert "accumulation" not in schema["x-tool"]["trains"]
    assert set(schema["x-tool"]["outputs"]) == {"adapter_path", "adapter_file"}
    assert "shape" not in schema["x-tool"]["outputs"]["adapter_path"]
    assert schema["x-tool"]["config_aliases"] == ["-c"]
    assert schema["required"] == ["model"]
    assert any("mlx_lm.lora" in gap for gap in gaps)
    assert not any(gap.startswith("--model") for gap in gaps)


def test_a_program_that_shares_little_is_described_by_itself():
    schema, gaps = draft(program("model", "seed"), KNOWN)
    assert schema["properties"]["model"]["description"] == "Its own --model."
    assert "trains" not in schema["x-tool"]
    assert not any("mlx_lm.lora" in gap for gap in gaps)
