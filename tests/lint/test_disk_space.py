"""What stages will leave on the disk, by the shapes of their model."""

import pytest

from runner.base.errors import UnfitError
from runner.catalog import load
from runner.lint import disk_space
from runner.lint.disk_space import need
from runner.lint.facts import DiskFacts, ModelFacts
from runner.lint.rule import View
from runner.plan.model import Plan, Stage
from runner.system import machine

# Two blocks of two matrices and a norm, an embedding beside them.
WEIGHTS = {
    **{
        f"model.layers.{block}.{name}": shape
        for block in range(2)
        for name, shape in {"a_proj": (64, 32), "b_proj": (32, 64), "norm": (32,)}.items()
    },
    "model.embed_tokens": (1000, 32),
}
COUNT = 2 * (64 * 32 + 32 * 64 + 32) + 32000
FACTS = DiskFacts(
    models={
        "m": ModelFacts(
            path="m",
            model_type="llama",
            layers=2,
            quantized_bits=None,
            dtype="bfloat16",
            chat_template=True,
            weights=WEIGHTS,
        )
    }
)


def found(tool, outputs=("out",), *, continues=False, known=FACTS, **params):
    made = load.catalog().get(tool)
    full = {**made.defaults, **params}
    outputs = dict(zip(made.outputs, outputs, strict=False))
    stage = Stage(name="s", tool=tool, params=full, outputs=outputs, continues=continues)
    return need(
        View(
            catalog=load.catalog(),
            stage=stage,
            tool=made,
            explicit=frozenset(),
            plan=Plan(name="r", file="r.yaml", stages=(stage,)),
            facts=known,
        )
    )


LORA = {
    "train": True,
    "model": "m",
    "data": "d",
    "adapter_path": "out",
    "iters": 10,
    "save_every": 5,
}
PAIRS = {"rank": 8, "scale": 1.0, "dropout": 0.0, "keys": None}


@pytest.mark.parametrize(
    ("params", "size"),
    [
        ({"num_layers": 2}, 2 * 2 * 8 * (64 + 32) * 4 * 3),
        ({"num_layers": 1}, 1 * 2 * 8 * (64 + 32) * 4 * 3),
        ({"num_layers": -1}, 2 * 2 * 8 * (64 + 32) * 4 * 3),
        ({"num_layers": 99}, 2 * 2 * 8 * (64 + 32) * 4 * 3),
        ({"lora_parameters": {**PAIRS, "keys": ["a_proj"]}}, 2 * 8 * (64 + 32) * 4 * 3),
        ({"fine_tune_type": "full"}, 2 * (64 * 32 * 2 + 32) * 2 * 3),
    ],
)
def test_a_training_writes_its_adapter_once_and_at_each_checkpoint(params, size):
    assert found("mlx_lm.lora", **{**LORA, "lora_parameters": PAIRS, **params}).size == size


def test_a_training_that_can_go_on_writes_its_state_too():
    one = 2 * 2 * 8 * (64 + 32) * 4
    assert found("mlx_lm.lora", continues=True, **LORA, lora_parameters=PAIRS).size == one * 6


@pytest.mark.parametrize(
    ("tool", "params", "size"),
    [
        ("mlx_lm.fuse", {"model": "m", "adapter_path": "a"}, COUNT * 2),
        ("mlx_lm.convert", {"hf_path": "m"}, COUNT * 2),
        ("mlx_lm.convert", {"hf_path": "m", "dtype": "float32"}, COUNT * 4),
        ("mlx_lm.convert", {"hf_path": "m", "quantize": True, "q_bits": 4}, ((COUNT - 64) * 4.5 + 64 * 16) / 8),
    ],
)  # fmt: skip
def test_a_model_takes_the_bits_it_is_given(tool, params, size):
    assert found(tool, **params).size == size


def test_what_is_not_known_is_not_guessed():
    assert found("mlx_lm.lora", **LORA, known=DiskFacts()) is None
    assert found("mlx_lm.fuse", model="m", adapter_path="a", known=DiskFacts()) is None


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """A plan of one fusion of a model that is known."""
    tool = load.catalog().get("mlx_lm.fuse")
    params = {**tool.defaults, "model": "m", "adapter_path": "a"}
    stage = Stage(
        name="fuse", tool="mlx_lm.fuse", params=params, outputs={"model": "${RUN_DIR}/fuse/model"}
    )
    monkeypatch.setattr(disk_space.read_facts, "models", lambda *_: FACTS.models)
    return Plan(name="r", file="r.yaml", stages=(stage,))


@pytest.mark.parametrize(
    ("free", "said"), [(2 * COUNT - 1, "refused"), (2 * COUNT + 1, "near"), (10**9, "")]
)
def test_a_disk_too_small_is_refused_with_the_arithmetic(plan, tmp_path, monkeypatch, free, said):
    monkeypatch.setattr(machine, "free_bytes", lambda _: free)
    if said == "refused":
        with pytest.raises(
            UnfitError, match=r"has 80\.5 kB free, but fuse writes a model of 80\.5 kB$"
        ):
            disk_space.look(plan, ["fuse"], tmp_path)
        return
    assert len(disk_space.look(plan, ["fuse"], tmp_path)) == (said == "near")
    assert disk_space.look(plan, [], tmp_path) == []
