"""The tiny models of a smoke run: of which architecture, for which models, and why."""

import pytest

from runner import workflow
from runner.base.constants import RUN_DIR
from runner.base.errors import InvalidRecipeError, RecipeError
from runner.catalog import load as schemas
from runner.plan import smoke
from runner.plan.stand_ins import NoStandInError
from runner.recipe.load import Overrides, load

TRAIN = "tool: mlx_lm.lora, params: {model: %s, data: d, train: true"
MOE = ["mlp.switch_mlp.up_proj", "self_attn.q_proj"]
PHI3 = ["self_attn.qkv_proj", "mlp.gate_up_proj"]


def compiled(stages):
    loaded = load("r.yaml", lambda _: f"version: 1\nstages:\n{stages}".encode(), Overrides())
    result = workflow.compile_recipe(loaded.recipe, {})
    assert [problem.message for problem in result.problems if problem.severity == "error"] == []
    return loaded.recipe, result


def small(stages, **configs):
    plan = compiled(stages)[1].plan
    return smoke.shrink(plan, schemas.catalog(), schemas.architectures(), configs)


def training(name="train", model="m", keys=(), more=""):
    shape = f", lora_parameters: {{keys: [{', '.join(keys)}]}}" if keys else ""
    return f"  {name}: {{{TRAIN % model}{shape}{more}}}}}\n"


def models(plan):
    made = {one.name: one for one in plan.stages if one.tool == "model.tiny"}
    return {name: (one.params["architecture"], one.params["config"]) for name, one in made.items()}


@pytest.mark.parametrize(
    ("keys", "architecture"),
    [
        ((), "llama"),
        (["self_attn.q_proj", "mlp.up_proj"], "llama"),
        (["model.layers.1.self_attn.q_proj"], "llama"),
        (MOE, "qwen3_moe"),
        (["block_sparse_moe.switch_mlp.up_proj"], "mixtral"),
        (PHI3, "phi3"),
        (["self_attn.q_proj", "self_attn.dense", "mlp.fc1"], "phi"),
        (["linear_attn.in_proj_qkvz", "self_attn.q_proj"], "qwen3_next"),
        (["mamba.in_proj", "self_attn.q_proj"], "granitemoehybrid"),
        (["mamba.in_proj", "feed_forward.up_proj"], "falcon_h1"),
        (["mixer.in_proj", "mixer.x_proj"], "mamba"),
        (["self_attn.kv_a_proj_with_mqa", "self_attn.q_a_proj"], "deepseek_v3"),
        (["attn.c_attn"], "gpt2"),
    ],
)
def test_the_keys_tell_the_architecture(keys, architecture):
    assert models(small(training(keys=keys))) == {"smoke_model": (architecture, {})}


def test_a_switch_of_an_architecture_makes_other_layers():
    keys = ["self_attn.q_proj", "self_attn.kv_a_proj_with_mqa"]
    assert models(small(training(keys=keys))) == {
        "smoke_model": ("deepseek_v3", {"q_lora_rank": None})
    }


def test_the_architecture_of_a_real_model_that_is_known_is_kept():
    plan = small(training(), m={"model_type": "qwen3", "hidden_size": 4096, "vocab_size": 151936})
    assert models(plan) == {"smoke_model": ("qwen3", {})}
    assert "qwen3, like 'm'" in plan.stage("smoke_model").description


def test_what_makes_layers_is_taken_from_the_real_model_and_no_size():
    config = {
        "model_type": "kimi_k2",
        "n_shared_experts": None,
        "q_lora_rank": 1536,
        "first_k_dense_replace": 0,
        "attention_bias": True,
        "n_routed_experts": 384,
    }
    taken = {
        "model_type": "kimi_k2",
        "n_shared_experts": None,
        "first_k_dense_replace": 0,
        "attention_bias": True,
    }
    assert models(small(training(), m=config)) == {"smoke_model": ("deepseek_v3", taken)}


def test_of_a_model_that_sees_the_text_model_inside_is_looked_at():
    config = {"model_type": "qwen3_5", "text_config": {"tie_word_embeddings": True}}
    assert models(small(training(), m=config)) == {
        "smoke_model": ("qwen3_5", {"tie_word_embeddings": True})
    }


def test_one_that_mlx_lm_builds_of_another_file_for_its_class_is_of_that_file():
    config = {"model_type": "bailing_hybrid", "architectures": ["BailingMoeV3ForCausalLM"]}
    (made,) = models(small(training(), m=config)).values()
    assert made == ("bailing_moe_v3", {})


def test_models_that_an_adapter_brings_together_are_one():
    fuse = (
        "  fuse: {tool: mlx_lm.fuse, params: {model: b,"
        ' adapter_path: "{{ stages.train.adapter_path }}"}}\n'
        "  say: {tool: mlx_lm.generate, params: {model: other, prompt: p}}\n"
    )
    plan = small(training(model="a", keys=PHI3) + fuse)
    assert models(plan) == {"smoke_model": ("phi3", {}), "smoke_model_2": ("llama", {})}
    assert plan.stage("fuse").params["model"] == f"{RUN_DIR}/smoke_model/model"
    assert plan.stage("say").params["model"] == f"{RUN_DIR}/smoke_model_2/model"
    assert plan.stage("say").after == ("smoke_model_2",)
    assert {"smoke_model", "smoke_model_2"} <= set(workflow.select(plan, only=["say"]))


def test_the_model_behind_a_converted_one_is_what_is_trained():
    convert = "  convert: {tool: mlx_lm.convert, params: {hf_path: a}}\n"
    plan = small(convert + training(model='"{{ stages.convert.model }}"', keys=MOE))
    assert models(plan) == {"smoke_model": ("qwen3_moe", {})}


def test_models_of_one_choice_are_made_once():
    plan = small(training("one", "a") + training("two", "b"))
    assert models(plan) == {"smoke_model": ("llama", {})}


@pytest.mark.parametrize("place", ["", ", local_dir: models/base"])
def test_a_downloaded_model_is_like_the_one_that_the_hub_has(place):
    get = f"  get: {{tool: hf.download, params: {{repo_id: a/b{place}}}}}\n"
    plan = small(
        get + training(model='"{{ stages.get.path }}"'), **{"a/b": {"model_type": "gemma2"}}
    )
    assert models(plan) == {"smoke_model": ("gemma2", {})}
    assert [one.name for one in plan.stages] == ["smoke_model", "train"]
    assert workflow.select(plan, first="train") == ("smoke_model", "train")
    with pytest.raises(RecipeError, match="the smoke run has no stage 'get'") as caught:
        workflow.select(plan, only=["get"])
    assert caught.value.hint.endswith("; a smoke run leaves out stages that download or upload")


def test_a_recipe_that_only_downloads_is_left_with_nothing():
    plan = small("  get: {tool: hf.download, params: {repo_id: a/b}}\n")
    assert plan.stages == ()
    with pytest.raises(RecipeError, match="no stages left to run") as caught:
        workflow.select(plan)
    assert caught.value.hint == "a smoke run leaves out stages that download or upload"


def test_data_that_is_downloaded_into_the_run_is_missing_and_said_to_be():
    get = "  get: {tool: hf.download, params: {repo_id: a/b, repo_type: dataset}}\n"
    text = get + training().replace("data: d", 'data: "{{ stages.get.path }}"')
    with pytest.raises(NoStandInError) as caught:
        small(text)
    assert str(caught.value) == (
        "a smoke run downloads nothing, and stage 'train' reads 'data' of 'a/b', "
        "which 'get' downloads"
    )
    assert caught.value.hint == (
        "give 'get' a local_dir, and download it once: run-recipe r.yaml --only get"
    )
    plan = small(text.replace("dataset}", "dataset, local_dir: rows}"))
    assert plan.stage("train").params["data"] == "rows"


def problem(stages, **configs):
    with pytest.raises(NoStandInError) as caught:
        small(stages, **configs)
    return str(caught.value), caught.value.hint


def test_layers_that_no_architecture_has_are_named():
    why, hint = problem(training(keys=["self_attn.foo", "mlp.up_proj"]))
    assert why == "no tiny model has the layer 'self_attn.foo'"
    assert "a real run" in hint


def test_layers_that_no_architecture_has_together_are_named():
    why, _ = problem(training(keys=["attn.c_attn", "self_attn.qkv_proj"]))
    assert why == "no tiny model has all of 'attn.c_attn', 'self_attn.qkv_proj'"


def test_layers_that_the_real_model_s_architecture_has_not_are_named():
    why, hint = problem(training(keys=["self_attn.q_proj"]), m={"model_type": "phi3"})
    assert why == "a tiny phi3, the architecture of 'm', has no layer 'self_attn.q_proj'"
    assert hint.startswith("it has lm_head, mlp.down_proj, mlp.gate_up_proj")


def test_a_type_that_cannot_be_made_tiny_is_said_beside_what_was_chosen():
    plan = small(training(keys=PHI3), m={"model_type": "new"})
    assert plan.stage("smoke_model").description == (
        "Make the tiny base model of a smoke run: phi3, which has the layers of "
        "lora_parameters.keys (there is no tiny model of 'm', a 'new')."
    )


def test_the_problem_stands_at_the_keys():
    recipe, result = compiled(training(keys=["self_attn.foo"]))
    with pytest.raises(InvalidRecipeError) as caught:
        workflow.plan(result, recipe, smoke=True)
    (one,) = caught.value.problems
    assert (one.mark.line, one.rule) == (3, "smoke")
