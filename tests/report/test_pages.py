"""The pages of docs/ that show commands: every command is run, and prints what the page shows.

A fence whose info names a file (``yaml recipes/one.yaml``) is written there. In a ``console`` fence
a line after ``$`` is run by bash in the page's folder, and its output is what follows; ``…`` stands
for anything: in a line for the rest of it, alone for any lines.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent
PAGES = ("guide.md", "import.md", "review.md", "testing.md")
NEEDS_MLX = {"guide.md"}
COMMANDS = {
    "run-recipe": "-m runner",
    "pytest": "-m pytest -p runner.testing.plugin -p no:cacheprovider",
}
FENCE = re.compile(r"^```(\w+)(?: ([^\n]+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def steps(page):
    """The page's fences, and the commands with what they print."""
    for kind, name, text in FENCE.findall(page):
        if kind != "console":
            yield name, text
            continue
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            yield None, (command, shown)


def agrees(shown, said):
    pattern = "".join(
        "(?:.*\n)*?" if line == "…\n" else re.escape(line).replace("…", ".*")
        for line in shown.splitlines(keepends=True)
    )
    return re.fullmatch(pattern, said) is not None


@pytest.fixture
def shell(tmp_path):
    """A folder, and a bash that finds our commands and nothing of pytest's own environment."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, words in COMMANDS.items():
        text = f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n'
        (tools / name).write_text(text, encoding="utf-8")
        (tools / name).chmod(0o755)
    environ = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "CI", "RECIPE_"))
    }
    environ |= {
        "PATH": f"{tools}:{environ['PATH']}",
        "COLUMNS": "80",
        "NO_COLOR": "1",
        "LC_ALL": "C",
        "GIT_CONFIG_GLOBAL": os.devnull,
        **{f"GIT_{who}_NAME": "someone" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "someone@example.org" for who in ("AUTHOR", "COMMITTER")},
    }
    folder = tmp_path / "here"
    folder.mkdir()

    def run(command):
        return subprocess.run(
            ["bash", "-c", f"{{ {command}\n}} 2>&1"],
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        ).stdout

    return folder, run


@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_shows_is_what_happens(name, shell):
    if name in NEEDS_MLX:
        pytest.importorskip("mlx_lm")
    folder, run = shell
    for file, step in steps((ROOT / "docs" / name).read_text(encoding="utf-8")):
        if file:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(step, encoding="utf-8")
        elif isinstance(step, tuple):
            command, shown = step
            said = run(command)
            assert agrees(shown, said), f"{name}: $ {command}\n{said}"
