"""run-recipe check for programs and for folders: annotations, SARIF, tests beside recipes."""

import json

import pytest
from click.testing import CliRunner

from runner.core.annotation import sarif, workflow_command
from runner.core.problem import Mark, Problem
from runner.verbs.check import command

GOOD = "version: 1\nstages: {mix: {tool: data.mix, params: {primary: a, replay: b, seed: 3}}}\n"
BAD = GOOD.replace("seed", "sed")
PROBLEM = Problem(
    Mark("a b/ö.yaml", 3, 7),
    "50% of it,\nall: wrong",
    "some-rule",
    "mend it",
    ((Mark("base.yaml", 1, 2), "inherited here"), (None, "a note"), (Mark("--set", 1, 1), "said")),
    "warning",
)
LOOSE = Problem(Mark("--set", 1, 6), "matches nothing", "override-nothing")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.jsonl").write_text('{"text": "x"}\n' * 17, encoding="utf-8")
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "good.yaml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "recipes" / "base.yaml").write_text("version: 1\nvars: {n: 1}\n", encoding="utf-8")
    return tmp_path


def call(*words):
    return CliRunner().invoke(command, words, standalone_mode=False)


def test_a_folder_is_every_recipe_in_it_and_no_base(folder):
    done = call("recipes")
    assert (done.return_value, done.stderr) == (0, "recipes/good.yaml: no problems\n")
    (folder / "recipes" / "sub").mkdir()
    (folder / "recipes" / "sub" / "bad.yaml").write_text(BAD, encoding="utf-8")
    done = call("recipes")
    assert done.return_value == 2
    assert "recipes/sub/bad.yaml: 1 problem\n" in done.stderr


def test_a_base_that_cannot_be_read_is_not_left_out(folder):
    (folder / "recipes" / "base.yaml").write_text("extends: lost.yaml\nvars: {n: 1}\n", "utf-8")
    assert "cannot read recipes/lost.yaml" in call("recipes").stdout


def test_a_folder_without_recipes_is_an_error(folder):
    done = call("a")
    assert str(done.exception) == "there is no recipe in a"


def test_the_tests_beside_a_recipe_are_run(folder):
    path = folder / "recipes" / "good.test.yaml"
    path.write_text("tests: {one: {params: {mix.seed: 4}}}\n", encoding="utf-8")
    assert call("recipes").return_value == 0
    for words in (["recipes", "--tests"], ["recipes/good.test.yaml"]):
        done = call(*words)
        assert done.return_value == 2
        assert "one: mix.seed is 3, not 4" in done.stdout
        assert "recipes/good.test.yaml: 1 test, 1 problem\n" in done.stderr
    path.write_text("tests: {one: {params: {mix.seed: 3}}}\n", encoding="utf-8")
    assert call("recipes", "--tests").return_value == 0


def test_a_problem_is_an_annotation_on_github(folder):
    (folder / "recipes" / "good.yaml").write_text(BAD, encoding="utf-8")
    done = call("recipes", "--format", "github")
    assert done.return_value == 2
    assert done.stdout == (
        "::error file=recipes/good.yaml,line=2,col=64,title=unknown-key"
        "::data.mix has no parameter 'sed'%0Ahint: did you mean 'seed'?\n"
    )
    assert done.stderr == ""


def test_files_are_named_as_the_workspace_has_them(folder, monkeypatch):
    (folder / "recipes" / "good.yaml").write_text(BAD, encoding="utf-8")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(folder))
    monkeypatch.chdir(folder / "recipes")
    out = call("good.yaml", "--format", "github").stdout
    assert out.startswith("::error file=recipes/good.yaml,line=2,")
    log = json.loads(call("good.yaml", "--format", "sarif").stdout)
    (place,) = log["runs"][0]["results"][0]["locations"]
    assert place["physicalLocation"]["artifactLocation"] == {"uri": "recipes/good.yaml"}


def test_what_would_end_an_annotation_early_is_escaped():
    assert workflow_command(PROBLEM) == (
        "::warning file=a b/ö.yaml,line=3,col=7,title=some-rule::50%25 of it,%0Aall: wrong"
        "%0Abase.yaml:1:2: inherited here%0Aa note%0A--set:1:1: said%0Ahint: mend it"
    )
    named = Problem(Mark("a:b,c.yaml", 1, 1), "x", "y")
    assert workflow_command(named) == "::error file=a%3Ab%2Cc.yaml,line=1,col=1,title=y::x"
    assert workflow_command(LOOSE).startswith("::error title=override-nothing::--set:1:6: ")


def test_a_sarif_log_holds_every_problem_at_its_place():
    log = sarif([PROBLEM, LOOSE, PROBLEM], "1.2.3", {"some-rule": "First.\n\nMore of it."})
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("run-recipe", "1.2.3")
    assert [rule["id"] for rule in driver["rules"]] == ["override-nothing", "some-rule"]
    assert driver["rules"][1]["shortDescription"] == {"text": "First."}
    first, loose, _ = run["results"]
    assert driver["rules"][first["ruleIndex"]]["id"] == first["ruleId"] == "some-rule"
    assert first["level"] == "warning"
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "a%20b/%C3%B6.yaml"}
    assert place["region"] == {"startLine": 3, "startColumn": 7}
    assert [one["message"]["text"] for one in first["relatedLocations"]] == ["inherited here"]
    assert first["message"]["text"] == "50% of it,\nall: wrong\na note\nsaid\nhint: mend it"
    assert loose["message"]["text"] == "--set:1:6: matches nothing"
    assert "locations" not in loose


def test_sarif_is_what_check_prints(folder):
    (folder / "recipes" / "good.yaml").write_text(BAD, encoding="utf-8")
    log = json.loads(call("recipes", "--format", "sarif").stdout)
    assert log["version"] == "2.1.0"
    assert [one["ruleId"] for one in log["runs"][0]["results"]] == ["unknown-key"]


def test_nothing_wrong_is_a_log_without_results(folder):
    assert json.loads(call("recipes", "--format", "sarif").stdout)["runs"][0]["results"] == []
    assert call("recipes", "--format", "github").stdout == ""
