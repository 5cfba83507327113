"""The help of the program, which is written without click, looks as click writes it."""

import os
import subprocess
import sys

import click
import pytest

from runner.cli import NAMES, overview
from runner.cli.verbs import cli


class Plain(click.Group):
    """Click's own help of the same verbs."""

    def list_commands(self, ctx):
        return list(NAMES)

    def get_command(self, ctx, name):
        return click.Command(name, help=NAMES[name])


def by_click(width):
    plain = Plain(
        "run-recipe", help=overview.SUMMARY, params=[one for one in cli.params if "--version" in one.opts],
        context_settings={"help_option_names": ["-h", "--help"]},
    )  # fmt: skip
    context = click.Context(
        plain, info_name="run-recipe", terminal_width=width, **plain.context_settings
    )
    return plain.get_help(context) + "\n"


@pytest.mark.parametrize("width", range(50, 79))
def test_the_help_is_what_click_would_write(width):
    assert overview.page(width) == by_click(width)


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["--version"]])
@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_what_is_asked_alone_and_what_is_asked_of_click_are_one(
    words, columns, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", columns)
    assert overview.answers(words)
    alone = capsys.readouterr().out
    assert cli.main(words, standalone_mode=False, prog_name="run-recipe") == 0
    assert capsys.readouterr().out == alone


@pytest.mark.parametrize("words", [[], ["run", "--help"], ["--help", "x"], ["--version=1"]])
def test_any_other_words_are_left_to_the_verbs(words, capsys):
    assert not overview.answers(words)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_neither_imports_click_or_the_rest(word):
    code = f"""
import sys
from runner.cli.main import main
sys.argv = ["run-recipe", {word!r}]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
heavy = {{"click", "msgspec", "pathlib", "inspect", "json", "runner.system"}} & sys.modules.keys()
assert not heavy, heavy
"""
    # Where coverage is measured it starts in each process, and imports them itself.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
