"""docs/adding-a-tool.md: its files, its commands, and what they print."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "adding-a-tool.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"\*\*`([\w./]+)`\*\*\n\n```\w+\n(.*?)```", PAGE, re.DOTALL))
CONSOLE = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)


def steps():
    """Yield each command of the page, in order, with what it shows."""
    for block in CONSOLE:
        yield from re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)


def pattern(shown):
    return r"[^\n]+?".join(map(re.escape, shown.split("…")))


@pytest.mark.slow
def test_the_page_is_what_happens_from_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RUN_RECIPE_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "mine"
    for name, text in FILES.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name != "tools/score.json":
            path.write_text(text, encoding="utf-8")
    run = f"'{sys.executable}' -m runner"
    for at, (command, shown) in enumerate(steps()):
        done = subprocess.run(
            ["bash", "-c", command.replace("run-recipe", run)],
            cwd=place,
            capture_output=True,
            text=True,
            check=False,
        )
        said = (
            done.stderr + done.stdout
            if command.endswith("--trust-tools")
            else done.stdout + done.stderr
        )
        assert re.fullmatch(pattern(shown), said), (command, said)
        if at == 0:
            assert set(FILES) > {"scripts/score.py"}
            (place / "tools" / "score.json").write_text(FILES["tools/score.json"], "utf-8")
