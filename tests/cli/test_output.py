"""What programs read: the JSON of runs, status, diff and show is what schema/output says."""

import json
import shlex
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from runner.base.errors import RecipeError
from runner.cli.verbs import cli

SCHEMAS = Path(__file__).parents[2] / "schema" / "output"
BASE = """\
version: 1
vars: {seed: 3}
defaults:
  data.mix: {primary: a, replay: b, seed: "{{ vars.seed }}"}
"""
RECIPE = """\
version: 1
extends: base.yaml
stages:
  mix: {tool: data.mix, params: {ratio: 0.5, tolerance: 0.2}}
profiles:
  other: {vars: {seed: 4}}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        Path(name).mkdir()
        rows = "".join(f'{{"text": "{name}{n}"}}\n' for n in range(8))
        for split in ("train", "valid"):
            Path(name, f"{split}.jsonl").write_text(rows, encoding="utf-8")
    for name, text in {"base": BASE, "one": RECIPE, "two": RECIPE}.items():
        Path(f"{name}.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def call(command, code=0):
    done = CliRunner().invoke(cli, shlex.split(command)[1:], standalone_mode=False)
    if isinstance(done.exception, RecipeError):
        raise done.exception
    assert done.exception is None, done.exception
    assert int(done.return_value or 0) == code, done.output
    return done.stdout


def valid(verb, command, code=0):
    """Return what a command prints as JSON, held against the schema of its verb."""
    said = json.loads(call(command, code))
    schema = json.loads((SCHEMAS / f"{verb}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    problems = [one.message for one in Draft202012Validator(schema).iter_errors(said)]
    assert problems == []
    return said


def test_the_values_of_a_recipe_its_lines_and_those_of_a_folder_are_as_the_schema_says(here):
    assert any(
        row["name"] == "seed" for row in valid("show", "run-recipe show one.yaml --format json")
    )
    assert valid("show", "run-recipe show one.yaml --used --format json")
    assert valid("show", "run-recipe show . --format json")


def test_a_diff_is_as_the_schema_says(here):
    for words in ("init -q", "add -A", "-c user.name=n -c user.email=e commit -qm one"):
        subprocess.run(["git", *shlex.split(words)], check=True)
    Path("base.yaml").write_text(BASE.replace("seed: 3", "seed: 5"), encoding="utf-8")
    Path("two.yaml").write_text(RECIPE.replace("mix:", "blend:"), encoding="utf-8")
    Path("three.yaml").write_text(RECIPE, encoding="utf-8")
    said = valid("diff", "run-recipe diff . --format json")
    assert {one["state"] for one in said["recipes"]} == {"compared", "new"}
    assert said["lines"][0]["file"] == "base.yaml"


@pytest.mark.slow
def test_runs_are_listed_with_what_was_asked_and_named_by_a_few_letters(here):
    call("run-recipe one.yaml")
    call("run-recipe one.yaml --profile other --set stages.mix.params.ratio=0.25")
    said = valid("runs", "run-recipe runs --format json --metric stages.mix.metrics.rows")
    assert [one["profiles"] for one in said] == [[], ["other"]]
    assert said[1]["sets"] == ["stages.mix.params.ratio=0.25"]
    first = said[0]["id"].rpartition("-")[2]
    assert said[0]["metrics"].keys() == {"stages.mix.metrics.rows"}
    lines = call("run-recipe runs --metric stages.mix.metrics.rows").splitlines()
    assert "one --profile other --set stages.mix.params.ratio=0.25  finished, 1/1" in lines[1]
    assert ", stages.mix.metrics.rows " in lines[1]
    table = call("run-recipe runs --format markdown --metric stages.mix.metrics.rows")
    assert "| `stages.mix.metrics.rows` |" in table
    for words, hint in {
        "stages.mix.metrics.rowss": "did you mean 'stages.mix.metrics.rows'?",
        "ratio": "write stages.STAGE.metrics.METRIC, as an expectation reads it",
    }.items():
        with pytest.raises(RecipeError) as error:
            call(f"run-recipe runs --metric {words}")
        assert error.value.hint == hint

    status = valid("status", f"run-recipe status {first} --format json")
    assert status["id"].endswith(first)
    assert status["id"].rpartition("-")[0] in call(f"run-recipe report {first}")
    assert "no MLX parameters change" in call(f"run-recipe diff one.yaml {first}")
    with pytest.raises(RecipeError, match="means 2 runs") as error:
        call(f"run-recipe status {status['id'][:8]}")
    assert error.value.hint.startswith("write one of them out: ")


def test_a_folder_that_is_not_here_is_told_with_those_that_hold_recipes(here):
    Path("training").mkdir()
    Path("training/one.yaml").write_text(RECIPE, encoding="utf-8")
    with pytest.raises(RecipeError, match="there is no folder recipes") as error:
        call("run-recipe check recipes")
    hint = "there are recipes in training: name the folder; in a hook args: [training], "
    assert error.value.hint == f"{hint}in the action recipes: training"
