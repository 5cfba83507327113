"""run-recipe show of a folder: what each line of a shared base became."""

import json

import pytest
from click.testing import CliRunner

from runner.base.errors import InvalidRecipeError, RecipeError
from runner.cli.show import command

BASE = """\
version: 1
vars: {seed: 3}
defaults:
  data.mix: {primary: a, replay: b, seed: "{{ vars.seed }}"}
"""
CHILD = "version: 1\nextends: base.yaml\nstages: {{mix: {{tool: data.mix, params: {0}}}}}\n"


@pytest.fixture
def recipes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").mkdir()
    texts = {"base": BASE, "one": CHILD.format("{}"), "two": CHILD.format("{seed: 5}")}
    texts["three"] = CHILD.format("{ratio: 0.5}")
    for name, text in texts.items():
        (tmp_path / "recipes" / f"{name}.yaml").write_text(text, encoding="utf-8")
    return tmp_path / "recipes"


def show(*words):
    done = CliRunner().invoke(command, ["recipes", *words], standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.stdout


def test_equal_outcomes_of_a_line_are_one(recipes):
    lines = show().splitlines()
    assert lines[:4] == [
        "recipes/base.yaml",
        "  2 vars.seed: 3",
        "      -> seed = 3: recipes/one.yaml (mix), recipes/three.yaml (mix)",
        '  4 primary: "a"',
    ]
    every = ", ".join(f"recipes/{name}.yaml (mix)" for name in ("one", "three", "two"))
    assert lines[4] == f'      -> primary = "a": {every}'
    assert lines[-1] == ("      overridden: seed = 5 at recipes/two.yaml:3: recipes/two.yaml (mix)")
    assert show("--used", "--file", "recipes/base.yaml") == show()


def test_json_has_the_same(recipes):
    first = json.loads(show("--format", "json"))[0]
    assert first == {
        "file": "recipes/base.yaml",
        "line": 2,
        "column": 14,
        "name": "vars.seed",
        "text": 3,
        "outcomes": [
            {
                "outcome": "seed = 3",
                "recipes": {"recipes/one.yaml": ["mix"], "recipes/three.yaml": ["mix"]},
            }
        ],
    }


def test_what_cannot_be_shown_is_told(recipes):
    with pytest.raises(RecipeError, match="is a folder: PATH needs a single recipe"):
        show("mix")
    with pytest.raises(RecipeError, match=r"uses a value of 'bas\.yaml'"):
        show("--file", "bas.yaml")
    (recipes / "two.yaml").write_text(CHILD.format("{sed: 5}"), encoding="utf-8")
    with pytest.raises(InvalidRecipeError):
        show()
    for name in ("one", "two", "three"):
        (recipes / f"{name}.yaml").unlink()
    with pytest.raises(RecipeError, match="no recipe in recipes extends a base"):
        show()


def test_a_refusal_of_a_folder_names_what_works(recipes):
    with pytest.raises(RecipeError) as refusal:
        show("mix")
    assert refusal.value.hint == "name a recipe of it, or leave out mix"
    for words in (["recipes/one.yaml", "mix"], ["recipes"]):
        assert CliRunner().invoke(command, words, standalone_mode=False).exception is None
    for name in ("base", "two", "three"):
        (recipes / f"{name}.yaml").unlink()
    text = CHILD.format("{primary: a, replay: b}").replace("extends: base.yaml\n", "")
    (recipes / "one.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as refusal:
        show()
    assert refusal.value.hint == "for one recipe: run-recipe show RECIPE"
    done = CliRunner().invoke(command, ["recipes/one.yaml"], standalone_mode=False)
    assert done.exception is None
