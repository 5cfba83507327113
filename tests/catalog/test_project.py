"""Of a file outside of the project nothing is shown, however a recipe names it."""

import sys
from pathlib import Path

import pytest

from runner.catalog import project
from runner.cli import main

SHADOW = "root:$6$abcdef:19000:0\ndaemon: 'hunter2'\nkeys:\n - one two\n"
CONFIG = "users:\n- name: hunter2\nversion: 1\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    folder = tmp_path / "project"
    (folder / "deep").mkdir(parents=True)
    (tmp_path / "shadow").write_text(SHADOW)
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "rows.jsonl").write_text('{"hunter2": 1}\n')
    (tmp_path / "base.yaml").write_text("version: 1\nvars: {hunter2: 1}\n")
    monkeypatch.chdir(folder)
    return folder


def said(capfd, monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["run-recipe", *words])
    with pytest.raises(SystemExit) as end:
        main.main()
    out, err = capfd.readouterr()
    return end.value.code, out + err


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("name", ["shadow", "config.yaml"])
@pytest.mark.parametrize("verb", ["check", "show", "run", "diff", "check --format json"])
def test_what_a_recipe_extends_is_not_shown_where_it_is_none(
    here, capfd, monkeypatch, verb, name, linked
):
    target = f"../{name}"
    if linked:
        target = f"deep/{name if name.endswith('.yaml') else 'shadow.yaml'}"
        Path(target).symlink_to(here.parent / name)
    tool = "stages: {a: {tool: model.tiny}}\n"
    Path("r.yaml").write_text(f"version: 1\nextends: {target}\n{tool}")
    Path("s.yaml").write_text(f"version: 1\n{tool}")
    words = verb.split()
    more = ["s.yaml"] if words[0] == "diff" else ["-n"] if words[0] == "run" else []
    code, text = said(capfd, monkeypatch, words[0], "r.yaml", *more, *words[1:])
    assert code == 2
    assert f"cannot read {target}" in text
    assert "hunter2" not in text
    assert "abcdef" not in text


def test_a_base_outside_of_the_project_is_read_and_its_lines_are_not_quoted(
    here, capfd, monkeypatch
):
    Path("../base.yaml").write_text("version: 1\ndefaults: {model.tiny: {hunter2: 1}}\n")
    Path("r.yaml").write_text(
        "version: 1\nextends: ../base.yaml\nstages: {a: {tool: model.tiny}}\n"
    )
    code, text = said(capfd, monkeypatch, "check", "r.yaml")
    assert code == 2
    assert "hunter2: 1" not in text
    assert "../base.yaml:2:" in text
    (here.parent / ".git").mkdir()
    assert "hunter2: 1" in said(capfd, monkeypatch, "check", "r.yaml")[1]


def test_a_test_file_names_no_foreign_file(here, capfd, monkeypatch):
    for name in ("shadow", "config.yaml"):
        Path("r.test.yaml").write_text(f"recipe: ../{name}\ntests:\n- name: a\n  expect: {{}}\n")
        code, text = said(capfd, monkeypatch, "check", "--tests", "r.test.yaml")
        assert code == 2
        assert "hunter2" not in text
        assert "abcdef" not in text


@pytest.mark.parametrize("name", ["shadow", "config.yaml"])
def test_the_configuration_of_an_imported_command_is_not_quoted(here, capfd, monkeypatch, name):
    Path("a.sh").write_text(f"mlx_lm.lora --model m --train --data d -c ../{name}\n")
    _, text = said(capfd, monkeypatch, "import", "a.sh")
    assert "hunter2" not in text
    assert "abcdef" not in text
    assert f"../{name}" in text


def test_the_home_folder_is_no_project_although_it_may_be_a_repository(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".git").mkdir()
    (tmp_path / "work" / "deep").mkdir(parents=True)
    found = project.of(str(tmp_path / "work" / "r.yaml"))
    assert found.top == tmp_path / "work"
    assert found.holds(str(tmp_path / "work" / "deep" / "b.yaml"))
    assert not found.holds(str(tmp_path / ".ssh" / "config"))
    (tmp_path / "work" / ".git").mkdir()
    assert project.of(str(tmp_path / "work" / "deep" / "r.yaml")).top == tmp_path / "work"


@pytest.mark.parametrize(
    "name", ["//x/r.yaml", "/r.yaml", "r.yaml", "", "\x00", "a" * 5000, "loop/r.yaml"]
)
def test_every_file_has_a_project(here, name):
    Path("loop").symlink_to("loop")
    assert project.of(name).top.is_absolute()
