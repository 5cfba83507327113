"""What other programs run: the hooks of pre-commit and the action of GitHub."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from runner.cli import find

ROOT = Path(__file__).parent.parent.parent
HOOKS = {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
RECIPE = "version: 1\nstages: {mix: {tool: data.mix, params: {primary: a, replay: b, seed: 3}}}\n"


@pytest.fixture
def project(tmp_path):
    """A project with a recipe, its rows, and pytest settings of its own that need a plugin."""
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.jsonl").write_text('{"text": "x"}\n' * 17, encoding="utf-8")
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "one.yaml").write_text(RECIPE, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-plugin\n", encoding="utf-8")
    return tmp_path


def call(name, project, *more):
    """Run a hook as pre-commit does: its entry and its arguments, in the project."""
    hook = HOOKS[name]
    module = {
        "run-recipe": ["-m", "runner"],
        "pytest": ["-m", "pytest", "-p", "runner.testing.plugin"],
    }
    program, *words = shlex.split(hook["entry"])
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, *module[program], *words, *hook["args"], *more],
        cwd=project, capture_output=True, text=True, check=False, env={**environ, "CI": ""},
    )  # fmt: skip


@pytest.mark.slow
def test_the_check_hook_fails_on_a_problem(project):
    assert call("run-recipe-check", project).returncode == 0
    (project / "recipes" / "one.yaml").write_text(RECIPE.replace("seed", "sed"), encoding="utf-8")
    done = call("run-recipe-check", project)
    assert done.returncode == 2
    assert "did you mean 'seed'?" in done.stdout


@pytest.mark.slow
def test_the_snapshot_hook_fails_on_a_change_whatever_the_projects_pytest_is(project):
    assert "nothing is locked yet" in call("run-recipe-snapshots", project).stdout
    assert call("run-recipe-snapshots", project, "--snapshot-update").returncode == 0
    assert call("run-recipe-snapshots", project).returncode == 0
    (project / "recipes" / "one.yaml").write_text(RECIPE.replace("3}", "4}"), encoding="utf-8")
    done = call("run-recipe-snapshots", project)
    assert done.returncode == 1
    assert "seed  3 -> 4" in done.stdout


@pytest.mark.slow
def test_the_snapshot_hook_imports_no_python_of_the_project(project):
    assert call("run-recipe-snapshots", project, "--snapshot-update").returncode == 0
    touch = f"import pathlib; pathlib.Path({str(project / 'PWNED')!r}).touch()\n"
    deep = project / "recipes" / "deep"
    deep.mkdir()
    for folder in (project / "recipes", deep):
        for name in ("__init__", "conftest", "test_it", "it_test", "setup", "pytest", "yaml"):
            (folder / f"{name}.py").write_text(touch, encoding="utf-8")
    (deep / "test_it.txt").write_text(">>> open('PWNED', 'w')\n", encoding="utf-8")
    done = call("run-recipe-snapshots", project, "recipes/test_it.py")
    assert "1 passed" in done.stdout + call("run-recipe-snapshots", project).stdout
    assert not (project / "PWNED").exists()


@pytest.mark.parametrize("hook", HOOKS.values(), ids=HOOKS)
def test_a_hook_looks_at_all_recipes_when_a_base_or_a_snapshot_changes(hook):
    assert hook["pass_filenames"] is False
    assert re.search(hook["files"], "recipes/base/lora.yaml")
    assert not re.search(hook["files"], "src/train.py")
    assert re.search(HOOKS["run-recipe-snapshots"]["files"], "recipes/__snapshots__/one.sh")


def test_rows_are_looked_at_when_they_change_and_commands_are_not():
    assert re.search(HOOKS["run-recipe-check"]["files"], "data/train.jsonl")
    assert not re.search(HOOKS["run-recipe-snapshots"]["files"], "data/train.jsonl")


def test_the_hooks_share_one_environment():
    first, *others = (hook["additional_dependencies"] for hook in HOOKS.values())
    assert all(other == first for other in others)


def test_the_action_calls_verbs_and_options_that_exist():
    lines = [
        line.strip().partition(" >")[0]
        for step in ACTION["runs"]["steps"]
        for line in step.get("run", "").splitlines()
        if line.strip().startswith("run-recipe ")
    ]
    assert len(lines) == 3
    for line in lines:
        _, verb, *words = shlex.split(line)
        told = CliRunner().invoke(find(verb), ["--help"]).output
        assert [word for word in words if word.startswith("--") and word not in told] == []
    used = {
        name
        for step in ACTION["runs"]["steps"]
        for name in re.findall(r"inputs\.([\w-]+)", json.dumps(step))
    }
    assert used == set(ACTION["inputs"])


GIT = ["git", "-c", "user.name=me", "-c", "user.email=me@here"]


def last_step(project, tmp_path, against):
    """Run the action's last step in a project."""
    (step,) = [one for one in ACTION["runs"]["steps"] if one.get("id") == "diff"]
    tools = tmp_path / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "run-recipe").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m runner "$@"\n')
    (tools / "run-recipe").chmod(0o755)
    environ = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "RECIPES": "recipes",
               "AGAINST": against, "RUNNER_TEMP": str(tools), "GITHUB_OUTPUT": str(tools / "output"),
               "GITHUB_STEP_SUMMARY": str(tools / "summary.md"),
               "GITHUB_WORKSPACE": str(project)}  # fmt: skip
    return subprocess.run(
        ["bash", "-e", "-c", step["run"]],
        cwd=project,
        capture_output=True,
        text=True,
        env=environ,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_actions_last_step_writes_what_changes(project, tmp_path):
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"]):
        subprocess.run([*GIT, *words], cwd=project, check=True)
    (project / "recipes" / "one.yaml").write_text(RECIPE.replace("3}", "4}"), encoding="utf-8")
    done = last_step(project, tmp_path, "HEAD")
    assert done.returncode == 0, done.stderr
    assert "::notice file=recipes/one.yaml" in done.stdout
    tools = tmp_path / "tools"
    assert "seed" in (tools / "summary.md").read_text(encoding="utf-8")
    assert (tools / "output").read_text(encoding="utf-8").startswith("changes=")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_action_fetches_only_a_commit_that_is_not_there(project, tmp_path):
    def git(*words, cwd=project):
        done = subprocess.run([*GIT, *words], cwd=cwd, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "-q")
    git("add", "-A")
    for text in (RECIPE, RECIPE.replace("3}", "4}"), RECIPE.replace("3}", "5}")):
        (project / "recipes" / "one.yaml").write_text(text, encoding="utf-8")
        git("commit", "-qam", text, "--allow-empty")
    first = git("rev-parse", "HEAD~2")
    for depth, shallow in (([], "false"), (["--depth=1"], "true")):
        clone = tmp_path / f"clone{shallow}"
        git("clone", "-q", *depth, project.as_uri(), str(clone))
        done = last_step(clone, tmp_path, first)
        assert done.returncode == 0, done.stderr
        assert "seed 3 -> 5" in done.stdout
        assert git("rev-parse", "--is-shallow-repository", cwd=clone) == shallow
