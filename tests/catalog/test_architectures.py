"""The tiny configurations of schema/architectures.json, beside mlx_lm's own model files."""

import ast
import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks import architectures
from runner.catalog import load
from runner.catalog.architectures import bare
from runner.system.files import shipped

KINDS = load.architectures()
SAMPLE = ["gemma3", "jamba", "kimi_linear", "llama", "phi3", "qwen3_moe"]
# They need a package that is not mlx-lm's, and a manifest of packed weights.
NOT_TINY = {"olmo", "prism_hadamard_qwen35"}


def package():
    return Path(find_spec("mlx_lm").submodule_search_locations[0])


def constant(name):
    tree = ast.parse((package() / "utils.py").read_text("utf-8"))
    (value,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
    )
    return ast.literal_eval(value)


@pytest.mark.slow
def test_the_aliases_are_those_of_mlx_lm():
    classes = constant("MODEL_ARCHITECTURE_REMAPPING")
    named = {f"{kind}/{written}": name for (kind, written), name in classes.items()}
    assert KINDS.aliases == {**constant("MODEL_REMAPPING"), **named}


@pytest.mark.slow
def test_every_model_file_of_mlx_lm_is_there():
    files = {
        path.stem
        for path in (package() / "models").glob("*.py")
        if "class Model(" in path.read_text("utf-8")
    }
    assert files - NOT_TINY == set(KINDS.known)


def test_the_file_is_as_it_is_written():
    text = (shipped("schema") / "architectures.json").read_text("utf-8")
    assert architectures.text_of(json.loads(text)) == text


def test_the_usual_ones_are_known_and_stand_once():
    assert len(set(KINDS.usual)) == len(KINDS.usual)
    assert set(KINDS.usual) <= set(KINDS.known)


@pytest.mark.parametrize("name", KINDS.known)
def test_every_architecture_has_layers_and_a_row_for_each_token(name):
    one = KINDS.known[name]
    assert one.keys
    assert list(one.keys) == sorted({bare(key) for key in one.keys})
    sizes = [value for key, value in _leaves(one.made(2, {})) if "vocab" in key and value != 1]
    tokenizer = json.loads((shipped("runner") / "tools/tiny_tokenizer.json").read_text("utf-8"))
    # phi3small writes to tokens up to 100351: with fewer it writes over memory.
    assert set(sizes) == {100352 if name == "phi3small" else len(tokenizer["model"]["vocab"])}


def _leaves(config):
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _leaves(value)
        elif isinstance(value, int):
            yield key, value


@pytest.mark.parametrize(
    ("name", "layers", "place", "expected"),
    [
        ("llama", 1, "num_hidden_layers", 2),
        ("llama", 16, "num_hidden_layers", 16),
        ("olmo3", 3, "layer_types", ["sliding_attention", "full_attention", "sliding_attention"]),
        ("nemotron_h", 2, "hybrid_override_pattern", ["M", "*", "-", "E"]),
        ("baichuan_m1", 5, "sliding_window_layers", [0, 2, 4]),
    ],
)
def test_what_is_said_of_each_layer_is_as_long_as_the_model_is_deep(name, layers, place, expected):
    assert KINDS.known[name].made(layers, {})[place] == expected


@pytest.mark.parametrize(
    ("key", "plain"),
    [
        ("self_attn.q_proj", "self_attn.q_proj"),
        ("model.layers.3.self_attn.q_proj", "self_attn.q_proj"),
        ("transformer.h.11.attn.c_attn", "attn.c_attn"),
        ("lm_head", "lm_head"),
        ("mlp.experts.0.up", "mlp.experts.0.up"),
    ],
)
def test_a_key_of_one_layer_is_a_key_of_every_layer(key, plain):
    assert bare(key) == plain


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLE)
def test_layers_and_switches_are_what_mlx_lm_s_own_model_file_makes(name):
    pytest.importorskip("mlx.core")
    assert architectures.derived(KINDS.known[name]) == KINDS.known[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["qwen3_moe", "granitemoehybrid"])
def test_a_sample_trains_fuses_and_generates(name):
    pytest.importorskip("mlx.core")
    assert architectures.outcome(name)[1] == ""
