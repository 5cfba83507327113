"""An exported script finds its programs, or says what it needs before it makes anything."""

import os
import subprocess

import pytest

from runner.catalog import load
from runner.command.script import path_lookup, script
from runner.plan.model import Plan, Stage

FAKE = '#!/bin/sh\necho ran ${0##*/} >> "$LOG"\n'


@pytest.fixture
def place(tmp_path):
    """An installation by uv tool or pipx: a folder of programs, and a link to one of them."""
    tools, linked, system = (tmp_path / name for name in ("tools of it", "linked", "system"))
    for folder in (tools, linked, system):
        folder.mkdir()
    for name in ("run-recipe", "mlx_lm.lora", "mlx_lm.fuse"):
        (tools / name).write_text(FAKE, encoding="utf-8")
        (tools / name).chmod(0o755)
    for name in ("sh", "bash", "readlink", "mkdir", "cat"):
        where = next(
            p for at in os.environ["PATH"].split(":") if os.access(p := f"{at}/{name}", os.X_OK)
        )
        (system / name).symlink_to(where)
    return tmp_path


def bash(place, text, *path):
    environ = {"PATH": ":".join(str(place / name) for name in path), "LOG": str(place / "log")}
    words = ["bash", "-c", text, "script.sh"]
    return subprocess.run(
        [str(place / "system" / "bash"), *words[1:]],
        cwd=place, env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip


TEXT = (
    "set -euo pipefail\n"
    + "\n".join(path_lookup(["mlx_lm.fuse", "mlx_lm.lora"]))
    + "\nmlx_lm.lora\n"
)


@pytest.mark.parametrize("path", [("tools of it", "system"), ("linked", "system")])
def test_programs_on_the_path_or_beside_run_recipe_are_found(place, path):
    (place / "linked" / "run-recipe").symlink_to(place / "tools of it" / "run-recipe")
    done = bash(place, TEXT, *path)
    assert done.returncode == 0, done.stderr
    assert (place / "log").read_text(encoding="utf-8") == "ran mlx_lm.lora\n"


def test_what_is_on_the_path_comes_first(place):
    (place / "linked" / "run-recipe").symlink_to(place / "tools of it" / "run-recipe")
    mine = place / "linked" / "mlx_lm.lora"
    mine.write_text("#!/bin/sh\necho mine\n", encoding="utf-8")
    mine.chmod(0o755)
    assert bash(place, TEXT, "linked", "system").stdout == "mine\n"


def test_a_script_without_its_programs_names_them_and_makes_nothing(place):
    tool = load.catalog().get("mlx_lm.fuse")
    stage = Stage(name="fuse", tool=tool.name, params=dict(tool.defaults), outputs={})
    done = bash(
        place, script(Plan(name="r", file="r.yaml", stages=(stage,)), load.catalog()), "system"
    )
    assert done.returncode == 1
    assert "mlx_lm.fuse: not found" in done.stderr
    assert "script.sh needs these programs on the PATH" in done.stderr
    assert not (place / "runs").exists()


@pytest.mark.parametrize("readlink", ["exit 1", "echo >&2; exit 2"])
def test_a_system_without_readlink_f_does_without(place, readlink):
    (place / "system" / "readlink").unlink()
    old = place / "system" / "readlink"
    old.write_text(f"#!/bin/sh\n{readlink}\n", encoding="utf-8")
    old.chmod(0o755)
    assert bash(place, TEXT, "tools of it", "system").returncode == 0
    assert bash(place, TEXT + "echo $PATH\n", "system").returncode == 1
