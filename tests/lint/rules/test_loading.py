"""An adapter's files: whatever is wrong with them is told exactly, and as mlx-lm takes it."""

import json
import struct

import pytest
from cases import compiled, found, one, stage, text

from runner.lint.read_adapter import read_adapter
from runner.lint.read_facts import look

LORA = {"rank": 4, "scale": 2.0, "dropout": 0.0}
WHOLE = {"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": LORA}
# A field of lora_parameters with a value that mlx-lm does not take; None is not there at all.
GONE = object()


def config(**changed):
    return {name: value for name, value in {**WHOLE, **changed}.items() if value is not GONE}


def shaped(**changed):
    shape = {name: value for name, value in {**LORA, **changed}.items() if value is not GONE}
    return config(lora_parameters=shape)


# What is in adapter_config.json, and what is said of it: '' where mlx-lm loads it.
CONFIGS = {
    "whole": (config(), ""),
    "no type": (config(fine_tune_type=GONE), ""),
    "null type": (config(fine_tune_type=None), ""),
    "type in capitals": (config(fine_tune_type="LoRA"), ""),
    "list as type": (config(fine_tune_type=["full"]), ""),
    "all layers": (config(num_layers=-1), ""),
    "more layers": (config(num_layers=99), ""),
    "strange base": (config(model=[], seed="x", data=5), ""),
    "lora_layers": (config(num_layers=GONE, lora_layers=2), "lora_layers"),
    "no num_layers": (config(num_layers=GONE), "num_layers is missing"),
    "null num_layers": (config(num_layers=None), "num_layers is null"),
    "num_layers text": (config(num_layers="2"), "num_layers is text"),
    "num_layers float": (config(num_layers=2.0), "num_layers is 2.0"),
    "fewer layers": (config(num_layers=1), "2 layers in its weights and 1"),
    "no lora_parameters": (config(lora_parameters=GONE), "lora_parameters is missing"),
    "null lora_parameters": (config(lora_parameters=None), "lora_parameters is null"),
    "lora_parameters list": (config(lora_parameters=["scale"]), "lora_parameters is a list"),
    "lora_parameters text": (config(lora_parameters="scale"), "lora_parameters is text"),
    "no rank": (shaped(rank=GONE), "rank is missing"),
    "r": (shaped(rank=GONE, r=4), "rank is missing: r is not read"),
    "rank text": (shaped(rank="4"), "rank is text"),
    "rank float": (shaped(rank=4.0), "rank is 4.0"),
    "rank Infinity": (shaped(rank=float("inf")), "rank is .inf"),
    "rank NaN": (shaped(rank=float("nan")), "rank is .nan"),
    "rank below 0": (shaped(rank=-4), "rank is -4"),
    "rank 0": (shaped(rank=0), "rank is 0"),
    "another rank": (shaped(rank=8), "rank 4 in its weights and 8"),
    "no scale": (shaped(scale=GONE), "scale is missing"),
    "alpha": (shaped(scale=GONE, alpha=8), "alpha is not read"),
    "scale text": (shaped(scale="2.0"), "scale is text"),
    "scale null": (shaped(scale=None), "scale is null"),
    "scale list": (shaped(scale=[2.0]), "scale is a list"),
    "scale true": (shaped(scale=True), ""),
    "no dropout": (shaped(dropout=GONE), "dropout is missing"),
    "dropout text": (shaped(dropout="0"), "dropout is text"),
    "dropout 1": (shaped(dropout=1), "dropout is 1, not from 0 to below 1"),
    "dropout null": (shaped(dropout=None), "dropout is null"),
    "keys": (shaped(keys=["self_attn.q_proj"]), ""),
    "keys null": (shaped(keys=None), ""),
    "keys as PEFT names them": (shaped(keys=["q_proj"]), "not in adapter_config.json"),
    "no keys": (shaped(keys=[]), "not in adapter_config.json"),
    "other keys": (shaped(keys=["self_attn.v_proj"]), "not in adapter_config.json"),
    "keys text": (shaped(keys="self_attn.q_proj"), "keys is text"),
    "keys number": (shaped(keys=3), "keys is 3"),
    "PEFT": ({"peft_type": "LORA", "r": 4, "lora_alpha": 8}, "PEFT"),
    "nothing": ({}, "num_layers is missing"),
    "dora": (config(fine_tune_type="dora"), "the type lora in its weights and dora"),
    "full": (config(fine_tune_type="full"), "the type lora in its weights and full"),
}
RAW = {
    "cut off": (b'{"num_layers": 2,', "it is not JSON: "),
    "byte order mark": (b"\xef\xbb\xbf" + json.dumps(WHOLE).encode(), "byte order mark"),
    "empty": (b"", "it is empty"),
    "list": (b"[]", "it contains a list, not an object"),
    "not UTF-8": (b'{"a": "\xff"}', "not UTF-8"),
    "deep": (b"[" * 100_000, "nested too deep"),
    "digits": (b'{"num_layers": ' + b"9" * 5000 + b"}", "more digits"),
}
# mlx-lm puts zeros beside it, and multiplies all by a number that is none: nothing stops.
LOADED = {"rank 0", "dora"}


def write(folder, said, modules=("self_attn.q_proj",), data=None):
    """Write an adapter of two layers, as mlx-lm names and stores its tensors."""
    folder.mkdir()
    raw = said if isinstance(said, bytes) else json.dumps(said).encode()
    (folder / "adapter_config.json").write_bytes(raw)
    entries, end = {"__metadata__": None}, 0
    for name in (f"model.layers.{n}.{module}" for n in (0, 1) for module in modules):
        for matrix, shape in (("lora_a", [64, 4]), ("lora_b", [4, 64])):
            ends = [end, end := end + 4 * 256]
            entries[f"{name}.{matrix}"] = {"dtype": "F32", "shape": shape, "data_offsets": ends}
    head = json.dumps(entries).encode()
    whole = struct.pack("<Q", len(head)) + head + bytes(end)
    (folder / "adapters.safetensors").write_bytes(whole if data is None else data)
    return folder


def told(folder):
    seen = read_adapter(str(folder))
    return seen.unloadable or seen.disagrees


@pytest.mark.parametrize("name", [*CONFIGS, *RAW])
def test_what_is_wrong_with_a_configuration_is_told(name, tmp_path):
    said, why = {**CONFIGS, **RAW}[name]
    folder = write(tmp_path / "a", said)
    assert why in told(folder)
    assert bool(why) == bool(told(folder))


@pytest.mark.parametrize("name", [*CONFIGS, *RAW])
def test_a_stage_that_reads_such_an_adapter_does_not_pass(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said, why = {**CONFIGS, **RAW}[name]
    write(tmp_path / "a", said)
    stages = {"f": stage("mlx_lm.fuse", model="base", adapter_path="a", dequantize=True)}
    rules = set(found(text(stages), look(compiled(text(stages)).plan)))
    ours = {"adapter-path-is-no-adapter", "adapter-config-disagrees"}
    assert bool(rules & ours) == bool(why)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "adapters.safetensors cannot be read: it is empty"),
        (b"\x08" + bytes(7) + b"{}      ", "adapters.safetensors contains no tensors"),
        (b"PK\x03\x04" + bytes(60), "adapters.safetensors cannot be read: it is not a safetensors"),
    ],
)
def test_what_is_wrong_with_the_weights_is_told_of_the_folder_and_of_the_file(tmp_path, data, why):
    folder = write(tmp_path / "a", WHOLE, data=data)
    assert why in read_adapter(str(folder)).unloadable
    assert why in read_adapter(str(folder / "adapters.safetensors")).unloadable


def test_weights_that_are_cut_off_are_told(tmp_path):
    file = write(tmp_path / "a", WHOLE) / "adapters.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    assert "it is truncated: " in read_adapter(str(tmp_path / "a")).unloadable


def test_what_is_not_there_is_named(tmp_path):
    folder = write(tmp_path / "a", WHOLE)
    (folder / "adapters.safetensors").rename(folder / "0000100_adapters.safetensors")
    seen = read_adapter(str(folder))
    assert seen.unloadable == "it has no adapters.safetensors"
    assert "copy a checkpoint" in seen.way_out
    (folder / "adapter_config.json").unlink()
    assert read_adapter(str(folder)).unloadable == "it has no adapter_config.json"
    assert read_adapter(str(tmp_path / "gone")) is None


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (shaped(scale=GONE), "scale is missing"),
        (shaped(scale="2"), "scale is text"),
        (config(lora_parameters=GONE), "scale is missing"),
        (b"{", "it is not JSON"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
    ],
)
def test_a_scale_that_nobody_says_is_not_resumed_in_silence(tmp_path, monkeypatch, said, why):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a", said)
    stages = one(
        resume_adapter_file="a/adapters.safetensors",
        seed=1,
        num_layers=2,
        lora_parameters={**LORA, "keys": ["self_attn.q_proj"]},
    )
    known = look(compiled(text(stages)).plan)
    assert why in known.adapters["a/adapters.safetensors"].unscaled
    assert "resume-scale-unknown" in found(text(stages), known)


def test_what_is_resumed_is_what_the_tensors_are(tmp_path):
    """The trainer compares tensors: keys and layers that they are not of would stop it later."""
    folder = write(tmp_path / "a", shaped(keys=["self_attn.q_proj", "mlp.up_proj"]))
    seen = read_adapter(str(folder / "adapters.safetensors"))
    assert (seen.keys, seen.num_layers) == (("self_attn.q_proj",), 2)


def test_names_of_tensors_may_be_anything(tmp_path):
    entry = {"dtype": "F32", "shape": [4, 64], "data_offsets": [0, 0]}
    names = ("layers.²", f"layers.{'9' * 5000}", "", ".", "\ud800", "٣")
    head = json.dumps({f"{name}.lora_b": entry for name in names}).encode()
    folder = write(tmp_path / "a", WHOLE, data=struct.pack("<Q", len(head)) + head)
    assert read_adapter(str(folder)).rank == 4


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CONFIGS, *RAW])
def test_mlx_lm_loads_what_is_said_to_be_loadable_and_nothing_else(name, tmp_path):
    nn = pytest.importorskip("mlx.nn")
    llama = pytest.importorskip("mlx_lm.models.llama")
    utils = pytest.importorskip("mlx_lm.tuner.utils")
    mx = pytest.importorskip("mlx.core")
    said = {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 64, "vocab_size": 8}
    args = {"model_type": "llama", "num_attention_heads": 2, "rms_norm_eps": 1e-5, **said}
    model = llama.Model(llama.ModelArgs.from_dict(args))
    assert isinstance(model, nn.Module)
    folder = write(tmp_path / "a", {**CONFIGS, **RAW}[name][0])
    try:
        mx.eval(utils.load_adapters(model, str(folder))(mx.array([[1, 2]])))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        assert told(folder)
    else:
        assert not told(folder) or name in LOADED
