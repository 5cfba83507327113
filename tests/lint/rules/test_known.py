"""What the edges read of the files a plan names; unreadable is absent."""

import json
import os
import struct
from pathlib import Path

import pytest
from cases import DiskFacts, after_training, compiled, convert, found, lora, one, stage, text
from msgspec.structs import replace

from runner.lint import read_facts
from runner.lint.facts import Moving
from runner.lint.read_adapter import read_adapter
from runner.lint.read_facts import look, read_data, read_model
from runner.lint.safetensors import HeaderError, header

SHAPE = {"rank": 4, "scale": 2.0, "dropout": 0.0, "keys": ["self_attn.q_proj"]}
CONFIG = {
    "fine_tune_type": "lora",
    "lora_parameters": SHAPE,
    "num_layers": 2,
    "model": "base",
    "seed": 7,
    "data": "rows",
}


def write_safetensors(path, shapes, dtype="F32", form=None):
    entries = {
        name: {"dtype": dtype, "shape": list(shape), "data_offsets": [0, 0]}
        for name, shape in shapes.items()
    }
    entries["__metadata__"] = {"format": form} if form else None  # as MLX itself writes it
    said = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(said)) + said)


def write_adapter(folder, rank=4, **changed):
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({**CONFIG, **changed}))
    names = [f"model.layers.{number}.self_attn.q_proj" for number in (0, 1)]
    shapes = {f"{name}.lora_a": (64, rank) for name in names}
    shapes |= {f"{name}.lora_b": (rank, 64) for name in names}
    write_safetensors(folder / "adapters.safetensors", shapes)
    return folder


LLAMA = {
    "model_type": "llama",
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "rms_norm_eps": 1e-5,
    "vocab_size": 100,
}


def write_model(folder, config=None, dtype="BF16", form=None, **files):
    folder.mkdir(parents=True)
    said = {**LLAMA, **(config or {})}
    (folder / "tokenizer.json").write_text("{}")
    (folder / "config.json").write_text(json.dumps(said))
    shapes = {
        "model.embed_tokens.weight": (100, 64),
        "model.layers.0.self_attn.q_proj.weight": (64, 64),
        "model.layers.0.input_layernorm.weight": (64,),
    }
    write_safetensors(folder / "model.safetensors", shapes, dtype, form)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def write_rows(folder, **splits):
    folder.mkdir()
    for name, rows in splits.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def plan(stages):
    return compiled(text(stages)).plan


# adapters

Q, UP = "self_attn.q_proj", "mlp.up_proj"


def test_an_adapter_is_read_by_its_folder_and_by_its_file(tmp_path):
    folder = write_adapter(tmp_path / "old")
    for path in (folder, folder / "adapters.safetensors"):
        seen = read_adapter(str(path))
        assert (seen.fine_tune_type, seen.rank, seen.scale) == ("lora", 4, 2.0)
        assert (seen.keys, seen.num_layers, seen.base) == (("self_attn.q_proj",), 2, "base")
        assert (seen.seed, seen.data, seen.disagrees) == (7, "rows", "")


def test_the_tensors_know_the_rank_better_than_the_configuration(tmp_path):
    seen = read_adapter(str(write_adapter(tmp_path / "old", rank=16)))
    assert (seen.rank, seen.disagrees) == (
        16,
        "rank 16 in its weights and 4 in adapter_config.json",
    )


def bare(folder, *modules, rank=4, end=".lora_b"):
    """Write an adapter's tensors without a configuration."""
    folder.mkdir()
    shapes = {f"{name}.lora_a": (64, rank) for name in modules}
    shapes |= {f"{name}{end}": (rank, 64) for name in modules}
    write_safetensors(folder / "adapters.safetensors", shapes)
    return str(folder / "adapters.safetensors")


def test_tensors_without_a_configuration_say_their_own_shape(tmp_path):
    file = bare(tmp_path / "old", f"model.layers.2.{Q}", f"model.layers.3.{UP}")
    seen = read_adapter(file)
    assert (seen.fine_tune_type, seen.rank, seen.scale, seen.bare) == ("lora", 4, None, True)
    assert (seen.keys, seen.num_layers, seen.base) == ((UP, Q), 2, None)


@pytest.mark.parametrize(
    ("changed", "slugs"),
    [
        ({}, ["resume-scale-unknown"]),
        ({"lora_parameters": {"rank": 8, "keys": [Q, UP]}}, ["resume-rank-mismatch"]),
        ({"lora_parameters": {"rank": 4, "keys": [Q]}}, ["resume-keys"]),
        ({"lora_parameters": {"rank": 4, "keys": None}}, []),
        ({"num_layers": 1}, ["resume-num-layers"]),
        ({"num_layers": -1}, []),
        ({"fine_tune_type": "dora"}, ["resume-type"]),
    ],
)
def test_an_adapter_made_elsewhere_is_held_against_the_stage_by_its_tensors(
    tmp_path, changed, slugs
):
    file = bare(tmp_path / "old", *(f"model.layers.{n}.{name}" for n in (2, 3) for name in (Q, UP)))
    shape = {"lora_parameters": {"rank": 4, "keys": [Q, UP]}, "num_layers": 2}
    stages = one(resume_adapter_file=file, **{**shape, **changed})
    seen = set(found(text(stages), look(plan(stages)))) - {"path-not-there", "name-not-there"}
    known_scale = {"resume-scale-unknown"} if "resume-type" not in slugs else set()
    assert seen == known_scale | set(slugs)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, ""),
        (
            {"fine_tune_type": "dora"},
            "the type lora in its weights and dora in adapter_config.json",
        ),
        (
            {"fine_tune_type": "full", "lora_parameters": None},
            "the type lora in its weights and full in adapter_config.json",
        ),
        (
            {"lora_parameters": {**SHAPE, "keys": ["mlp.up_proj"]}},
            "self_attn.q_proj in its weights and not in adapter_config.json",
        ),
        ({"lora_parameters": {**SHAPE, "keys": None}}, ""),
        ({"lora_parameters": {**SHAPE, "keys": [f"model.layers.{n}.{Q}" for n in (0, 1)]}}, ""),
    ],
)
def test_a_configuration_that_is_not_of_these_tensors_is_told(tmp_path, config, said):
    assert read_adapter(str(write_adapter(tmp_path / "old", **config))).disagrees == said


@pytest.mark.parametrize("tool", ["mlx_lm.fuse", "mlx_lm.generate", "mlx_lm.lora"])
def test_whoever_reads_an_adapter_is_told_what_is_wrong_with_its_files(tmp_path, tool):
    folder = write_adapter(tmp_path / "old", rank=16)
    said = {"model": "base", "adapter_path": str(folder)}
    more = {"mlx_lm.lora": {"data": "o/rows", "test": True}, "mlx_lm.generate": {"prompt": "a"}}
    stages = {"a": stage(tool, **said, **more.get(tool, {}))}
    assert "adapter-config-disagrees" in found(text(stages), look(plan(stages)))
    for file in folder.iterdir():
        file.unlink()
    assert "adapter-path-is-no-adapter" in found(text(stages), look(plan(stages)))


def test_a_configuration_written_after_its_weights_is_told(tmp_path):
    folder = write_adapter(tmp_path / "old")
    stages = one(resume_adapter_file=str(folder / "adapters.safetensors"), seed=1)
    assert "adapter-config-newer" not in found(text(stages), look(plan(stages)))
    os.utime(folder / "adapters.safetensors", (1, 1))
    assert "adapter-config-newer" in found(text(stages), look(plan(stages)))


def test_the_rank_of_experts_is_their_last_dimension(tmp_path):
    folder = write_adapter(tmp_path / "old", rank=16)
    name = "model.layers.0.mlp.switch_mlp.up_proj"
    shapes = {f"{name}.lora_a": (8, 4, 64), f"{name}.lora_b": (8, 64, 4)}
    write_safetensors(folder / "adapters.safetensors", shapes)
    assert read_adapter(str(folder)).rank == 4


def test_a_full_adapter_has_no_rank(tmp_path):
    seen = read_adapter(
        str(write_adapter(tmp_path / "o", fine_tune_type="full", lora_parameters=None))
    )
    assert (seen.fine_tune_type, seen.rank, seen.scale, seen.keys) == ("full", None, None, None)


def test_weights_without_a_configuration_are_no_adapter(tmp_path):
    file = write_model(tmp_path / "m") / "model.safetensors"
    assert read_adapter(str(file)).fine_tune_type == "none"
    stages = one(resume_adapter_file=str(file))
    assert "resume-not-an-adapter" in found(text(stages), look(plan(stages)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"1234567",
        struct.pack("<Q", 2**63),
        struct.pack("<Q", 5) + b"{",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 3) + b"\xff\xfe{",
        struct.pack("<Q", 7) + b'{"a":1}',
        struct.pack("<Q", 20000) + b"[" * 20000,
    ],
)
def test_a_file_that_is_no_safetensors_has_no_header(tmp_path, data):
    file = tmp_path / "x.safetensors"
    file.write_bytes(data)
    with pytest.raises(HeaderError):
        header(file)
    for none in (tmp_path, tmp_path / "absent"):
        with pytest.raises(OSError, match=r"directory"):
            header(none)


# data


def test_rows_are_counted_and_the_first_one_is_looked_at(tmp_path):
    folder = write_rows(
        tmp_path / "d", train=[{"text": "a"}] * 5, test=[{"messages": []}], val=[{}]
    )
    seen = read_data(str(folder))
    assert seen.rows == {"train": 5, "test": 1}
    assert seen.keys == {"train": frozenset({"text"}), "test": frozenset({"messages"})}
    assert seen.others == ("val.jsonl",)


def test_a_last_row_without_an_end_of_line_counts(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"text": 1}\n{"text": 2}')
    assert read_data(str(tmp_path)).rows == {"train": 2}


@pytest.mark.parametrize("content", [b"nonsense\n", b"\xff\n", b"[1]\n", b"", b"[" * 20000])
def test_a_first_row_that_cannot_be_read_has_no_keys(tmp_path, content):
    (tmp_path / "train.jsonl").write_bytes(content)
    assert read_data(str(tmp_path)).keys == {}


def test_a_folder_called_as_a_split_is_no_split(tmp_path):
    (tmp_path / "train.jsonl").mkdir()
    assert read_data(str(tmp_path)).rows == {}
    assert read_data(str(tmp_path / "absent")) is None


# models


def test_a_model_is_read_by_its_files(tmp_path):
    seen = read_model("m", write_model(tmp_path / "m", tokenizer_config={"chat_template": "x"}))
    assert (seen.model_type, seen.layers, seen.quantized_bits) == ("llama", 2, None)
    assert (seen.dtype, seen.chat_template) == ("bfloat16", True)
    assert seen.weights["model.layers.0.self_attn.q_proj"] == (64, 64)


def test_a_quantized_model_and_one_that_is_unpacked_while_it_loads(tmp_path):
    def bits(name, config):
        return read_model("m", write_model(tmp_path / name, config)).quantized_bits

    assert bits("a", {"quantization": {"bits": 6, "group_size": 64}}) == 6
    assert bits("b", {"quantization_config": {"quant_method": "gptq", "bits": 4}}) == 4
    assert bits("c", {"quantization_config": {"quant_method": "fp8"}}) is None
    assert bits("d", {"quantization_config": {"quant_method": "mxfp4"}}) == 4
    assert bits("e", {"quantization": None}) is None


def test_the_layers_of_a_model_with_vision_stand_in_its_text_part(tmp_path):
    config = {"num_hidden_layers": None, "text_config": {"num_hidden_layers": 30}}
    assert read_model("m", write_model(tmp_path / "m", config)).layers == 30


def test_names_of_weights_count_where_mlx_calls_them_the_same(tmp_path):
    other = {"model_type": "mixtral"}
    assert read_model("m", write_model(tmp_path / "hub", other, form="pt")).weights == {}
    assert read_model("m", write_model(tmp_path / "mlx", other, form="mlx")).weights


def test_a_tokenizer_says_whether_there_is_a_chat_template(tmp_path):
    def template(name, beside=None, **files):
        folder = write_model(tmp_path / name, **files)
        if beside:
            (folder / beside).write_text("x")
        return read_model("m", folder).chat_template

    assert template("a") is None
    assert template("b", tokenizer_config={}) is False
    assert template("c", "chat_template.jinja", tokenizer_config={}) is True
    assert template("d", tokenizer_config={"auto_map": {}}) is None


def test_a_folder_without_a_config_is_no_model(tmp_path):
    assert read_model("m", tmp_path) is None
    (tmp_path / "config.json").write_text("[]")
    assert read_model("m", tmp_path) is None


# look


def test_everything_a_plan_names_is_looked_at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_model(Path("base"), {"quantization": {"bits": 4}})
    write_rows(Path("rows"), train=[{"text": "a"}] * 4, test=[{"text": "a"}])
    write_adapter(Path("old"))
    stages = {
        "a": lora(resume_adapter_file="old/adapters.safetensors", adapter_path="out"),
        "t": after_training(adapter_path="nowhere")["t"],
        "q": convert(mlx_path="old"),
    }
    seen = look(plan(stages))
    assert set(seen.models) == {"base"}
    assert seen.data["rows"].rows == {"train": 4, "test": 1}
    assert set(seen.adapters) == {"old/adapters.safetensors"}
    assert seen.absent == {"nowhere"}
    assert seen.existing == {"old"}


def test_looking_finds_what_the_rules_speak_of(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_model(Path("base"))
    write_adapter(Path("old"), rank=16)
    stages = one(resume_adapter_file="old/adapters.safetensors", data="./rows")
    assert set(found(text(stages), look(plan(stages)))) == {
        "adapter-config-disagrees",
        "num-layers-more-than-the-model-has",
        "path-not-there",
        "keys-match-nothing",
        "resume-keys",
        "resume-num-layers",
        "resume-rank-mismatch",
        "resume-scale",
    }


def test_a_model_in_the_hubs_cache_is_known(tmp_path):
    repository = tmp_path / "models--owner--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc\n")
    write_model(repository / "snapshots" / "abc")
    stages = one(model="owner/name")
    assert look(plan(stages)).models == {}
    assert look(plan(stages), tmp_path).models["owner/name"].layers == 2
    assert look(plan(one(model="owner/other")), tmp_path).models == {}


def test_nothing_raises_for_paths_no_system_takes():
    stages = {
        "a": lora(model="x", data="d", resume_adapter_file="a/b"),
        "q": convert(hf_path="z", mlx_path="y"),
        "g": stage("mlx_lm.generate", model="m", image=["i.png", "j"]),
    }
    whole = plan(stages)
    longer = {
        "a": {"model": "x" * 5000, "data": "d" * 300, "resume_adapter_file": "a" * 999 + "/b"},
        "q": {"hf_path": "z" * 300, "mlx_path": "y" * 5000},
        "g": {"image": ["i.png", "j" * 300]},
    }
    grown = tuple(replace(one, params={**one.params, **longer[one.name]}) for one in whole.stages)
    seen = look(replace(whole, stages=grown))
    assert (seen.adapters, seen.data, seen.models) == ({}, {}, {})
    assert "i.png" in seen.absent


def test_an_unreadable_folder_is_absent(tmp_path, monkeypatch):
    names = {name: str(tmp_path / name) for name in ("model", "data", "adapter_path")}
    for name in names.values():
        Path(name).mkdir()
        (Path(name) / "x").touch()
    whole = plan(one(**names))

    def refuse(*_, **__):
        raise PermissionError

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "iterdir", refuse)
    monkeypatch.setattr(Path, "read_text", refuse)
    seen = look(whole)
    assert {one.unloadable for one in seen.models.values()} == {"it has no config.json"}
    assert seen.existing == frozenset()


def test_known_is_empty_for_a_plan_that_names_nothing_on_disk():
    seen = look(plan(one(model="nowhere/model", data="nowhere/rows")))
    moving = (
        Moving(stage="train", parameter="model", name="nowhere/model", lockable=True),
        Moving(stage="train", parameter="data", name="nowhere/rows", lockable=False),
    )
    nothing = DiskFacts(
        absent=frozenset({"nowhere/model", "nowhere/rows"}), packages=seen.packages, moving=moving
    )
    assert seen == nothing
    assert read_facts.SPLITS == ("train", "valid", "test")


def test_a_path_whose_folder_is_there_is_known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    whole = plan(one(model="owner/model", data="data/rows"))
    assert look(whole).beside == frozenset({"data/rows"})
