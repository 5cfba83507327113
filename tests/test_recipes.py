"""The recipes people start from: sound, explained, and run to their ends at toy scale."""

import importlib.util
import re
from pathlib import Path

import pytest

import runner
from runner import workflow
from runner.base.problems import NOTE
from runner.catalog import load
from runner.recipe import find

ROOT = Path(__file__).parent.parent
RECIPES = {
    path.stem: path for path in sorted((ROOT / "recipes").glob("*.yaml")) if find.is_recipe(path)
}
PAGE = (ROOT / "recipes" / "README.md").read_text(encoding="utf-8")
# test_docs, test_library and test_run run the first two; all of evaluate is in publish.
ELSEWHERE = {"basic", "security_sequential", "evaluate"}
# The rows of data/security are long; cut, a training takes a third of the time.
SHORT = "defaults.mlx_lm.lora.max_seq_length=128"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to run in, with a text where mlx-lm would download one to calibrate with."""
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    text = tmp_path / "home" / ".cache" / "mlx-lm" / "calibration_v5.txt"
    text.parent.mkdir(parents=True)
    text.write_text("The quick brown fox jumps over the lazy dog. " * 150, encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_no_problem_and_no_warning(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    loaded = workflow.read(f"recipes/{name}.yaml", environ={})
    assert workflow.problems(loaded, {}) == []
    found = runner.check(loaded.recipe, environ={})
    assert [problem for problem in found if problem.severity != NOTE] == []


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_explained(name):
    (row,) = [
        line for line in PAGE.splitlines() if line.startswith(f"| [{name}.yaml]({name}.yaml)")
    ]
    assert len(row) > 80


def test_the_page_names_nothing_that_is_gone():
    for name in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "recipes" / name).exists(), name


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(RECIPES) - ELSEWHERE))
def test_a_recipe_runs_to_its_end_at_toy_scale(name, here):
    if importlib.util.find_spec("mlx_lm") is None:
        pytest.skip("needs mlx-lm")
    sets = [] if name.startswith(("quantize", "grpo")) else [SHORT]
    sets += [SHORT.replace("mlx_lm.lora", "mlx_lm_lora.train")] if name == "dpo" else []
    recipe = runner.load(f"recipes/{name}.yaml", sets=sets, environ={})
    plan = runner.compile(recipe, smoke=True, environ={})
    needs = {module for stage in plan.stages for module in needed(stage.tool)}
    for module in sorted(needs):
        pytest.importorskip(module)
    result = runner.run(plan, progress=False)
    assert result.failed is None, result.failed
    for stage in result.stages.values():
        assert stage.ok
        assert [one for one in stage.verdicts if not one.equal] == []
        assert all(path.exists() for path in stage.outputs.values())


def needed(tool):
    one = load.catalog().get(tool)
    return one.needs if one.own else (*one.needs, one.main[0].partition(".")[0])
