"""New recipes: one schema for a project, which the first line of each of its recipes names."""

import subprocess
import sys
from pathlib import Path

import pytest

from runner.cli import main, new_recipe

OURS = ".run-recipe/recipe.schema.json"


@pytest.fixture
def new(monkeypatch):
    """Make a recipe; return the schema that its first line names, as a path."""

    def make(name, *words):
        monkeypatch.setattr(sys, "argv", ["run-recipe", "new", name, *words])
        with pytest.raises(SystemExit) as end:
            main.main()
        assert not end.value.code
        path = Path(f"{name}.yaml")
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        lead, _, schema = first.partition("$schema=")
        assert lead == "# yaml-language-server: "
        assert (path.parent / schema).is_file()
        return schema

    return make


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def schemas(folder):
    return sorted(one.relative_to(folder).as_posix() for one in folder.rglob("*.schema.json"))


def test_recipes_of_many_folders_share_one_schema(project, new):
    assert new("one") == OURS
    assert new("a/two") == f"../{OURS}"
    assert new("a/b/three", "--from", "builtin:sequential_fused") == f"../../{OURS}"
    assert schemas(project) == [OURS]


def test_every_shipped_recipe_can_be_started_from_and_no_base(project, new):
    recipes = Path(__file__).parent.parent.parent / "recipes"
    names = {path.stem for path in recipes.glob("*.yaml") if not path.name.endswith(".test.yaml")}
    assert {name.removeprefix("builtin:") for name in new_recipe.names()} == names
    assert new("mine", "--from", "dora") == OURS


def test_in_a_repository_it_stands_at_its_top(project, new, monkeypatch):
    subprocess.run(["git", "init", "-q"], check=True)
    (project / "inside").mkdir()
    monkeypatch.chdir(project / "inside")
    assert new("one") == f"../{OURS}"
    assert schemas(project) == [OURS]


def test_one_that_is_there_already_is_taken(project, new):
    (project / "recipe.schema.json").write_text("{}", encoding="utf-8")
    assert new("a/b/one") == "../../recipe.schema.json"
    assert schemas(project) == ["recipe.schema.json"]
    assert (project / "recipe.schema.json").read_text(encoding="utf-8") == "{}"


def test_one_outside_of_the_project_is_not(project, new):
    (project.parent / "recipe.schema.json").write_text("{}", encoding="utf-8")
    assert new("one") == OURS


def test_a_recipe_elsewhere_has_its_schema_there(project, new):
    assert new(f"{project.parent}/elsewhere/one") == OURS
    assert schemas(project.parent) == [f"elsewhere/{OURS}"]
