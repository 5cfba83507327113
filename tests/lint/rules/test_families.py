"""What the rules tell apart: paths followed through the plan, names, shapes, near misses."""

import json

import pytest
from cases import (
    DWQ,
    EXPERTS,
    KEYS,
    OLD,
    PLAIN,
    TARGETS,
    DiskFacts,
    adapter,
    after_training,
    compiled,
    convert,
    cosine,
    found,
    full,
    fused,
    gated,
    lora,
    model,
    one,
    rows,
    stage,
    text,
    two,
)
from msgspec.structs import replace

from runner.catalog import load
from runner.lint.lineage import data_at, model_at, origin
from runner.lint.rule import problems, views


def messages(stages, known=None):
    return [
        p.message for p in problems(compiled(text(stages)), load.catalog(), known or DiskFacts())
    ]


def hints(stages, known=None):
    return [p.hint for p in problems(compiled(text(stages)), load.catalog(), known or DiskFacts())]


def view(stages, name, known=None):
    every = views(compiled(text(stages)), load.catalog(), known or DiskFacts())
    return next(one for one in every if one.stage.name == name)


# what counts as given


def test_given_names_are_dotted_and_hold_inherited_ones():
    stages = {"a": lora(lora_parameters={"rank": 4}), "b": {"extends": "a", "params": {"seed": 3}}}
    assert {"seed", "batch_size"} & view(stages, "b").explicit == {"seed"}
    assert {"model", "lora_parameters", "lora_parameters.rank"} <= view(stages, "b").explicit


def test_a_view_finds_the_maker_of_a_file_in_an_output_folder():
    seen = view(two(), "b")
    path = seen.params["resume_adapter_file"].replace("adapters.safetensors", "0000100_x")
    assert seen.maker(path).name == "a"
    assert seen.maker(f"{seen.stage.outputs['adapter_path']}/x") is None
    assert seen.maker(None) is None


# schedule


@pytest.mark.parametrize(
    "steps, said",
    [
        (889, ["schedule-shorter-than-training"]),
        (890, []),
        (900, []),
        (910, []),
        (911, ["schedule-longer-than-training"]),
    ],
)
def test_a_decay_may_be_off_by_one_update_in_a_hundred(steps, said):
    assert found(text(one(lr_schedule=cosine(steps, warmup=100)))) == said


def test_a_linear_schedule_is_judged_by_its_third_argument():
    linear = {"name": "linear_schedule", "arguments": [1e-5, 0.0, 500]}
    assert found(text(one(lr_schedule=linear))) == ["schedule-shorter-than-training"]


def test_fewer_iterations_than_a_group_make_no_update():
    stages = one(iters=3, grad_accumulation_steps=4)
    assert messages(stages) == [
        "the training would have no effect: weights are updated every 4 iterations"
    ]
    assert hints(stages) == ["use at least 4 iters"]


def test_adafactor_ignores_a_schedule_too():
    said = found(text(one(optimizer="adafactor", lr_schedule=cosine(1000))))
    assert said == ["adafactor-ignores-learning-rate"]
    assert found(text(one(optimizer="adafactor"))) == []


def test_a_full_training_of_an_unknown_model_is_taken_for_bfloat16():
    assert found(text(full())) == ["full-rate-underflows"]
    assert found(text(full(learning_rate=1e-4))) == []
    assert found(text(full()), model(dtype="float16")) == []


# adapter


@pytest.mark.parametrize("number, said", [(-1, []), (-2, 1), (0, 1), (1, [])])
def test_only_minus_one_says_all_layers(number, said):
    assert found(text(one(num_layers=number))) == (["num-layers-ambiguous"] if said else [])


def test_layers_are_known_through_a_conversion():
    stages = {"q": convert(quantize=True), "a": lora(model="{{ stages.q.model }}")}
    assert found(text(stages), model(layers=8)) == ["num-layers-more-than-the-model-has"]


def test_layers_of_a_tiny_model_are_known():
    stages = {"m": stage("model.tiny", num_layers=4), "a": lora(model="{{ stages.m.model }}")}
    assert found(text(stages)) == ["num-layers-more-than-the-model-has"]


@pytest.mark.parametrize(
    "key, hint",
    [
        ("v_proj", "write 'self_attn.v_proj'"),
        ("down_proj", "write 'mlp.down_proj'"),
        ("self_attn.vproj", "did you mean 'self_attn.v_proj'?"),
        ("self_attn.*", "list every module"),
        ("self_attn", "list every module, or write 'keys: null' for all of them"),
    ],
)
def test_keys_that_no_model_knows_are_seen_without_a_model(key, hint):
    assert hints(one(lora_parameters={"keys": [key]})) == [hint]


@pytest.mark.parametrize(
    "key, hint",
    [
        ("q_proj", "did you mean 'self_attn.q_proj'?"),
        ("self_attn.qproj", "did you mean 'self_attn.q_proj'?"),
        ("conv", "there are: mlp.up_proj, self_attn.q_proj"),
        ("input_layernorm", "remove it"),
    ],
)
def test_keys_are_held_against_a_model_that_is_there(key, hint):
    assert hints(one(lora_parameters={"keys": [key]}), model(weights=PLAIN)) == [hint]


def test_keys_that_only_this_model_knows_are_fine():
    known = model(weights={"model.layers.0.q_proj": (8, 8)})
    assert found(text(one(lora_parameters={"keys": ["q_proj"]})), known) == []


@pytest.mark.parametrize(
    "name, bits",
    [
        ("mlx-community/OLMo-2-0425-1B-Instruct-4bit", 4),
        ("mlx-community/Llama-3.2-3B-Instruct-8bit", 8),
        ("mlx-community/Qwen3-4B-4bit-DWQ", 4),
        ("mlx-community/gpt-oss-20b-MXFP4-Q8", 4),
        ("allenai/OLMo-2-0425-1B-Instruct", None),
        ("mlx-community/Qwen3-0.6B-bf16", None),
        ("owner/orbit-8B", None),
        ("owner/8bits-of-wisdom", 8),
        ("./models/tiny-6bit", 6),
    ],
)
def test_a_name_can_say_how_a_model_is_quantized(name, bits):
    assert model_at(view(one(), "train"), name).quantized_bits == bits


def test_full_training_and_dora_know_a_quantized_base_by_its_name():
    stages = full(learning_rate=1e-4)
    stages["train"]["params"]["model"] = "owner/model-4bit"
    assert found(text(stages)) == ["full-on-quantized"]
    quantized = one(model="owner/model-3bit", fine_tune_type="dora")
    assert found(text(quantized)) == ["dora-on-odd-bits"]


@pytest.mark.parametrize("predicate", ["mixed_3_4", "mixed_4_6", "mixed_2_6"])
def test_mixed_bits_that_dora_cannot_take_are_seen(predicate):
    base = convert(quantize=True, quant_predicate=predicate)
    stages = {"q": base, "a": lora(model="{{ stages.q.model }}", fine_tune_type="dora")}
    assert found(text(stages)) == ["dora-on-odd-bits"]


def test_dora_on_a_quantized_embedding_is_seen():
    stages = one(fine_tune_type="dora", lora_parameters={"keys": [*KEYS, "model.embed_tokens"]})
    said = found(text(stages), model(quantized_bits=4))
    assert said == ["dora-on-odd-bits", "keys-outside-the-blocks"]


def test_lora_on_experts_is_fine():
    assert found(text(one(lora_parameters={"keys": None})), model(weights=EXPERTS)) == []


# resume, from a stage and from disk


@pytest.mark.parametrize(
    "changed, slug",
    [
        ({"rank": 16}, "resume-rank-mismatch"),
        ({"scale": 10.0}, "resume-scale"),
        ({"keys": ("self_attn.q_proj",)}, "resume-keys"),
        ({"keys": None}, "resume-keys"),
        ({"num_layers": 8}, "resume-num-layers"),
        ({"num_layers": -1}, "resume-num-layers"),
        ({"fine_tune_type": "full", "rank": None, "scale": None}, "resume-type"),
        ({"fine_tune_type": "none", "base": None}, "resume-not-an-adapter"),
        ({"base": "other"}, "other-base"),
        ({"seed": 1}, "same-seed-after-resume"),
        ({"disagrees": "rank 8 here and 16 there"}, "adapter-config-disagrees"),
    ],
)
def test_an_adapter_on_disk_is_held_against_the_stage(changed, slug):
    assert found(text(one(**OLD)), adapter(**changed)) == [slug]


def test_an_adapter_on_disk_that_fits_is_fine():
    assert found(text(one(**OLD)), adapter()) == []
    assert found(text(one(**OLD, num_layers=-1)), adapter(num_layers=0)) == []


def test_an_adapter_of_an_earlier_run_is_not_judged_by_where_its_base_lay():
    stages = {"q": convert(quantize=True), "a": lora(**OLD, model="{{ stages.q.model }}")}
    assert found(text(stages), adapter(base="/runs/old/q/model")) == []


@pytest.mark.parametrize("path", ["old", "old/adapter_config.json"])
def test_only_a_safetensors_file_can_be_resumed(path):
    assert found(text(one(resume_adapter_file=path))) == ["resume-not-an-adapter"]


def test_all_layers_are_the_same_however_they_are_said():
    assert found(text(two({"num_layers": -1}, num_layers=-1))) == []
    assert found(text(two({"num_layers": -1}, num_layers=4))) == ["resume-num-layers"]


def test_a_full_training_resumes_only_as_many_layers():
    stages = {
        "a": full(learning_rate=1e-4, num_layers=8)["train"],
        "b": full(
            learning_rate=1e-4,
            num_layers=4,
            seed=1,
            resume_adapter_file="{{ stages.a.adapter_file }}",
        )["train"],
    }
    assert found(text(stages)) == ["resume-num-layers"]


# sequence


def test_bases_are_followed_through_conversions():
    stages = {
        "q": convert(quantize=True),
        "a": lora(model="{{ stages.q.model }}"),
        "f": stage("mlx_lm.fuse", model="other", adapter_path="{{ stages.a.adapter_path }}"),
    }
    assert found(text(stages)) == ["other-base"]


def test_hub_names_of_one_model_in_two_precisions_are_told_from_two_models():
    adapter_path = "{{ stages.a.adapter_path }}"
    stages = {
        "a": lora(model="mlx-community/OLMo-2-1B-4bit"),
        "f": stage("mlx_lm.fuse", model="allenai/OLMo-2-1B", adapter_path=adapter_path),
    }
    assert found(text(stages)) == ["other-precision"]
    stages["f"]["params"]["model"] = "allenai/OLMo-2-7B"
    assert found(text(stages)) == ["other-base"]


def test_a_test_on_another_base_is_seen():
    assert found(text(after_training(model="other"))) == ["other-base"]


def test_a_fused_model_is_a_base_of_its_own():
    stages = {**fused(dequantize=True), "b": lora(model="{{ stages.f.model }}")}
    stages["t"] = stage(
        "mlx_lm.lora",
        model="base",
        data="rows",
        test=True,
        adapter_path="{{ stages.b.adapter_path }}",
    )
    assert found(text(stages)) == ["other-base"]


def test_testing_the_bare_base_is_fine():
    assert found(text(after_training(adapter_path=""))) == []


def test_fusing_into_a_model_quantized_by_name_or_by_a_stage_is_seen():
    adapter_path = "{{ stages.a.adapter_path }}"
    named = "mlx-community/OLMo-2-1B-4bit"
    stages = {
        "a": lora(model=named),
        "f": stage("mlx_lm.fuse", model=named, adapter_path=adapter_path),
    }
    assert found(text(stages)) == ["fuse-without-dequantize"]


def test_models_that_make_each_other_end_the_search():
    stages = {
        "a": convert(hf_path="one", mlx_path="two"),
        "b": convert(hf_path="two", mlx_path="one"),
        "c": lora(model="one"),
    }
    seen = view(stages, "c")
    assert model_at(seen, "one").quantized_bits is None
    assert origin(seen, "one")[1] == "full precision"


@pytest.mark.parametrize(
    "tool, params, bits",
    [
        ("mlx_lm.dwq", {"model": "base", "data_path": "rows", "bits": 3}, 3),
        ("mlx_lm.dwq", {"model": "base", "data_path": "rows", "quantized_model": "o/m-8bit"}, 8),
        ("mlx_lm.gptq", {"model": "base", "bits": 2}, 2),
        ("mlx_lm.awq", {"model": "base", "bits": 8}, 8),
        ("mlx_lm.dynamic_quant", {"model": "base"}, 4),
        ("mlx_lm.convert", {"hf_path": "base", "quantize": True, "q_mode": "mxfp8"}, 8),
        ("mlx_lm.convert", {"hf_path": "o/m-4bit", "dequantize": True}, None),
        ("mlx_lm.convert", {"hf_path": "o/m-4bit"}, 4),
    ],
)
def test_every_quantizer_is_followed(tool, params, bits):
    stages = {"q": stage(tool, **params), "a": lora(model="{{ stages.q.model }}")}
    seen = view(stages, "a")
    assert model_at(seen, seen.params["model"]).quantized_bits == bits


def test_a_gate_of_another_stage_on_the_best_loss_is_seen():
    stages = one(val_batches=-1)
    stages["t"] = {**after_training()["a"], "expect": ["stages.train.metrics.best_val_loss < 2"]}
    assert found(text(stages)) == ["best-loss-is-not-the-last"]


# paths


@pytest.mark.parametrize("path", ["~/x", "$HOME/x", "${HOME}/x", "runs/$NAME"])
def test_signs_of_the_shell_are_seen_in_every_path(path):
    assert found(text(one(adapter_path=path))) == ["path-not-expanded"]
    assert found(text({"q": convert(mlx_path=path)})) == ["path-not-expanded"]


@pytest.mark.parametrize(
    "path, local",
    [("./m", True), ("/m", True), ("a/b/c", True), ("../m", True), ("a/b", False), ("m", False)],
)
def test_a_path_is_told_from_a_hub_name(path, local):
    said = found(text(one(model=path)), DiskFacts(absent=frozenset({path})))
    assert [slug for slug in said if slug != "name-not-there"] == (
        ["path-not-there"] if local else []
    )


def said_of(known, **params):
    """What is said of a path that is not there: severity, message, hint."""
    said = problems(compiled(text(one(**params))), load.catalog(), known)
    return [(problem.severity, problem.message, problem.hint) for problem in said]


@pytest.mark.parametrize("path, local", [("data/rows", True), ("owner/rows", False)])
def test_a_name_whose_folder_is_here_is_no_hub_name(path, local):
    known = DiskFacts(absent=frozenset({path}), beside=frozenset({"data/rows"}))
    assert found(text(one(data=path)), known) == (["name-not-there"] if local else [])


def test_a_model_that_is_not_here_is_told_what_a_hub_id_looks_like():
    known = DiskFacts(absent=frozenset({"qwen"}), starting=frozenset({"train"}))
    ((severity, message, hint),) = said_of(known, model="qwen")
    assert severity == "warning", "a name of the hub may have no owner"
    assert message == "there is no folder 'qwen' here; mlx-lm would look for it on the hub"
    assert hint.startswith("on the hub a model is OWNER/NAME, such as mlx-community/")


def test_rows_that_are_not_here_are_told_what_they_look_like():
    known = DiskFacts(absent=frozenset({"data"}))
    ((severity, _, hint),) = said_of(known, data="data", chat_feature="turns")
    assert severity == "warning"
    assert hint.startswith("rows go into its train.jsonl and valid.jsonl, one per line: ")
    row = json.loads(hint.partition("per line: ")[2].partition("; ")[0])
    assert [turn["role"] for turn in row["turns"]] == ["user", "assistant"]
    ((severity, _, _),) = said_of(replace(known, starting=frozenset({"other"})), data="data")
    assert severity == "warning", "another stage is about to run"
    ((severity, _, _),) = said_of(replace(known, starting=frozenset({"train"})), data="data")
    assert severity == "error"


def test_an_adapter_never_comes_from_the_hub():
    known = DiskFacts(absent=frozenset({"old"}))
    assert found(text(after_training(adapter_path="old")), known) == ["path-not-there"]


def test_what_a_stage_makes_need_not_be_there():
    stages = {"q": convert(mlx_path="./m"), "a": lora(model="./m")}
    assert found(text(stages), DiskFacts(absent=frozenset({"./m"}))) == []


def test_convert_refuses_a_folder_that_is_there():
    known = DiskFacts(existing=frozenset({"out"}))
    assert messages({"q": convert(mlx_path="out")}, known) == [
        "'out' already exists: mlx_lm.convert would fail"
    ]


def test_a_place_in_use_has_a_way_out():
    known = DiskFacts(existing=frozenset({"out"}))
    stages = {"a": lora(adapter_path="out")}
    (found,) = problems(compiled(text(stages)), load.catalog(), known)
    hint = "delete or move it, or remove adapter_path: each run then uses its own folder"
    assert (found.rule, found.hint) == ("adapter-path-in-use", hint)


# data


def test_the_rows_of_a_mix_are_counted():
    mix = stage("data.mix", primary="rows", replay="others", ratio=0.2)
    stages = {"m": mix, "a": lora(data="{{ stages.m.data }}")}
    seen = view(stages, "a", rows(train=8, valid=2))
    assert data_at(seen, seen.params["data"]).rows == {"train": 10, "valid": 2, "test": 8}
    said = found(text(stages), rows(train=8, valid=2))
    assert said == ["batch-larger-than-data", "rows-never-trained"]


def test_one_row_is_one_row():
    said = messages(one(batch_size=2), rows(train=1, valid=2))
    assert said == ["train has 1 row and a batch size of 2: mlx-lm would fail at once"]
    (found,) = problems(compiled(text(one(batch_size=2))), load.catalog(), rows(train=9, valid=2))
    assert found.hint.endswith("or add 1 row")


def test_a_test_needs_only_its_own_rows():
    assert found(text(after_training()), rows()) == []
    stages = {"t": after_training(adapter_path="")["t"]}
    assert found(text(stages), rows(train=None, valid=None)) == []
    assert found(text(stages), rows(test=None)) == ["split-missing"]


def test_an_empty_file_stops_mlx():
    assert "split-missing" in found(text(one()), rows(valid=0))


def test_a_text_test_file_is_enough_to_stop_masking():
    known = rows(test_keys=("text",))
    assert found(text(one(mask_prompt=True)), known) == [
        "mask-prompt-without-prompt",
        "mixed-formats",
    ]


def test_completions_come_before_messages():
    known = rows(keys=("prompt", "completion", "messages"))
    assert found(text(one(mask_prompt=True)), known) == []


def test_an_hf_dataset_is_not_looked_for_in_the_default_data():
    stages = one(data="absent", hf_dataset={"path": "o/d"})
    assert found(text(stages), DiskFacts(data={"mlx-community/WikiSQL": rows().data["rows"]})) == []


def test_a_gate_on_all_validation_rows_is_fine():
    assert found(text(gated("metrics.val_loss < 2", val_batches=-1))) == []
    assert found(text(gated("metrics.val_loss < 2"))) == ["validates-on-random-rows"]


# model


def test_a_model_quantized_by_name_is_not_quantized_again():
    assert found(text({"q": convert(hf_path="o/m-4bit", quantize=True)})) == ["quantizes-twice"]


def test_shots_and_version_count_in_a_result_name():
    def said(shots):
        params = {"model": "base", "tasks": ["t" * 236], "num_shots": shots}
        return found(text({"e": stage("mlx_lm.evaluate", **params)}))

    assert said(None) == []
    assert said(5) == ["result-name-too-long"]


def test_targets_are_compared_name_by_name():
    again = {**DWQ, "target_dir": "{{ stages.a.targets }}", "model": "other", "batch_size": 2}
    stages = {**TARGETS, "b": stage("mlx_lm.dwq", **again)}
    assert found(text(stages)) == ["targets-of-another-run"] * 2
