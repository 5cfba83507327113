"""Every command that the documentation names is one, and every target of make can begin."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from runner.cli.main import cli

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# What a page writes for the reader's own word.
ELLIPSIS = re.compile(r"…|\.\.\.|\[[^]]*\]")
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def commands():
    """Return page and words of each command of run-recipe in a page's code."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        blocks = "\n".join(re.findall(r"```(?:sh|console|bash)\n(.*?)```", text, re.DOTALL))
        inline = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
        for line in (*blocks.splitlines(), *inline):
            said = re.sub(r"\s#.*", "", line.strip().removeprefix("$ "))
            said = re.split(r"\s(?:\||>|2>|&&|;)\s?", said)[0]
            if said.startswith("run-recipe ") and not ELLIPSIS.search(said):
                found.append(pytest.param(shlex.split(said)[1:], id=f"{page.name}: {said}"))
    return found


@pytest.mark.parametrize("words", commands())
def test_the_words_of_a_command_in_a_page_are_taken(words):
    """Its verb and its options are there; a word in capitals stands for the reader's own."""
    context = click.Context(cli, info_name="run-recipe")
    words = ["run", *words] if words[0].isupper() or words[0].startswith("-") else words
    name, verb, rest = cli.resolve_command(context, list(words))
    assert verb is not None
    if rest:  # a verb alone is named, and not called
        verb.make_context(name, list(rest), parent=context)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize("target", TARGETS)
def test_the_commands_of_a_target_of_make_can_begin(target, tmp_path):
    """In an environment that is installed, each program and script of a target is there, and starts."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    for name in ("python", "run-recipe", "ruff", "mypy"):
        (venv / "bin" / name).symlink_to(Path(sys.executable).parent / name)
    (venv / ".installed").touch()
    said = subprocess.run(
        ["make", "-n", "--no-print-directory", target, f"VENV={venv}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for line in said.splitlines():
        words = shlex.split(line.partition(" | ")[0].partition(" > ")[0])
        if words[0] == f"{venv}/bin/python":
            start = words[1:3] if words[1] == "-m" else words[1:2]
            begins([sys.executable, *start, "--help"])
        elif words[0].startswith(str(venv)):
            begins([words[0], "--version"])
        else:
            assert shutil.which(words[0]), line


def begins(words):
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
