"""The package as a library: what docs/library.md shows, and what a run hands back."""

import doctest
import importlib.util
from pathlib import Path

import pytest
from msgspec.structs import fields

import runner
from runner.plan.model import Plan, Stage
from runner.runs.manifest import Manifest, StageRecord, State
from runner.runs.result import result

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "library.md"
TRAINS = """
version: 1
stages:
  train: {tool: mlx_lm.lora, params: {model: org/m, data: data, train: true, iters: 4, batch_size: 1}}
"""


@pytest.mark.slow
def test_the_page_is_what_happens(tmp_path, monkeypatch):
    if importlib.util.find_spec("mlx_lm") is None:
        pytest.skip("needs mlx-lm")
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    monkeypatch.chdir(tmp_path)
    found = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert found.attempted > 20
    assert found.failed == 0


@pytest.mark.slow
@pytest.mark.parametrize("alone", [False, True], ids=["a recipe", "a plan"])
def test_rows_are_looked_at_before_anything_runs(tmp_path, monkeypatch, alone):
    """The library walks the same sequence as the command line."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("train", "valid"):
        (tmp_path / "data" / f"{name}.jsonl").write_text('{"text": 3}\n' * 8, encoding="utf-8")
    (tmp_path / "r.yaml").write_text(TRAINS, encoding="utf-8")
    recipe = runner.load("r.yaml")
    what = runner.compile(recipe, smoke=True) if alone else recipe
    with pytest.raises(runner.InvalidRecipeError) as error:
        runner.run(what, smoke=True, progress=False)
    assert "row-field-type" in {one.rule for one in error.value.problems}
    assert not (tmp_path / "runs").exists()


def test_a_recipe_is_held_against_the_rules_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yaml").write_text(
        TRAINS.replace("data: data", "data: nowhere"), encoding="utf-8"
    )
    with pytest.raises(runner.InvalidRecipeError, match="nowhere"):
        runner.run(runner.load("r.yaml"), smoke=True, progress=False)
    assert not (tmp_path / "runs").exists()


def made(*records, exit_code=0):
    stages = tuple(
        Stage(name=record.name, tool="mlx_lm.lora", params={}, outputs={}) for record in records
    )
    plan = Plan(name="r", file="r.yaml", stages=stages)
    manifest = Manifest(
        id="1",
        folder="runs/r/1",
        plan=plan,
        facts={},
        stages=records,
        state=State.FAILED,
        exit_code=exit_code,
    )
    return result(manifest, {})


def test_a_run_that_failed_names_the_stage_and_the_way_out():
    failure = {"kind": "expectation", "guidance": "r.yaml:3:9: expected …"}
    good = StageRecord(name="one", state=State.FINISHED, outputs={"model": "a/b"})
    bad = StageRecord(
        name="two", state=State.FAILED, failure=failure, expectations=(("x > 1", False),)
    )
    found = made(good, bad, StageRecord(name="three"), exit_code=4)
    assert (found.ok, found.exit_code) == (False, 4)
    assert (found.failed.name, found.failed.failure) == ("two", "expectation")
    assert found.failed.guidance.startswith("r.yaml:3:9")
    assert [gate.held for gate in found.failed.gates] == [False]
    assert found.stages["one"].outputs == {"model": Path("a/b")}
    assert [stage.ok for stage in found.stages.values()] == [True, False, False]
    assert not found.stages["one"].sound, "nothing audited is not sound"


def test_what_is_handed_back_cannot_be_changed():
    found = made(StageRecord(name="one", state=State.FINISHED, metrics={"val_loss": 1.0}))
    with pytest.raises(AttributeError, match="immutable"):
        found.state = State.FINISHED
    with pytest.raises(TypeError):
        found.stages["two"] = None
    with pytest.raises(TypeError):
        found.stages["one"].metrics["val_loss"] = 0.0


@pytest.mark.parametrize("name", sorted(runner._HOMES))
def test_every_type_of_the_library_is_on_the_page(name):
    assert getattr(runner, name).__name__ == name
    assert name in runner.__all__
    assert f"`{name}`" in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["Result", "StageResult", "Gate"])
def test_every_field_of_a_result_is_on_the_page(name):
    page = PAGE.read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith(f"| `{name}`"))
    assert {f"`{one.name}`" for one in fields(getattr(runner, name))} - {
        word for word in row.replace(",", " ").split() if word.startswith("`")
    } <= {"`recipe`", "`state`", "`started`", "`ended`"}


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = runner.nothing


def test_compile_refuses_what_a_rule_refuses(tmp_path):
    text = (
        "version: 1\nstages:\n  train:\n    tool: mlx_lm.lora\n    params:\n"
        "      {model: m, data: d, train: true, iters: 10, lr_schedule: {name: linear_schedule,"
        " arguments: [1e-5, 1e-6, 5], warmup: 50}}\n"
    )
    (tmp_path / "r.yaml").write_text(text, encoding="utf-8")
    recipe = runner.load(tmp_path / "r.yaml", environ={})
    with pytest.raises(runner.InvalidRecipeError, match="warm"):
        runner.compile(recipe, environ={})
