"""Recipes that are right by construction: no rule may say a word."""

from cases import Known, convert, found, lora, model, rows, stage, text
from hypothesis import given
from hypothesis import strategies as st

MODULES = [
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
]
LAYERS = 16


@st.composite
def schedules(draw, updates):
    """Return lr_schedule for a training of so many updates, or none."""
    peak = draw(st.floats(1e-6, 1e-2))
    warmup = draw(st.integers(0, updates - 1))
    left = updates - warmup
    return draw(
        st.sampled_from(
            [
                None,
                {"name": "cosine_decay", "arguments": [peak, left, 0.0], "warmup": warmup},
                {"name": "cosine_decay", "arguments": [peak, left], "warmup": warmup},
                {"name": "cosine_decay", "arguments": [peak, left, peak / 10], "warmup": warmup},
                {"name": "linear_schedule", "arguments": [peak, 0.0, left], "warmup": warmup},
                {"name": "exponential_decay", "arguments": [peak, 0.99], "warmup": warmup},
                {"name": "step_decay", "arguments": [peak, 0.5, left], "warmup": warmup},
            ]
        )
    )


@st.composite
def trainings(draw):
    """Return the parameters of a training that says nothing in vain."""
    updates = draw(st.integers(1, 500))
    accumulated = draw(st.integers(1, 8))
    schedule = draw(schedules(updates))
    optimizer = draw(st.sampled_from(["adam", "adamw", "muon", "sgd"]))
    keys = draw(st.none() | st.lists(st.sampled_from(MODULES), min_size=1, unique=True))
    params = {
        "iters": updates * accumulated,
        "grad_accumulation_steps": accumulated,
        "optimizer": optimizer,
        "fine_tune_type": draw(st.sampled_from(["lora", "dora"])),
        "num_layers": draw(st.just(-1) | st.integers(1, LAYERS)),
        "batch_size": draw(st.integers(1, 8)),
        "mask_prompt": draw(st.booleans()),
        "seed": draw(st.integers(0, 100)),
        "lora_parameters": {
            "rank": draw(st.integers(1, 64)),
            "scale": draw(st.floats(0.5, 40)),
            "dropout": draw(st.floats(0, 0.5)),
            "keys": keys,
        },
    }
    if schedule:
        params |= {"lr_schedule": schedule}
        if draw(st.booleans()):
            params |= {"learning_rate": schedule["arguments"][0]}
    elif draw(st.booleans()):
        params |= {"learning_rate": draw(st.floats(1e-7, 1e-2))}
    if draw(st.booleans()) and optimizer in {"adam", "adamw"}:
        params |= {"optimizer_config": {optimizer: {"betas": [0.9, 0.99]}}}
    return params


@given(trainings(), st.sampled_from([None, 4, 8]), st.booleans())
def test_a_correct_recipe_breaks_no_rule(params, bits, known):
    base = "{{ stages.base.model }}"
    again = {"resume_adapter_file": "{{ stages.a.adapter_file }}", "seed": params["seed"] + 1}
    adapter = {"adapter_path": "{{ stages.b.adapter_path }}"}
    stages = {
        "base": convert(quantize=True, q_bits=bits) if bits else convert(),
        "a": lora(**params, model=base),
        "b": lora(**{**params, **again}, model=base),
        "test": stage("mlx_lm.lora", model=base, data="rows", test=True, **adapter),
        "fuse": stage("mlx_lm.fuse", model=base, dequantize=True, **adapter),
    }
    stages["test"]["params"]["batch_size"] = params["batch_size"]
    count = params["batch_size"] * 3
    facts = model(layers=LAYERS, dtype="bfloat16", chat_template=True, model_type="olmo2")
    on_disk = Known(data=rows(count, count, count).data, models=facts.models)
    assert found(text(stages), on_disk if known else Known()) == []
