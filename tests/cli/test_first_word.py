"""What bash is told of a first word without click is what click would tell it."""

import subprocess
import sys
from pathlib import Path

import pytest

from runner.cli import completion, first_word
from runner.cli.verbs import cli

RECIPE = "version: 1\nstages: {train: {tool: mlx_lm.lora}}\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("recipes").mkdir()
    Path("recipes/one.yaml").write_text(RECIPE, encoding="utf-8")
    Path("sh $x.yaml").write_text(RECIPE, encoding="utf-8")
    Path("show.yaml").write_text(RECIPE, encoding="utf-8")
    Path("loop").symlink_to("loop")
    return tmp_path


def alone(line, capfd):
    told = first_word.answers({"_RUN_RECIPE_COMPLETE": "bash_complete", "COMP_SO_FAR": line})
    return capfd.readouterr().out if told else None


def by_click(line, monkeypatch):
    monkeypatch.setenv("COMP_SO_FAR", line)
    return completion.Bash(cli, {}, "run-recipe", "_RUN_RECIPE_COMPLETE").complete() + "\n"


@pytest.mark.parametrize(
    "word", ["s", "show", "recipes/", "recipes/o", "b", "builtin:ba", "x", "rec", "lo", "sh"]
)
def test_bash_is_told_the_same(word, folder, capfd, monkeypatch):
    assert alone(f"run-recipe {word}", capfd) == by_click(f"run-recipe {word}", monkeypatch)


@pytest.mark.parametrize(
    "line",
    ["run-recipe ", "run-recipe", "", "run-recipe -", "run-recipe check s", "run-recipe 's", 'run-recipe "s', "run-recipe s\\ t",
     "run-recipe x=", "run-recipe s "],
)  # fmt: skip
def test_any_other_line_is_left_to_click(line, folder, capfd):
    assert alone(line, capfd) is None


def test_another_shell_is_left_to_click(folder, capfd):
    assert not first_word.answers(
        {"_RUN_RECIPE_COMPLETE": "zsh_complete", "COMP_SO_FAR": "run-recipe s"}
    )
    assert capfd.readouterr().out == ""


def test_it_imports_no_click(folder):
    code = """
import sys
from runner.cli.main import main
sys.argv = ["run-recipe"]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
assert not {"click", "msgspec", "yaml"} & sys.modules.keys()
"""
    env = {"_RUN_RECIPE_COMPLETE": "bash_complete", "COMP_SO_FAR": "run-recipe doc"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "plain,doctor\n"), done.stderr
