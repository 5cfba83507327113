"""What the documentation shows is what happens."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from runner import workflow

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", README, re.DOTALL)


def call(words, cwd):
    return subprocess.run(
        [sys.executable, "-m", "runner", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("block", blocks("console"))
def test_a_console_example_prints_what_it_shows(block):
    command, _, shown = block.partition("\n")
    done = call(command.removeprefix("$ run-recipe ").split(), ROOT)
    assert done.stdout + done.stderr == shown


@pytest.fixture
def mine(tmp_path):
    """The README's recipe in a folder of its own."""
    (tmp_path / "my.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    (tmp_path / "data").symlink_to(ROOT / "recipes" / "data" / "security" / "analysis")
    return tmp_path


def test_the_recipe_has_no_problem(mine, monkeypatch):
    monkeypatch.chdir(mine)
    assert workflow.problems(workflow.read("my.yaml", environ={}), {}) == []


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["check", "--dry-run", "show"])
def test_a_command_of_the_readme_that_needs_no_mlx_works(verb, mine):
    lines = [line.split("#")[0].split() for line in blocks("sh")[1].splitlines()]
    words = next(line for line in lines if verb in line)
    done = call(words[1:], mine)
    assert done.returncode == 0, done.stderr
    assert done.stdout or verb == "check"


@pytest.mark.slow
def test_the_other_commands_of_the_readme_work(mine):
    pytest.importorskip("mlx_lm")
    for words in (["my.yaml", "--smoke"], ["audit"]):
        done = call(words, mine)
        assert done.returncode == 0, done.stderr


def test_every_exit_code_is_documented():
    from runner.errors import Exit

    said = README.partition("Exit codes:")[2].partition("\n\n")[0]
    assert [code for code in Exit if str(int(code)) not in said] == []


def test_every_link_leads_somewhere():
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
            assert target.startswith("http") or (path.parent / target).exists(), (path, target)
