"""Secrets in a real run: whatever a tool prints, and whatever a recipe asks for."""

import os
import subprocess
import sys

import pytest

SECRETS = {
    "HF_TOKEN": "hf_" + "aB3" * 11,
    "WANDB_API_KEY": "0123456789abcdef" * 2,
    "MY_SERVICE_PASSWORD": "correct horse battery",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCY",
}
# What a careless tool might do; a megabyte without an end of line, and bytes that are no text.
CARELESS = """
import os, sys
if "runner.worker" in sys.orig_argv:
    out = sys.stdout.buffer
    for name in %r:
        value = os.environ[name].encode()
        out.write(b"\\xff\\xfe " + value + b"\\n")
        out.flush()
        os.write(1, value[:5])
        os.write(2, value[5:])
    out.write(b"x" * 1_000_000 + os.environ["HF_TOKEN"].encode() + b"y\\n")
    out.flush()
    raise SystemExit("Access denied. " + os.environ["HF_TOKEN"])
"""
RECIPE = """
version: 1
stages:
  make: {tool: model.tiny, params: {path: model}}
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "r.yaml").write_text(RECIPE)
    (tmp_path / "sitecustomize.py").write_text(CARELESS % (list(SECRETS),))
    return tmp_path


def run(cwd, *words):
    env = {**os.environ, **SECRETS, "PYTHONPATH": str(cwd)}
    return subprocess.run(
        [sys.executable, "-m", "runner", "r.yaml", *words],
        cwd=cwd, env=env, capture_output=True, check=False,
    )  # fmt: skip


def slips(cwd, done):
    """The secrets that are found in any byte of the run's folder or of the output."""
    held = [done.stdout, done.stderr]
    held += [path.read_bytes() for path in cwd.glob("runs/**/*") if path.is_file()]
    return [name for name, value in SECRETS.items() if any(value.encode() in one for one in held)]


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["--format", "json"]], ids=["text", "json"])
def test_what_a_tool_prints_is_masked_in_every_file_and_on_the_screen(project, words):
    pytest.importorskip("mlx")
    done = run(project, *words)
    assert done.returncode == 1
    log = next(project.glob("runs/r/2*/make/log.txt")).read_bytes()
    assert log.count(b"***") == 2 * len(SECRETS) + 2
    assert rb"\xff\xfe ***" in log
    assert b"x" * 1_000_000 in log
    assert b"Access denied. ***" in done.stdout + done.stderr
    assert slips(project, done) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("words", [["-n"], ["-n", "--format", "json"], ["--smoke"]], ids=" ".join)
def test_a_recipe_that_asks_for_a_secret_is_refused_and_does_not_show_it(project, name, words):
    text = RECIPE.replace("path: model", f"path: \"{{{{ env('{name}') }}}}\"")
    (project / "r.yaml").write_text(text)
    done = run(project, *words)
    assert done.returncode == 2
    assert f"'{name}' looks like a secret".encode() in done.stdout + done.stderr
    assert slips(project, done) == []


@pytest.mark.slow
@pytest.mark.parametrize("way", ["set", "environment", "literal", "another name"])
def test_a_secret_that_reaches_the_plan_on_any_way_is_refused(project, way):
    value = SECRETS["WANDB_API_KEY"]
    said = {"another name": "\"{{ env('OTHER') }}\"", "literal": value}.get(way, "x")
    (project / "r.yaml").write_text(
        RECIPE.replace("path: model", 'path: "{{ vars.p }}"').replace(
            "stages:", f"vars: {{p: {said}}}\nstages:"
        )
    )
    words = ["--set", f"vars.p={value}"] if way == "set" else []
    with pytest.MonkeyPatch.context() as patch:
        if way == "environment":
            patch.setenv("RECIPE_VARS_P", value)
        patch.setenv("OTHER", value)
        done = run(project, *words)
    assert done.returncode == 2
    assert b"'path' would store a secret" in done.stderr
    assert slips(project, done) == []
    assert not (project / "runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("track: {wandb: {project: SECRET}}", "track"),
        ("description: made with SECRET", "description"),
        ("stages: {make: {description: made with SECRET}}", "description"),
    ],
)
def test_a_secret_is_refused_wherever_the_plan_would_hold_it(project, text, name):
    base = RECIPE.replace("version: 1\n", "")
    (project / "base.yaml").write_text(f"version: 1{base}")
    secret = SECRETS["MY_SERVICE_PASSWORD"]
    head = "version: 1\nextends: base.yaml\n"
    (project / "r.yaml").write_text(head + text.replace("SECRET", secret))
    done = run(project, "-n")
    assert done.returncode == 2
    assert f"'{name}' would store a secret".encode() in done.stderr
    assert slips(project, done) == []
