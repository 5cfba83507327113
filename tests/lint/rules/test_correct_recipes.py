"""Recipes that are right by construction: no rule may say a word."""

import pytest
from cases import DataSet, DiskFacts, convert, found, full, lora, model, rows, stage, text
from hypothesis import given, settings
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


@pytest.mark.slow
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
    on_disk = DiskFacts(data=rows(count, count, count).data, models=facts.models)
    assert found(text(stages), on_disk if known else DiskFacts()) == []


@st.composite
def bases(draw, kind):
    """Return a stage that makes the base, with bits that the type of training can take."""
    bits = {"lora": [None, 2, 3, 4, 5, 6, 8], "dora": [None, 2, 4, 8], "full": [None]}[kind]
    chosen = draw(st.sampled_from(bits))
    precision = {"dtype": draw(st.sampled_from(["float16", "float32"]))} if kind == "full" else {}
    return convert(quantize=True, q_bits=chosen) if chosen else convert(**precision)


def last(name):
    return {"adapter_path": f"{{{{ stages.{name}.adapter_path }}}}"}


def learned(kind, params, **more):
    """Return a training of a type, said in the way that type is."""
    if kind != "full":
        return lora(**{**params, "fine_tune_type": kind, **more})
    kept = {name: params[name] for name in ("iters", "batch_size", "num_layers", "mask_prompt")}
    return full(**{**kept, "learning_rate": 1e-4, **more})["train"]


@pytest.mark.slow
@settings(max_examples=15)
@given(trainings(), st.sampled_from(["lora", "dora", "full"]), st.integers(1, 4), st.data())
def test_a_chain_of_trainings_of_one_type_breaks_no_rule(params, kind, length, data):
    """Each goes on from the one before, with a seed of its own; then all that reads an adapter."""
    base = {"model": "{{ stages.base.model }}"}
    stages = {"base": data.draw(bases(kind))}
    for number in range(length):
        more = {**base, "seed": number}
        if number:
            more["resume_adapter_file"] = f"{{{{ stages.s{number - 1}.adapter_file }}}}"
        stages[f"s{number}"] = learned(kind, params, **more)
        read = {**base, **last(f"s{number}")}
        size = params["batch_size"]
        stages[f"t{number}"] = stage("mlx_lm.lora", **read, data="rows", test=True, batch_size=size)
    read = {**base, **last(f"s{length - 1}")}
    stages["generate"] = stage("mlx_lm.generate", **read, prompt="hello")
    if kind != "full":
        stages["fuse"] = stage("mlx_lm.fuse", **read, dequantize=True)
        stages["small"] = convert(hf_path="{{ stages.fuse.model }}", quantize=True)
        small = {"model": "{{ stages.small.model }}", "adapter_path": "", "data": "rows"}
        stages["left"] = stage("mlx_lm.lora", **small, test=True, batch_size=size)
    count = params["batch_size"] * 3
    facts = model(layers=LAYERS, dtype="float32", chat_template=True, model_type="llama")
    known = DiskFacts(data=rows(count, count, count).data, models=facts.models)
    assert found(text(stages), known if data.draw(st.booleans()) else DiskFacts()) == []


@pytest.mark.slow
@settings(max_examples=15)
@given(trainings(), st.integers(1, 4), st.integers(0, 1000))
def test_a_training_on_mixed_rows_breaks_no_rule(params, share, seed):
    """The replayed share makes the rows a whole number of batches."""
    size = params["batch_size"]
    ratio = share / 4 if share < 4 else 0.0
    first = 12 * size
    mix = {"primary": "rows", "replay": "more", "ratio": ratio, "seed": seed}
    stages = {
        "old": lora(**params, data="more"),
        "mix": stage("data.mix", **mix),
        "new": lora(
            **{**params, "seed": params["seed"] + 1},
            data="{{ stages.mix.data }}",
            resume_adapter_file="{{ stages.old.adapter_file }}",
        ),
        "kept": stage("mlx_lm.lora", model="base", data="more", test=True, **last("new")),
    }
    stages["kept"]["params"]["batch_size"] = size
    keys = {split: frozenset({"messages"}) for split in ("train", "valid", "test")}
    counts = {"rows": first, "more": 3 * first}  # as many as a share of three quarters takes
    sets = {
        name: DataSet(path=name, rows=dict.fromkeys(keys, one), keys=keys)
        for name, one in counts.items()
    }
    assert found(text(stages), DiskFacts(data=sets)) == []
