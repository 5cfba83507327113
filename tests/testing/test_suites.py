"""Test files for people who write no Python: what they tell, as pictures, and where they are found."""

from pathlib import Path

import pytest

from runner.base.problems import picture
from runner.recipe import find
from runner.testing import cases
from runner.testing.suite import Inputs

GOLDEN = Path(__file__).parent.parent / "golden" / "suites"
SUITES = sorted(path.name for path in GOLDEN.glob("*.test.yaml"))


def told(name):
    suite = cases.read(name)
    outcomes = cases.run(suite)
    rows = [picture(problem, {suite.file: suite.text}) for problem in suite.problems]
    rows += [picture(problem, one.sources) for one in outcomes for problem in one.problems]
    return "".join(f"{row}\n" for row in rows)


@pytest.mark.parametrize("name", SUITES)
def test_a_test_file_is_told_what_does_not_hold_and_where(name, monkeypatch, update_golden):
    monkeypatch.chdir(GOLDEN)
    out = Path(name.replace(".test.yaml", ".out"))
    message = told(name)
    if update_golden:
        out.write_text(message, encoding="utf-8")
    assert message == out.read_text(encoding="utf-8")


def test_the_passing_file_says_nothing(monkeypatch):
    monkeypatch.chdir(GOLDEN)
    assert len(cases.read("passes.test.yaml").cases) == 7
    assert told("passes.test.yaml") == ""


RECIPE = "version: 1\nstages: {mix: {tool: data.mix, params: {primary: a, replay: b}}}\n"


@pytest.mark.parametrize(
    "name, text, meant",
    [
        ("a.yaml", RECIPE, True),
        ("a.yml", RECIPE, True),
        ("broken.yaml", "version: 1\nstages: {mix: [\n", True),
        ("child.yaml", "extends: a.yaml\nvars: {x: 1}\n", True),
        ("edited.yaml", "# yaml-language-server: $schema=../schema/recipe.schema.json\n", True),
        ("a.test.yaml", "version: 1\nstages: {}\n", False),
        ("gitlab.yaml", "version: 1\nstages:\n  - build\n", False),
        ("pipeline.yaml", "stages:\n- stage: Build\nvars: 1\n", False),
        ("compose.yaml", "version: '3'\nservices: {}\n", False),
        ("eslint.yaml", "extends: standard\nroot: true\n", False),
        ("notes.yaml", "a: 1\n", False),
    ],
)
def test_a_recipe_is_told_from_other_yaml(name, text, meant, tmp_path):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert find.is_recipe(tmp_path / name) is meant


def test_a_folder_is_searched_but_not_what_packages_and_runs_left_in_it(tmp_path):
    for folder in ("sub", ".hidden", "node_modules", "venv", "runs/1"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    (tmp_path / "runs" / "1" / "run.json").touch()
    assert list(find.recipes([str(tmp_path)])) == [f"{tmp_path}/sub/recipe.yaml"]


def test_what_is_locked_is_the_recipe_and_each_profile_unless_its_test_file_says_more(tmp_path):
    (tmp_path / "a.yaml").write_text(RECIPE + "profiles: {p: {}, q: {}}\n", encoding="utf-8")
    recipe = f"{tmp_path}/a.yaml"
    assert cases.snapshot_inputs(recipe) == {
        "": Inputs(),
        "p": Inputs(profiles=("p",)),
        "q": Inputs(profiles=("q",)),
    }
    (tmp_path / "a.test.yaml").write_text("tests: {one: {}}\n", encoding="utf-8")
    assert list(cases.snapshot_inputs(recipe)) == ["", "p", "q"]
    (tmp_path / "a.test.yaml").write_text(
        "snapshots: [{profile: [q, p], smoke: true}, {name: x, set: {vars.a: [1]}}]\n",
        encoding="utf-8",
    )
    assert cases.snapshot_inputs(recipe) == {
        "q+p+smoke": Inputs(profiles=("q", "p"), smoke=True),
        "x": Inputs(sets=("vars.a=[1]",)),
    }


def test_a_base_has_nothing_to_lock(tmp_path):
    (tmp_path / "base.yaml").write_text("version: 1\nvars: {a: 1}\n", encoding="utf-8")
    assert cases.snapshot_inputs(f"{tmp_path}/base.yaml") == {}


def test_the_environment_of_whoever_runs_it_changes_no_commands(tmp_path, monkeypatch):
    text = RECIPE.replace("replay: b", "replay: b, seed: \"{{ env('SEED', 3) }}\"")
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("SEED", "7")
    assert "--seed=3" in cases.commands(f"{tmp_path}/a.yaml", Inputs()).script
    assert "--seed=5" in cases.commands(f"{tmp_path}/a.yaml", Inputs(environ={"SEED": "5"})).script


def test_a_test_file_of_a_yml_finds_it(tmp_path):
    (tmp_path / "a.yml").write_text(RECIPE, encoding="utf-8")
    (tmp_path / "a.test.yaml").write_text("tests: {one: {stages: [mix]}}\n", encoding="utf-8")
    assert cases.read(f"{tmp_path}/a.test.yaml").recipe == f"{tmp_path}/a.yml"
