"""A stage and the same stage making its outputs elsewhere."""

import pytest

from runner.catalog import load
from runner.plan.model import Stage
from runner.plan.staging import beside, relocate, relocate_path, roots

RUN = "${RUN_DIR}"


def lora(adapter_path, **params):
    tool = load.catalog().get("mlx_lm.lora")
    full = {**tool.defaults, "model": "m", "data": "d", "adapter_path": adapter_path, **params}
    outputs = {"adapter_path": adapter_path, "adapter_file": f"{adapter_path}/adapters.safetensors"}
    return Stage(
        name="train", tool=tool.name, params=full, outputs=outputs if full["train"] else {}
    ), tool


def test_an_output_of_the_run_is_made_in_a_folder_of_its_own():
    stage, tool = lora(f"{RUN}/train/adapters", train=True)
    places = beside(stage)
    assert places == {f"{RUN}/train/adapters": f"{RUN}/train/.part/adapters"}
    here = relocate(stage, tool, places)
    assert here.params["adapter_path"] == f"{RUN}/train/.part/adapters"
    assert here.outputs["adapter_file"] == f"{RUN}/train/.part/adapters/adapters.safetensors"
    assert {k: v for k, v in here.params.items() if k != "adapter_path"} == {
        k: v for k, v in stage.params.items() if k != "adapter_path"
    }


def test_an_output_outside_of_the_run_is_made_in_the_same_folder_under_another_name():
    stage, tool = lora("out/mine/", train=True)
    assert beside(stage) == {"out/mine/": "out/.mine.part"}
    assert relocate(stage, tool, beside(stage)).params["adapter_path"] == "out/.mine.part"


def test_what_a_stage_only_reads_stays_where_it_is():
    stage, tool = lora(f"{RUN}/other/adapters", train=False, test=True)
    assert beside(stage) == {}
    assert relocate(stage, tool, {f"{RUN}/other/adapters": "elsewhere"}) == stage


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a", "b"),
        ("a/", "b"),
        ("./a", "b"),
        ("a/x/y", "b/x/y"),
        ("ab", "ab"),
        ("", ""),
        ("..", ".."),
    ],
)
def test_only_a_place_and_what_lies_in_it_is_moved(path, expected):
    assert relocate_path(path, {"a": "b"}) == expected


def test_only_the_outermost_of_nested_outputs_is_moved():
    assert roots(["a/b", "a", "a/b/c", "ab"]) == ["a", "ab"]
