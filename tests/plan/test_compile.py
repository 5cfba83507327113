"""A recipe in, a Plan of frozen Stages out."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import workflow
from runner.catalog import load as schemas
from runner.plan.keys import seconds
from runner.recipe.load import Overrides, load
from runner.runs.decisions import identities

LORA = "tool: mlx_lm.lora, params: {model: m, data: d, train: true"


def compiled(text, environ=None, **overrides):
    loaded = load("r.yaml", lambda _: text.encode(), Overrides(environ=environ or {}, **overrides))
    assert loaded.problems == []
    return workflow.compile_recipe(loaded.recipe, environ or {})


def plan(text, environ=None, **overrides):
    result = compiled(text, environ, **overrides)
    assert [problem.message for problem in result.problems] == []
    return result.plan


def rules(text):
    return [problem.rule for problem in compiled(text).problems]


def stages(text):
    """Return the plan of a recipe whose stages are this text."""
    return plan(f"version: 1\nstages:\n{text}")


def order(text):
    return [stage.name for stage in stages(text).stages]


def test_every_parameter_of_a_tool_is_in_the_plan():
    stage = stages(f"  train: {{{LORA}}}}}").stage("train")
    tool = schemas.catalog().get("mlx_lm.lora")
    assert list(stage.params) == list(tool.parameters)
    given = {"model", "data", "train", "adapter_path"}
    for name, parameter in tool.parameters.items():
        if name not in given and "properties" not in parameter.schema:
            assert stage.params[name] == parameter.default, name


def test_what_is_inside_a_mapping_is_filled_in_too():
    params = stages(f"  train: {{{LORA}, lora_parameters: {{rank: 4}}}}}}").stage("train").params
    expected = {"rank": 4, "scale": 20.0, "dropout": 0.0, "keys": None}
    assert params["lora_parameters"] == expected


def test_only_the_arguments_of_the_chosen_optimizer_are_filled_in():
    params = stages(f"  train: {{{LORA}, optimizer: muon}}}}").stage("train").params
    assert list(params["optimizer_config"]) == ["muon"]
    assert params["optimizer_config"]["muon"]["ns_steps"] == 5


def test_a_whole_number_becomes_a_float_where_the_tool_reads_one():
    stage = stages(f"  train: {{{LORA}, lora_parameters: {{scale: 2}}}}}}").stage("train")
    scale = stage.params["lora_parameters"]["scale"]
    assert (type(scale), scale) == (float, 2.0)


def test_own_values_beat_the_extended_stage_beats_defaults_beat_the_tool():
    params = (
        plan(
            "version: 1\n"
            "defaults: {mlx_lm.lora: {iters: 1, seed: 1, batch_size: 1, lora_parameters: {rank: 1, scale: 1}}}\n"
            "stages:\n"
            f"  one: {{{LORA}, iters: 2, seed: 2, lora_parameters: {{rank: 2}}}}}}\n"
            "  two: {extends: one, params: {iters: 3, lora_parameters: {dropout: 0.5}}}\n"
        )
        .stage("two")
        .params
    )
    assert (params["iters"], params["seed"], params["batch_size"]) == (3, 2, 1)
    assert params["save_every"] == 100
    expected = {"rank": 2, "scale": 1.0, "dropout": 0.5, "keys": None}
    assert params["lora_parameters"] == expected


def test_a_stage_inherits_its_options_and_not_its_description():
    text = f"  one: {{{LORA}}}, timeout: 1h, description: First, retry: {{attempts: 3}}}}\n"
    two = stages(text + "  two: {extends: one, retry: {delay: 5s}}\n").stage("two")
    assert (two.tool, two.timeout, two.description) == ("mlx_lm.lora", 3600.0, "")
    assert (two.retry.attempts, two.retry.delay) == (3, 5.0)


def test_a_stage_may_extend_one_that_is_written_after_it():
    text = f"  two: {{extends: one, params: {{seed: 2}}}}\n  one: {{{LORA}, seed: 1, iters: 7}}}}\n"
    params = stages(text).stage("two").params
    assert (params["seed"], params["iters"]) == (2, 7)


def test_defaults_of_one_tool_do_not_reach_another():
    params = (
        plan(
            "version: 1\ndefaults: {mlx_lm.lora: {trust_remote_code: true}}\nstages:\n"
            f"  one: {{{LORA}}}}}\n  fuse: {{tool: mlx_lm.fuse, params: {{model: m, adapter_path: a}}}}"
        )
        .stage("fuse")
        .params
    )
    assert params["trust_remote_code"] is False


def test_outputs_that_are_not_named_are_placed_in_the_stage_folder():
    stage = stages(f"  train: {{{LORA}}}}}").stage("train")
    assert stage.params["adapter_path"] == "${RUN_DIR}/train/adapters"
    assert stage.outputs == {
        "adapter_path": "${RUN_DIR}/train/adapters",
        "adapter_file": "${RUN_DIR}/train/adapters/adapters.safetensors",
    }


def test_an_output_that_is_named_stays_where_it_is():
    stage = stages(f"  train: {{{LORA}, adapter_path: a/b}}}}").stage("train")
    assert stage.outputs["adapter_file"] == "a/b/adapters.safetensors"


def test_a_stage_that_only_tests_makes_no_adapter():
    text = "  t: {tool: mlx_lm.lora, params: {model: m, data: d, test: true, adapter_path: a}}"
    assert stages(text).stage("t").outputs == {}


def test_equal_stages_write_to_folders_of_their_own():
    both = stages(f"  one: {{{LORA}}}}}\n  two: {{extends: one}}\n").stages
    assert len({path for stage in both for path in stage.outputs.values()}) == 4


TEST = "tool: mlx_lm.lora, params: {model: m, data: d, test: true"


def test_stages_run_as_they_are_written_where_nothing_else_is_said():
    assert order(f"  c: {{{LORA}}}}}\n  a: {{{LORA}}}}}\n  b: {{{LORA}}}}}\n") == ["c", "a", "b"]


def test_a_stage_follows_those_it_reads_from():
    text = (
        f"  t: {{{TEST}, adapter_path: '{{{{ stages.a.adapter_path }}}}'}}}}\n  a: {{{LORA}}}}}\n"
    )
    assert order(text) == ["a", "t"]
    assert stages(text).stage("t").after == ("a",)


def test_a_stage_follows_those_it_needs():
    assert order(f"  b: {{{LORA}}}, needs: [a]}}\n  a: {{{LORA}}}}}\n") == ["a", "b"]


def test_a_stage_follows_those_its_expectations_compare_with():
    text = (
        f"  b: {{{TEST}, adapter_path: x}}, "
        "expect: [metrics.test_loss < stages.a.metrics.test_loss]}\n"
        f"  a: {{{TEST}, adapter_path: y}}}}\n"
    )
    assert order(text) == ["a", "b"]


def test_reading_a_parameter_of_another_stage_is_no_reason_to_wait():
    text = f"  b: {{{LORA}, iters: '{{{{ stages.a.params.iters }}}}'}}}}\n  a: {{{LORA}, iters: 7}}}}\n"
    assert order(text) == ["b", "a"]
    assert stages(text).stage("b").params["iters"] == 7


def test_a_path_that_goes_through_vars_still_makes_a_stage_wait():
    text = (
        "version: 1\nvars: {adapter: '{{ stages.a.adapter_path }}', again: '{{ vars.adapter }}'}\n"
        f"stages:\n  t: {{{TEST}, adapter_path: '{{{{ vars.again }}}}'}}}}\n  a: {{{LORA}}}}}\n"
    )
    assert [stage.name for stage in plan(text).stages] == ["a", "t"]


def test_a_path_that_goes_through_a_parameter_still_makes_a_stage_wait():
    text = (
        f"  u: {{{TEST}, adapter_path: '{{{{ stages.t.params.adapter_path }}}}'}}}}\n"
        f"  t: {{{TEST}, adapter_path: '{{{{ stages.a.adapter_path }}}}'}}}}\n  a: {{{LORA}}}}}\n"
    )
    assert stages(text).stage("u").after == ("a",)


def test_an_equal_text_is_a_use_for_every_stage_that_says_it():
    text = (
        f"  t: {{{TEST}, adapter_path: '{{{{ stages.a.adapter_path }}}}'}}}}\n"
        f"  u: {{{TEST}, adapter_path: '{{{{ stages.a.adapter_path }}}}'}}}}\n  a: {{{LORA}}}}}\n"
    )
    assert [stages(text).stage(name).after for name in "tu"] == [("a",), ("a",)]


def test_stage_in_a_default_is_the_stage_that_uses_it():
    text = (
        "version: 1\ndefaults: {mlx_lm.lora: {save_every: '{{ stage.params.iters // 10 }}', "
        "project_name: '{{ stage.name }}'}}\n"
        f"stages:\n  a: {{{LORA}, iters: 100}}}}\n  b: {{{LORA}, iters: 50}}}}\n"
    )
    found = {s.name: (s.params["save_every"], s.params["project_name"]) for s in plan(text).stages}
    assert found == {"a": (10, "a"), "b": (5, "b")}


@pytest.mark.parametrize(
    "said, expected",
    [
        (90, 90.0),
        (0.5, 0.5),
        ("90s", 90.0),
        ("30m", 1800.0),
        ("2h", 7200.0),
        ("1h30m", 5400.0),
        ("1h 30m 5s", 5405.0),
        ("1.5h", 5400.0),
        (0, None),
        (-1, None),
        ("0s", None),
        ("", None),
        ("90", None),
        ("30m1h", None),
        ("2 hours", None),
        ("1d", None),
        ("1:30", None),
        ("-5m", None),
        (True, None),
        (None, None),
        ([], None),
    ],
)
def test_a_duration_is_seconds_or_hours_minutes_and_seconds(said, expected):
    assert seconds(said) == expected


def fingerprint(text, name="train", version="1"):
    versions = {"mlx-lm": version}
    return identities(stages(text), schemas.catalog(), versions, {})[name].digest


def test_an_identity_is_the_same_for_the_same_work():
    one = fingerprint(f"  train: {{{LORA}, iters: 10, seed: 1}}}}")
    assert one == fingerprint(f"  train: {{{LORA}, seed: 1, iters: 10}}, timeout: 1h}}")
    assert one == fingerprint(f"  train: {{{LORA}, seed: 1, iters: 10, batch_size: 4}}}}")


def test_an_identity_changes_with_whatever_changes_what_is_made():
    base = fingerprint(f"  train: {{{LORA}}}}}")
    different = [
        fingerprint(f"  train: {{{LORA}, iters: 10}}}}"),
        fingerprint(f"  train: {{{LORA}, lora_parameters: {{rank: 9}}}}}}"),
        fingerprint(f"  train: {{{LORA}}}}}", version="2"),
    ]
    assert len({base, *different}) == 4


def test_an_identity_does_not_change_with_what_is_only_printed():
    base = fingerprint(f"  train: {{{LORA}}}}}")
    assert base == fingerprint(f"  train: {{{LORA}, steps_per_report: 3}}}}")


def test_an_identity_changes_with_the_stages_it_reads_from():
    reads = "resume_adapter_file: '{{ stages.a.adapter_file }}'"
    one, two = (
        fingerprint(f"  a: {{{LORA}, seed: {seed}}}}}\n  train: {{{LORA}, {reads}}}}}\n")
        for seed in (1, 2)
    )
    assert one != two


def test_a_plan_is_json():
    whole = stages(f"  train: {{{LORA}}}}}")
    assert json.loads(json.dumps(whole.as_dict(), allow_nan=False))["stages"][0]["name"] == "train"


def test_one_mistake_leaves_no_plan():
    result = compiled(f"version: 1\nstages:\n  a: {{{LORA}}}}}\n  b: {{{LORA}, itres: 3}}}}\n")
    assert result.plan is None
    assert [problem.rule for problem in result.problems] == ["unknown-key"]


def test_stages_that_wait_for_each_other_are_told():
    text = f"version: 1\nstages:\n  a: {{{LORA}}}, needs: [b]}}\n  b: {{{LORA}}}, needs: [a]}}\n"
    assert rules(text) == ["stage-cycle"]


def test_a_stage_whose_model_is_read_and_written_is_told():
    text = "version: 1\nstages:\n  f: {tool: mlx_lm.fuse, params: {model: m, adapter_path: a, save_path: m}}\n"
    assert rules(text) == ["same-output"]


def test_the_path_of_an_own_output_may_be_named():
    text = f"  a: {{{LORA}, project_name: '{{{{ stage.params.adapter_path }}}}'}}}}\n"
    assert stages(text).stage("a").after == ()


def test_one_mistake_in_a_default_is_told_once_with_the_stages_it_reaches():
    text = (
        "version: 1\ndefaults: {mlx_lm.lora: {iters: '800'}}\n"
        f"stages:\n  a: {{{LORA}}}}}\n  b: {{{LORA}}}}}\n"
    )
    (problem,) = compiled(text).problems
    assert problem.notes == ((None, "in stages a, b"),)


def test_a_branch_that_is_not_taken_must_still_name_a_var_that_exists():
    text = (
        "version: 1\nvars: {a: 1, b: 2}\nstages:\n"
        f"  s: {{{LORA}, seed: '{{{{ vars.a or vars.c }}}}', iters: '{{{{ vars.a or vars.b }}}}'}}}}\n"
    )
    assert [problem.message for problem in compiled(text).problems] == ["vars has no 'c'"]


TEXTS = ["", "x", "train", "2h", "mlx_lm.lora", "{{ vars.x }}", "{{ stages.train.adapter_path }}"]
BRACES = ["{{ stage.params.iters }}", "{{ vars }}", "{{ 1 / 0 }}", "{{", "{% x %}", "{{ [1] }}"]
odd = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats()
    | st.sampled_from([*TEXTS, *BRACES]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["a", "train", "iters"]), inner, max_size=2)
    ),
    max_leaves=3,
)
TOP = ["version", "name", "description", "vars", "defaults", "stages", "profiles", "x"]
OPTIONS = [
    "tool",
    "extends",
    "description",
    "params",
    "needs",
    "timeout",
    "retry",
    "expect",
    "allow",
]
PARAMS = [
    "train",
    "data",
    "iters",
    "optimizer",
    "optimizer_config",
    "lora_parameters",
    "lr_schedule",
]


@given(
    st.sampled_from([("top", key) for key in TOP])
    | st.sampled_from([("stage", key) for key in OPTIONS])
    | st.sampled_from([("params", key) for key in PARAMS]),
    odd,
)
def test_no_value_in_any_place_makes_the_compiler_raise(place, value):
    params = {"model": "m", "data": "d", "train": True, "iters": 3}
    stage = {"tool": "mlx_lm.lora", "params": params}
    top = {
        "version": 1,
        "vars": {"x": 1},
        "stages": {"train": stage, "other": {"extends": "train"}},
    }
    where = {"top": top, "stage": stage, "params": params}[place[0]]
    where[place[1]] = value
    text = json.dumps(top).replace("NaN", ".nan").replace("-Infinity", "-.inf")
    loaded = load("r.yaml", lambda _: text.replace("Infinity", ".inf").encode())
    if loaded.recipe is not None:
        workflow.compile_recipe(loaded.recipe, {})


@pytest.mark.parametrize("beside", ["stages", "stage", "vars", "stages.one", "stages.one.params"])
@pytest.mark.parametrize(
    "text", ["{{ stage.params.prompt }}{{ %s }}", "{{ [stage.params.prompt, %s] }}"]
)
def test_a_value_that_reads_itself_beside_a_group_of_values_is_told(beside, text):
    """What a bare group is the value of is nobody: it has no name after it to look at."""
    text = json.dumps(text % beside)
    recipe = "version: 1\nstages:\n  one:\n    tool: mlx_lm.generate\n"
    recipe += f"    params: {{model: m, prompt: {text}}}\n"
    loaded = load("r.yaml", lambda _: recipe.encode())
    (problem,) = workflow.compile_recipe(loaded.recipe, {}).problems
    assert (problem.rule, problem.hint) == ("template-cycle", "write a value in its place")


@pytest.mark.parametrize("adapter", ["'{{ 1 / 0 }}'", "'{{ vars.none }}'", "'{{ [][0] }}'"])
def test_what_reads_a_path_that_could_not_be_made_is_no_second_mistake(adapter):
    recipe = f"""version: 1
stages:
  one:
    tool: mlx_lm.lora
    params: {{model: m, train: true, data: d, iters: 9, adapter_path: {adapter}}}
  two:
    tool: mlx_lm.generate
    params: {{model: m, prompt: hi, adapter_path: "{{{{ stages.one.adapter_path }}}}"}}
  three:
    tool: mlx_lm.fuse
    params: {{model: m, adapter_path: "{{{{ stages.two.params.adapter_path }}}}"}}
"""
    loaded = load("r.yaml", lambda _: recipe.encode())
    (problem,) = workflow.compile_recipe(loaded.recipe, {}).problems
    assert problem.mark.line == 5
