"""Shell completion: what is offered, by click's own protocol, and in a real bash."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from runner.cli.verbs import cli

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
        ("show recipes/one.yaml ", ["vars.", "train.", "tune."]),
        ("show recipes/one.yaml tu", ["tune."]),
        ("show recipes/one.yaml tune.num", ["tune.num_layers"]),
        ("show recipes/one.yaml tune.lora", ["tune.lora_parameters."]),
        ("show recipes/one.yaml tune.lora_parameters.r", ["tune.lora_parameters.rank"]),
        ("show recipes/one.yaml vars.shape.", ["vars.shape.rank"]),
        ("show recipes/one.yaml iter", ["iters"]),
        ("show recipes/broken.yaml t", []),
        ("new mine --from builtin:seq", ["builtin:sequential_fused", "builtin:sequential_replay"]),
        ("new mine --from builtin:base/", []),  # a base has no stages
        ("tools mlx_lm.l", ["mlx_lm.lora"]),
        ("rules name-", ["name-not-there"]),
        ("audit ", []),
        ("diff recipes/o", ["recipes/one.yaml"]),
        ("diff recipes/one.yaml HE", []),  # no repository here
    ],
)  # fmt: skip
def test_what_is_offered(line, wanted, folder):
    assert offered(line)[: len(wanted) + 3] == wanted


@pytest.fixture
def ran(folder):
    """Two runs of one recipe and one of another."""
    names = ("one/20261123T214807Z-aaaa", "one/20261124T214807Z-bbbb", "two/20261122T214807Z-cccc")
    for name in names:
        path = Path("runs", name)
        path.mkdir(parents=True)
        (path / "run.json").touch()


@pytest.mark.parametrize("verb", ["audit", "report", "report one", "status", "one.yaml --resume"])
def test_runs_are_offered_by_recipe_and_id_the_newest_first(verb, ran):
    newest = ["20261124T214807Z-bbbb", "20261123T214807Z-aaaa", "20261122T214807Z-cccc"]
    assert offered(f"{verb} ") == ["one", "two", *newest]
    assert offered(f"{verb} 20261123") == newest[1:2]
    assert offered(f"{verb} --runs elsewhere ") == []


def test_runs_offers_the_recipes_that_have_some(ran):
    assert offered("runs ") == ["one", "two"]


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_diff_offers_revisions_after_the_recipe(ran):
    def git(*words):
        who = ["-c", "user.name=me", "-c", "user.email=me@here", "-c", "init.defaultBranch=main"]
        subprocess.run(["git", *who, *words], check=True, capture_output=True)

    git("init")
    assert offered("diff recipes/one.yaml H") == []  # no commit yet
    git("add", "recipes")
    git("commit", "-m", "one")
    git("branch", "feature/rank")
    git("tag", "v1")
    assert offered("diff recipes/one.yaml H") == ["HEAD"]
    git("commit", "--allow-empty", "-m", "two")
    names = ["HEAD", "HEAD~1", "feature/rank", "main", "v1"]
    assert offered("diff recipes/one.yaml ")[:5] == names
    assert offered("diff recipes/one.yaml fea") == ["feature/rank"]
    assert offered("diff recipes/one.yaml v1..ma") == ["v1..main"]
    assert offered("diff recipes/one.yaml v1...f") == ["v1...feature/rank"]
    assert offered("diff recipes/one.yaml 20261123") == ["20261123T214807Z-aaaa"]
    assert "HEAD" not in offered("diff ")


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
        ("run-recipe show sp", [r"sp\ ace/"]),
        (r"run-recipe show sp\ ", [r"sp\ ace/"]),
        (r"run-recipe show sp\ ace/", [r"sp\ ace/it\'s\ one.yaml"]),
        ('run-recipe show "sp ', ["sp ace/"]),  # bash keeps the quote, and closes it
        ("run-recipe show 'sp", ["sp ace/"]),
        (r"run-recipe show sp\ ace/it\'s\ one.yaml tun", ["tune."]),
        ('run-recipe "sp ace/it\'s one.yaml" --only tu', ["tune"]),
    ],
)
def test_bash_puts_it_on_the_line(line, wanted, program):
    Path("sp ace").mkdir()
    Path("sp ace/it's one.yaml").write_text(f"name: one\n{RECIPE}", encoding="utf-8")
    done = subprocess.run(
        ["bash", "--norc", "-c", BASH, "bash", line],
        capture_output=True, text=True, check=True, env=program,
    )  # fmt: skip
    assert done.stdout.splitlines() == wanted, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("line", ["run-recipe ze", 'run-recipe "ze', "run-recipe 'ze"])
def test_bash_is_offered_no_file_whose_name_would_do_something(line, program):
    for name in (
        "zev$(touch PWNED).yaml",
        "zev`touch PWNED`.yaml",
        "zev\nplain,x.yaml",
        "zeven.yaml",
    ):
        shutil.copy("recipes/one.yaml", name)
    done = subprocess.run(
        ["bash", "--norc", "-c", BASH, "bash", line],
        capture_output=True, text=True, check=True, env=program,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["zeven.yaml"], done.stderr


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


def test_a_link_to_itself_is_passed_over(folder):
    Path("recipes/loop").symlink_to("loop")
    assert offered("check recipes/") == ["recipes/broken.yaml", "recipes/one.yaml"]
