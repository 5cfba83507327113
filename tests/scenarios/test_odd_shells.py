"""Closed streams, other encodings, few files, a folder that is gone: told in words, or no matter."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

RECIPE = """
version: 1
description: "für älle \\u2713"
stages: {mix: {tool: data.mix, params: {primary: nëw, replay: old, ratio: 0.5}}}
"""
RUN = f"{sys.executable} -m runner"


@pytest.fixture
def project(tmp_path):
    for name in ("nëw", "old"):
        (tmp_path / name).mkdir()
        rows = "".join(json.dumps({"text": f"{name} {at}"}) + "\n" for at in range(8))
        (tmp_path / name / "train.jsonl").write_text(rows, encoding="utf-8")
    (tmp_path / "r.yaml").write_text(RECIPE, encoding="utf-8")
    return tmp_path


def sh(project, line, **env):
    return subprocess.run(
        ["bash", "-c", line], cwd=project, env={**os.environ, **env}, capture_output=True,
        text=True, check=False, encoding="utf-8",
    )  # fmt: skip


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("verb", ["check r.yaml", "r.yaml"])
def test_a_closed_stream_changes_nothing(project, verb, closed):
    done = sh(project, f"{RUN} {verb} {closed}")
    assert done.returncode == 0, done.stderr
    if verb == "r.yaml":
        (page,) = project.glob("runs/r/2*/run.json")
        assert json.loads(page.read_text(encoding="utf-8"))["state"] == "finished"


def test_a_run_and_what_it_prints_do_not_go_by_the_shells_encoding(project):
    env = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    script = sh(project, f"{RUN} r.yaml -n", **env)
    assert script.returncode == 0, script.stderr
    assert "für älle ✓" in script.stdout
    assert "--primary=nëw" in script.stdout.replace("'", "")
    done = sh(project, f"{RUN} r.yaml", **env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sh(project, f"{RUN} status", **env).returncode == 0


def test_a_folder_that_was_removed_is_told(project):
    (project / "gone").mkdir()
    done = sh(project, f"cd gone; rmdir ../gone; {RUN} check ../r.yaml")
    assert done.returncode == 2
    assert "error: the working directory was removed" in done.stderr
    assert sh(project, f"cd old; {RUN} --version").returncode == 0


def test_too_few_open_files_are_told_with_the_way_out(project):
    told = []
    for most in (7, 9, 12, 16, 24, 48):
        done = sh(project, f"ulimit -n {most}; {RUN} r.yaml")
        if done.returncode:
            told.append(done.stderr)
            assert "ulimit -n 1024" in done.stderr or done.returncode == 1, (most, done.stderr)
            assert "mistake in run-recipe" not in done.stderr
    assert done.returncode == 0, done.stderr


def test_a_shell_that_allows_mlx_lm_too_few_files_is_told_before_anything_runs(project):
    text = "version: 1\nstages: {t: {tool: mlx_lm.convert, params: {hf_path: org/name}}}\n"
    (project / "r.yaml").write_text(text, encoding="utf-8")
    done = sh(project, f"ulimit -n 3000; {RUN} r.yaml --smoke")
    assert done.returncode == 5, done.stderr
    assert "a process may open only 3000 files here" in done.stderr
    assert not (project / "runs").exists()
