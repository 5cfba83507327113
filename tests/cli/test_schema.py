"""The editor's schema of recipes that bring tools along."""

import json

import pytest
from click.testing import CliRunner

from runner.base.errors import RecipeError
from runner.cli.schema import command

TOOL = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "mine.score",
    "description": "Counts rows.",
    "x-tool": {"command": ["score"], "outputs": {}, "metrics": []},
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "limit": {
            "type": "integer",
            "description": "So many.",
            "default": 1,
            "x-arg": {"emit": "value", "flag": "--limit"},
        }
    },
}
RECIPE = "version: 1\ntools: {mine.score: %s.json}\nstages: {a: {tool: mine.score}}\n"


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, default in (("a", 1), ("b", 2)):
        tool = {
            **TOOL,
            "properties": {"limit": {**TOOL["properties"]["limit"], "default": default}},
        }
        (tmp_path / f"{name}.json").write_text(json.dumps(tool), encoding="utf-8")
        (tmp_path / f"{name}.yaml").write_text(RECIPE % name, encoding="utf-8")
    return tmp_path


def schema(*recipes):
    return CliRunner().invoke(command, recipes, catch_exceptions=False, standalone_mode=False)


def test_an_editor_completes_the_tools_of_recipes(place):
    text = schema("a.yaml").stdout
    assert '"mine.score"' in text
    assert "So many." in text
    assert "So many." not in schema().stdout


def test_two_tools_of_one_name_are_told(place):
    with pytest.raises(RecipeError, match=r"is one tool in a\.yaml and another in b\.yaml"):
        schema("a.yaml", "b.yaml")
