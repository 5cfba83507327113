"""Shell completion: what is offered, by click's own protocol, and in a real bash."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from runner.cli import cli

RECIPE = """\
version: 1
vars: {rate: 1.0e-5, shape: {rank: 8}}
stages:
  train:
    tool: mlx_lm.lora
    description: Trains.
    params: {model: m, data: d, train: true, learning_rate: "{{ vars.rate }}"}
  tune: {extends: train, params: {num_layers: "{{ vars.shape.rank }}"}}
profiles: {quick: {}, quiet: {}}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("recipes").mkdir()
    Path("recipes/one.yaml").write_text(RECIPE, encoding="utf-8")
    Path("recipes/other.txt").touch()
    Path("recipes/broken.yaml").write_text("version: 1\nstages: [\n", encoding="utf-8")
    return tmp_path


def offered(line):
    *words, incomplete = line.split(" ")
    found = ShellComplete(cli, {}, "run-recipe", "_X").get_completions(words, incomplete)
    return [item.value for item in found]


@pytest.mark.parametrize(
    "line, wanted",
    [
        ("che", ["check"]),
        ("rec", ["recipes/"]),
        ("recipes/o", ["recipes/one.yaml"]),
        ("check recipes/", ["recipes/broken.yaml", "recipes/one.yaml"]),
        ("show builtin:ba", ["builtin:base/lora", "builtin:base/sequential", "builtin:basic"]),
        ("recipes/one.yaml --profile qui", ["quick", "quiet"]),
        ("run recipes/one.yaml --only t", ["train", "tune"]),
        ("recipes/one.yaml --from tr", ["train"]),
        ("recipes/one.yaml --only train --to tu", ["tune"]),
        ("check recipes/one.yaml --profile quic", ["quick"]),
        ("recipes/one.yaml --set va", ["vars.rate=", "vars.shape.rank="]),
        ("recipes/one.yaml --set st", ["stages.train.params.", "stages.tune.params."]),
        ("recipes/one.yaml --set stages.tune.params.grad_c", ["stages.tune.params.grad_checkpoint="]),
        ("recipes/one.yaml --set stages.tune.params.train=", [
            "stages.tune.params.train=true", "stages.tune.params.train=false"]),
        ("recipes/one.yaml --set stages.tune.params.optimizer=adam", [
            "stages.tune.params.optimizer=adam", "stages.tune.params.optimizer=adamw"]),
        ("recipes/one.yaml --set nothing", []),
        ("recipes/broken.yaml --profile q", []),
        ("lost.yaml --set vars.", []),
        ("--only t", []),
    ],
)  # fmt: skip
def test_what_is_offered(line, wanted, folder):
    assert offered(line)[: len(wanted) + 3] == wanted


def test_a_stage_and_a_parameter_say_what_they_are(folder):
    complete = ShellComplete(cli, {}, "run-recipe", "_X")
    (stage,) = complete.get_completions(["recipes/one.yaml", "--only"], "tr")
    assert stage.help == "Trains."
    words = ["recipes/one.yaml", "--set"]
    (parameter,) = complete.get_completions(words, "stages.train.params.mask")
    assert parameter.help == "Leave the prompt out of the loss."


@pytest.fixture
def program(folder):
    """A folder with run-recipe in it, for PATH."""
    path = folder / "bin" / "run-recipe"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m runner "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    environ = {k: v for k, v in os.environ.items() if not k.startswith("_RUN")}
    return {**environ, "PATH": f"{path.parent}:{environ['PATH']}"}


BASH = """
eval "$(run-recipe completion bash)"
COMP_LINE="$1"; COMP_POINT=${#1}
_run_recipe_completion run-recipe
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    "line, wanted",
    [
        ("run-recipe che", ["check"]),
        ("run-recipe recipes/o", ["recipes/one.yaml"]),
        ("run-recipe show builtin:basi", ["basic"]),  # bash completes after the colon
        ("run-recipe recipes/one.yaml --set vars.", ["vars.rate=", "vars.shape.rank="]),
        ("run-recipe recipes/one.yaml --set stages.tune.params.train=", ["true", "false"]),
        ("run-recipe recipes/one.yaml --only ", ["train", "tune"]),
    ],
)
def test_bash_puts_it_on_the_line(line, wanted, program):
    done = subprocess.run(
        ["bash", "--norc", "-c", BASH, "bash", line],
        capture_output=True, text=True, check=True, env=program,
    )  # fmt: skip
    assert done.stdout.splitlines() == wanted, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_one_it_reads(shell, program):
    done = subprocess.run(
        ["run-recipe", "completion", shell], capture_output=True, text=True, check=True, env=program
    )
    assert "_RUN_RECIPE_COMPLETE" in done.stdout
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    read = subprocess.run(
        [shell, "-n"], input=done.stdout, capture_output=True, text=True, check=False
    )
    assert read.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("shell, wanted", [("zsh", "plain\ncheck\n"), ("fish", "plain,check\t")])
def test_the_other_shells_protocol_answers(shell, wanted, program):
    environ = {**program, "_RUN_RECIPE_COMPLETE": f"{shell}_complete", "COMP_WORDS": "run-recipe che",
               "COMP_CWORD": "che" if shell == "fish" else "1"}  # fmt: skip
    done = subprocess.run(["run-recipe"], capture_output=True, text=True, check=False, env=environ)
    assert done.stdout.startswith(wanted)
