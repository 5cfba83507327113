"""The catalogue itself: every file of schema/tools is what schema/tool.meta.json says, and means it."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from runner.catalog import load
from runner.catalog.tools import Tool, complete, resolve
from runner.catalog.validate import violations

SCHEMA = Path(__file__).parents[2] / "schema"
META = json.loads((SCHEMA / "tool.meta.json").read_text(encoding="utf-8"))
NAMES = load.catalog().names
FULL = {  # what a recipe has to say of each tool
    "data.format": {"data": "rows", "to": "chat"},
    "data.mix": {"primary": "new", "replay": "old"},
    "data.weight": {"data": "rows", "field": "quality", "repeat": {"high": 2.5}},
    "eval.score": {"model": "m", "prompts": "p.jsonl"},
    "hf.download": {"repo_id": "org/name"},
    "hf.upload": {"repo_id": "org/name", "local_path": "model"},
    "hub.publish": {"path": "m", "repo_id": "org/name", "license": "mit"},
    "mlx_lm.convert": {"hf_path": "org/name"},
    "mlx_lm.cache_prompt": {"model": "m", "prompt": "p", "prompt_cache_file": "c.safetensors"},
    "mlx_lm.dwq": {"model": "m", "data_path": "d"},
    "mlx_lm.evaluate": {"model": "m", "tasks": ["winogrande"]},
    "mlx_lm.fuse": {"model": "m", "adapter_path": "a"},
    "mlx_lm.lora": {"model": "m", "data": "d", "train": True},
    "mlx_lm_lora.train": {"model": "m", "data": "d", "train": True},
    "mlx_lm.perplexity": {"model": "m", "data_path": "d"},
    "mlx_lm.upload": {"path": "m", "upload_repo": "org/name"},
}


def tool(name: str) -> Tool:
    found = load.catalog().get(name)
    assert found is not None
    return found


def raw(name: str) -> dict[str, Any]:
    return json.loads((SCHEMA / "tools" / f"{name}.json").read_text(encoding="utf-8"))


def refused(name: str, **params: Any) -> list[str]:
    """Return what the catalogue says against these parameters beside the required ones."""
    given = {**FULL.get(name, {"model": "m"}), **params}
    schema = tool(name).schema
    alone = [v.message for v in violations(schema, given)]
    explicit = [v.message for v in violations(schema, complete(schema, given, schema))]
    assert alone == explicit, "a value and the same value written out are judged alike"
    return alone


def test_the_meta_schema_is_a_schema():
    Draft202012Validator.check_schema(META)


def test_the_page_on_adding_a_tool_explains_every_annotation():
    page = (SCHEMA.parent / "docs" / "adding-a-tool.md").read_text(encoding="utf-8")
    known = META["$defs"]
    names = [name for name in known["schema"]["properties"] if name.startswith("x-")]
    names += [*known["tool"]["properties"], *known["travel"]["properties"]]
    names += known["travel"]["properties"]["emit"]["enum"]
    assert [name for name in names if f"`{name}" not in page and f'"{name}"' not in page] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_tool_is_what_the_meta_schema_says(name):
    said = raw(name)
    Draft202012Validator.check_schema(said)
    found = [
        f"{list(e.absolute_path)}: {e.message}"
        for e in Draft202012Validator(META).iter_errors(said)
    ]
    assert found == []
    assert said["title"] == name


@pytest.mark.slow
@pytest.mark.parametrize(
    "break_it",
    [
        lambda said: said["properties"]["seed"].update({"x-inputs": {"kind": "file"}}),
        lambda said: said["properties"]["seed"].update({"minimun": 0}),
        lambda said: said["properties"]["seed"].pop("description"),
        lambda said: said["properties"]["seed"].pop("x-arg"),
        lambda said: said["properties"]["seed"]["x-arg"].update(emit="flag"),
        lambda said: said["properties"]["seed"]["x-arg"].pop("flag"),
        lambda said: said["properties"]["seed"]["x-arg"].update(off="--no-seed"),
        lambda said: said["properties"]["seed"].update({"x-smoke": {"scale": "steps"}}),
        lambda said: said["properties"]["lora_parameters"]["properties"]["rank"].update(
            {"x-arg": {}}
        ),
        lambda said: said["x-tool"].update(metric=[]),
        lambda said: said["x-tool"]["outputs"].update(adapter={"param": "adapter_path"}),
        lambda said: said["allOf"][0]["then"].update({"x-mesage": "said wrong"}),
        lambda said: said.pop("additionalProperties"),
    ],
)
def test_an_annotation_nobody_knows_is_refused(break_it):
    said = raw("mlx_lm.lora")
    assert Draft202012Validator(META).is_valid(said)
    break_it(said)
    assert not Draft202012Validator(META).is_valid(said)


def shapes(schema: dict[str, Any], root: dict[str, Any], at: str = ""):
    """Yield every parameter of a schema, nested ones included, with its place."""
    for name, said in schema.get("properties", {}).items():
        full = resolve(said, root)
        yield f"{at}{name}", full
        yield from shapes(full, root, f"{at}{name}.")


@pytest.mark.parametrize("name", NAMES)
def test_every_default_is_a_value_its_own_parameter_takes(name):
    schema = raw(name)
    for place, said in shapes(schema, schema):
        if "default" in said:
            assert violations({**said, "$defs": schema.get("$defs", {})}, said["default"]) == [], (
                place
            )


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_has_a_value_in_every_plan(name):
    one = tool(name)
    placed = {output.param for output in one.outputs.values() if output.place and not output.when}
    for parameter in one.parameters.values():
        said = "default" in parameter.schema or parameter.name in one.schema["required"]
        assert said or parameter.name in placed, parameter.name
    assert set(one.schema.get("required", ())) <= set(one.parameters)


@pytest.mark.parametrize("name", NAMES)
def test_annotations_name_parameters_that_exist(name):
    one = tool(name)
    for output in one.outputs.values():
        assert output.param is None or output.param in one.parameters
        assert set(output.when) <= set(one.parameters)
        if output.path:
            named = output.path.partition("{")[2].partition("}")[0]
            assert any(named in {other.name, other.param} for other in one.outputs.values())
    assert set(one.families.values()) <= set(one.parameters)
    if one.report:
        assert one.report.partition("{")[2].partition("}")[0] in one.parameters
    for parameter in one.parameters.values():
        assert set(parameter.schema.get("x-input", {}).get("when", {})) <= set(one.parameters)
        assert parameter.schema.get("x-select", "model") in {*one.parameters, "model"}
        small = parameter.schema.get("x-smoke", {})
        assert set(small.get("when", {})) <= set(one.parameters)
        if "value" in small:
            assert (
                violations(
                    {k: v for k, v in parameter.schema.items() if k != "$ref"}, small["value"]
                )
                == []
            )
    assert not set(one.schema.get("x-not", {})) & set(one.parameters)


@pytest.mark.parametrize("name", NAMES)
def test_no_two_parameters_share_a_flag(name):
    said = [parameter.schema["x-arg"] for parameter in tool(name).parameters.values()]
    flags = [arg[key] for arg in said for key in ("flag", "off") if key in arg]
    flags += [tool(name).config_flag or "-"]
    assert sorted(set(flags)) == sorted(flags)


@pytest.mark.parametrize("name", NAMES)
def test_words_without_a_flag_have_one_reading(name):
    """Only the last of them may be left out or be a list: the words before it are counted."""
    bare = [p for p in tool(name).parameters.values() if p.emit == "positional"]
    assert all(p.name in tool(name).schema["required"] for p in bare[:-1])


@pytest.mark.parametrize("name", NAMES)
def test_the_least_a_recipe_can_say_passes_written_out_as_well(name):
    schema = tool(name).schema
    least = FULL.get(name) or dict.fromkeys(schema.get("required", ()), "m")
    assert violations(schema, least) == []
    assert violations(schema, complete(schema, least, schema)) == []


@pytest.mark.parametrize(
    "name, params, about",
    [
        ("mlx_lm.generate", {"top_p": 0.9}, "temp 0 (T91)"),
        ("mlx_lm.generate", {"xtc_probability": 0.5}, "temp 0 (T91)"),
        ("mlx_lm.generate", {"temp": 0.7, "xtc_threshold": 0.2}, "xtc_probability"),
        ("mlx_lm.generate", {"temp": 0.7, "min_tokens_to_keep": 2}, "min_p"),
        ("mlx_lm.generate", {"ignore_chat_template": True, "system_prompt": "s"}, "(T91)"),
        ("mlx_lm.generate", {"kv_bits": 4, "max_kv_size": 64}, "cannot quantize"),
        ("mlx_lm.generate", {"kv_group_size": 32}, "without 'kv_bits'"),
        ("mlx_lm.generate", {"quantized_kv_start": 0}, "without 'kv_bits'"),
        ("mlx_lm.generate", {"max_kv_size": 64, "draft_model": "d"}, "draft_model"),
        ("mlx_lm.generate", {"num_draft_tokens": 4}, "draft_model"),
        ("mlx_lm.generate", {"use_default_chat_template": True}, "never read"),
        ("mlx_lm.generate", {"prompt": "-"}, "standard input"),
        ("mlx_lm.generate", {"extra_eos_token": ["a", "-b"]}, "starts with '-'"),
        ("mlx_lm.evaluate", {"tasks": ["my/task.yaml"]}, "(T93)"),
        ("mlx_lm.evaluate", {"tasks": ["a", "-b"]}, "flag"),
        ("mlx_lm.evaluate", {"top_k": 5}, "temp 0 (T91)"),
        ("mlx_lm.perplexity", {"num_samples": -1}, "(T94)"),
        ("mlx_lm.dwq", {"quantized_model": "q", "bits": 8}, "(T89)"),
        ("mlx_lm.dwq", {"targets_only": True, "target_dir": None}, "(T89)"),
        ("mlx_lm.gptq", {"bits": 3}, "(T90)"),
        ("mlx_lm.dynamic_quant", {"sensitivities": "s.json", "grad_checkpoint": True}, "(T90)"),
        ("mlx_lm.cache_prompt", {"kv_bits": 4, "max_kv_size": 64}, "cannot quantize"),
        ("mlx_lm.cache_prompt", {"prompt_cache_file": "cache"}, ".safetensors"),
        ("mlx_lm.convert", {"q_bits": 8}, "(T84)"),
        ("mlx_lm.convert", {"quantize": True, "q_mode": "mxfp4", "q_bits": 8}, "(T88)"),
        ("mlx_lm.convert", {"quantize": True, "q_group_size": 16}, "(T88)"),
        ("mlx_lm.fuse", {"gguf_path": "m.gguf"}, "(T82)"),
        ("hf.download", {"filenames": ["a"], "include": ["*"]}, "filenames"),
        ("hf.download", {"cache_dir": "c", "local_dir": "d"}, "cache_dir"),
        ("hf.download", {"repo_id": "hf://datasets/a/b", "revision": "v1"}, "hf://"),
        ("eval.score", {"top_k": 5}, "temp 0 (T91)"),
        ("hf.upload", {"every": 5.0}, "has to end"),
        ("hub.publish", {"license": "apache"}, "must be one of apache-2.0, mit"),
        ("hub.publish", {"license": "other"}, "needs its name as 'license_name'"),
        ("hub.publish", {"license_name": "house"}, "only for 'license: other'"),
        ("hub.publish", {"repo_id": "name"}, "must be OWNER/NAME"),
        ("hf.upload", {"token": "hf_x"}, "HF_TOKEN"),
    ],
)
def test_what_mlx_lm_would_ignore_is_refused(name, params, about):
    found = refused(name, **params)
    assert any(about in message for message in found), found


@pytest.mark.parametrize(
    "name, params",
    [
        ("mlx_lm.generate", {"temp": 0.7, "top_p": 0.9, "top_k": 40, "min_p": 0.1, "seed": 1}),
        ("mlx_lm.generate", {"kv_bits": 4, "kv_group_size": 32, "quantized_kv_start": 0}),
        ("mlx_lm.generate", {"prompt_cache_file": "c.safetensors", "kv_group_size": 32}),
        (
            "mlx_lm.generate",
            {"system_prompt": "s", "chat_template_config": {"enable_thinking": False}},
        ),
        ("mlx_lm.generate", {"extra_eos_token": ["-b"]}),
        ("mlx_lm.evaluate", {"tasks": ["a", "b.yaml"], "apply_chat_template": False}),
        ("mlx_lm.dwq", {"quantized_model": "q", "target_dir": "t"}),
        ("mlx_lm.dwq", {"targets_only": True, "target_dir": "t"}),
        ("mlx_lm.convert", {"quantize": True, "q_mode": "nvfp4", "q_group_size": 16}),
        ("hf.download", {"include": ["*.json"], "revision": "v1", "repo_type": "dataset"}),
        ("hf.download", {"cache_dir": "c"}),
        ("eval.score", {"temp": 0.7, "top_k": 40, "limit": 3, "answer_after": "</think>"}),
        ("hub.publish", {"license": "other", "license_name": "house", "license_link": "https://a"}),
    ],
)
def test_what_mlx_lm_reads_is_taken(name, params):
    assert refused(name, **params) == []


def test_targets_of_dwq_have_a_place_of_their_own():
    """targets_only without a target_dir computes nothing (T89), so the runner gives it one."""
    schema = tool("mlx_lm.dwq").schema
    assert violations(schema, {**FULL["mlx_lm.dwq"], "targets_only": True}) == []
    assert tool("mlx_lm.dwq").outputs["targets"].place == "targets"
