"""A plan at toy scale: a tiny model, small counts, and nothing written outside of the run."""

import pytest

from runner import workflow
from runner.base.constants import RUN_DIR
from runner.catalog import load as schemas
from runner.command.resolved_recipe import recipe_text
from runner.command.script import script
from runner.plan.model import Plan, Stage
from runner.recipe.load import Overrides, load

PLACES = """
version: 1
stages:
  first:
    tool: mlx_lm.lora
    params: {model: m, data: d, train: true, adapter_path: adapters/stage1}
  second:
    extends: first
    params:
      adapter_path: ./adapters/stage2/
      resume_adapter_file: adapters/stage1/0000100_adapters.safetensors
  test: {tool: mlx_lm.lora, params: {model: m, data: d, test: true, adapter_path: adapters/stage2}}
  other: {tool: mlx_lm.lora, params: {model: m, data: d, test: true, adapter_path: adapters/other}}
  fuse:
    tool: mlx_lm.fuse
    params:
      model: m
      adapter_path: "{{ stages.second.adapter_path }}"
      save_path: /tmp/fused_model
      export_gguf: true
      gguf_path: /tmp/model.gguf
  say: {tool: mlx_lm.generate, params: {model: /tmp/fused_model, prompt: hello}}
"""
DWQ = "tool: mlx_lm.dwq, params: {model: m, data_path: d"


def small(text):
    loaded = load("r.yaml", lambda _: text.encode(), Overrides())
    result = workflow.compile_recipe(loaded.recipe, {})
    assert [problem.message for problem in result.problems] == []
    return workflow.shrink(result.plan, alone=True)


def test_what_a_recipe_puts_outside_of_the_run_is_made_inside_it():
    plan = small(PLACES)
    assert plan.stage("first").params["adapter_path"] == f"{RUN_DIR}/first/adapters"
    assert plan.stage("first").outputs == {
        "adapter_path": f"{RUN_DIR}/first/adapters",
        "adapter_file": f"{RUN_DIR}/first/adapters/adapters.safetensors",
    }
    assert plan.stage("second").params["adapter_path"] == f"{RUN_DIR}/second/adapters"
    assert plan.stage("fuse").params["save_path"] == f"{RUN_DIR}/fuse/model"
    assert plan.stage("fuse").params["gguf_path"] == "ggml-model-f16.gguf"
    said = script(plan, schemas.catalog())
    assert [word for word in ("adapters/stage", "fused_model") if word in said] == []


def test_later_stages_read_it_there_and_wait_for_it():
    plan = small(PLACES)
    resumed = f"{RUN_DIR}/first/adapters/0000100_adapters.safetensors"
    assert plan.stage("second").params["resume_adapter_file"] == resumed
    assert "first" in plan.stage("second").after
    assert plan.stage("test").params["adapter_path"] == f"{RUN_DIR}/second/adapters"
    assert "second" in plan.stage("test").after
    assert plan.stage("fuse").params["adapter_path"] == f"{RUN_DIR}/second/adapters"
    assert plan.stage("fuse").after.count("second") == 1
    assert plan.stage("say").params["model"] == f"{RUN_DIR}/fuse/model"


def test_the_working_directory_is_outside_too():
    plan = small(
        "version: 1\nstages:\n"
        "  a: {tool: mlx_lm.lora, params: {model: m, data: d, train: true, adapter_path: .}}\n"
        "  b: {tool: mlx_lm.lora, params: {model: m, data: d, test: true, adapter_path: ./}}\n"
        "  c:\n"
        "    extends: a\n"
        "    params: {adapter_path: c, resume_adapter_file: adapters.safetensors}\n"
    )
    made = f"{RUN_DIR}/a/adapters"
    assert plan.stage("a").outputs["adapter_file"] == f"{made}/adapters.safetensors"
    assert plan.stage("b").params["adapter_path"] == made
    assert plan.stage("c").params["resume_adapter_file"] == f"{made}/adapters.safetensors"


def test_what_no_stage_makes_is_read_where_it_is():
    assert small(PLACES).stage("other").params["adapter_path"] == "adapters/other"


def test_a_file_that_a_later_stage_writes_is_still_read_before():
    plan = small(
        "version: 1\nstages:\n"
        "  look: {tool: data.sort, params: {data: mixed}}\n"
        "  mix: {tool: data.mix, params: {primary: d, replay: e, out: mixed}}\n"
        "  again: {tool: data.sort, params: {data: mixed}}\n"
    )
    assert plan.stage("look").params["data"] == "mixed"
    assert plan.stage("again").params["data"] == f"{RUN_DIR}/mix/data"


def test_data_that_is_watched_is_read_where_it_is_made():
    plan = small(
        "version: 1\nstages:\n"
        "  mix: {tool: data.mix, params: {primary: d, replay: e, out: mixed}}\n"
        "  train:\n"
        "    tool: mlx_lm.lora\n"
        "    params: {model: m, data: d, train: true}\n"
        "    watch: {retention: {data: mixed, every: 100}}\n"
    )
    assert plan.stage("train").trainer["watch.retention.data"] == f"{RUN_DIR}/mix/data"
    assert "mix" in plan.stage("train").after


def test_targets_of_a_real_model_are_neither_read_nor_made_with_the_tiny_one():
    plan = small(
        "version: 1\nstages:\n"
        f"  dwq: {{{DWQ}, mlx_path: out, target_dir: targets}}}}\n"
        f"  make: {{{DWQ}, target_dir: made, targets_only: true}}}}\n"
        f"  use: {{{DWQ}, target_dir: made}}}}\n"
    )
    assert plan.stage("dwq").params["target_dir"] == f"{RUN_DIR}/dwq/targets"
    assert plan.stage("dwq").params["mlx_path"] == f"{RUN_DIR}/dwq/model"
    assert plan.stage("make").params["target_dir"] == f"{RUN_DIR}/make/targets"
    assert plan.stage("use").params["target_dir"] == f"{RUN_DIR}/make/targets"


@pytest.mark.parametrize("place", ["", ", local_dir: models/base"])
def test_a_model_that_a_stage_downloads_is_the_tiny_one_too(place):
    plan = small(
        "version: 1\nstages:\n"
        f"  get: {{tool: hf.download, params: {{repo_id: a/b{place}}}}}\n"
        "  convert: {tool: mlx_lm.convert, params: {hf_path: '{{ stages.get.path }}'}}\n"
    )
    assert [stage.name for stage in plan.stages] == ["smoke_model", "convert"]
    assert plan.stage("convert").params["hf_path"] == f"{RUN_DIR}/smoke_model/model"


def outputs_with_a_parameter():
    catalog = schemas.catalog()
    kept = [one for one in map(catalog.get, catalog.names) if "smoke" not in one.schema["x-tool"]]
    return [(tool, output) for tool in kept for output in tool.outputs.values() if output.param]


@pytest.mark.parametrize(
    ("tool", "output"),
    outputs_with_a_parameter(),
    ids=[f"{tool.name}-{output.name}" for tool, output in outputs_with_a_parameter()],
)
def test_no_tool_writes_outside_and_each_output_has_a_place_of_its_own(tool, output):
    params = {**dict.fromkeys(tool.parameters), **tool.defaults, **output.when}
    stage = Stage(
        name="a",
        tool=tool.name,
        params={**params, output.param: "out"},
        outputs={output.name: "out"},
    )
    made = workflow.shrink(Plan(name="r", file="r.yaml", stages=(stage,)), alone=True).stage("a")
    assert made.params[output.param] == output.within("a")
    assert made.outputs == {output.name: output.within("a")}
    places = [one.place for one in tool.outputs.values() if one.place]
    assert len(places) == len(set(places))


def test_the_resolved_recipe_of_a_smoke_run_compiles_to_the_same_plan():
    before = small(PLACES)
    loaded = load("r.yaml", lambda _: recipe_text(before).encode(), Overrides())
    after = workflow.compile_recipe(loaded.recipe, {}).plan
    assert [one.params for one in after.stages] == [one.params for one in before.stages]


def test_nothing_is_told_to_a_service():
    text = PLACES.replace("train: true,", "train: true, report_to: wandb,")
    assert small(text).stage("first").params["report_to"] is None
