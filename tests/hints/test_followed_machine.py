"""What is advised about the machine, and where a stage failed, is done; then it must be well."""

import errno
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from machines import FACTS
from test_followed_verbs import type_in  # noqa: F401  (a fixture)

from runner.base.errors import WAYS_OUT
from runner.catalog import load
from runner.catalog.tools import NEWEST
from runner.cli import health
from runner.runs.failures import CRASH, END, FAILURES, MEMORY
from runner.system import machine

# What is wrong with a machine, the advice, and what is so when it was followed.
MACHINES = [
    ({"python": "3.10.2"}, "use Python 3.11, 3.12 or 3.13", {"python": "3.11.0"}),
    ({"python": "3.14.0"}, "use Python 3.11, 3.12 or 3.13", {"python": "3.13.9"}),
    ({"packages": {}}, "pip install mlx-lm", {"packages": FACTS["packages"]}),
    (
        {"packages": {"mlx": "0.32.4", "mlx-lm": "0.20.0"}},
        r"run-recipe supports [\d.]+ and newer: pip install --upgrade mlx-lm",
        {"packages": {"mlx": "0.32.4", "mlx-lm": NEWEST}},
    ),
    (
        {"device": {"device": "cpu x"}, "compiler": None},
        "install one, or set MLX_DISABLE_COMPILE=1; .*",
        {"compiles": False},
    ),
    (
        {"device": {"device": "cpu x"}, "compiler": None},
        "install one, or set MLX_DISABLE_COMPILE=1; .*",
        {"compiler": "c++"},
    ),
    ({"files": 1024}, "start from a shell where ulimit -Hn prints 4096 or more", {"files": 4096}),
]


@pytest.mark.parametrize(("wrong", "advice", "then"), MACHINES)
def test_what_doctor_advises_makes_its_finding_go_away(wrong, advice, then):
    bad = [one for one in health.examine({**FACTS, **wrong}, []) if one.level != "good"]
    assert bad
    assert all(re.fullmatch(advice, one.hint) for one in bad)
    after = health.examine({**FACTS, **wrong, **then}, [])
    assert {one.level for one in after} == {"good"}


@pytest.mark.slow
def test_the_variable_that_doctor_names_is_the_one_it_looks_at(monkeypatch):
    monkeypatch.setattr(machine, "ask", lambda *_: {})
    monkeypatch.delenv("MLX_DISABLE_COMPILE", raising=False)
    assert health.health()["compiles"]
    monkeypatch.setenv("MLX_DISABLE_COMPILE", "1")
    assert not health.health()["compiles"]


@pytest.mark.slow
def test_the_path_that_doctor_names_has_the_programs(monkeypatch):
    monkeypatch.setattr(machine, "ask", lambda *_: {})
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    facts = {**FACTS, **health.health(), "packages": FACTS["packages"]}
    if not facts["scripts"]:
        pytest.skip("every program is on the system's own path")
    (one,) = (one for one in health.examine(facts, []) if one.subject == "scripts")
    command = one.hint.removeprefix("they are next to Python: ")
    shell = ["bash", "-c", f'{command}; printf %s "$PATH"']
    path = subprocess.run(shell, capture_output=True, text=True, check=True).stdout
    monkeypatch.setenv("PATH", path)
    assert health.health()["scripts"] == []


def test_a_shell_that_lets_open_more_files_is_one_that_works(tmp_path):
    if not Path("/bin/bash").exists():
        pytest.skip("no bash to set a limit in")
    hint = WAYS_OUT[errno.EMFILE]
    runs = f"{shlex.quote(sys.executable)} -m runner rules --format json > /dev/null"
    said = subprocess.run(
        ["/bin/bash", "-c", f"ulimit -S -n 64; {hint.partition(': ')[2]}; {runs}"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "RUN_RECIPE_CACHE": ""},
    )
    assert said.returncode == 0, said.stderr


# -- the words of failures

KINDS = {one.kind: one.guidance for one in (*FAILURES, MEMORY, END, CRASH)}
# Words with a line below that are no parameters, and where they are from.
OTHERS = {"HF_TOKEN", "HF_HUB_OFFLINE", "huggingface_hub", "mlx_lm", "tokenizer_config", "json"}


def parameters():
    catalog = load.catalog()
    tools = [catalog.get(name) for name in catalog.names]
    return {name: one for tool in tools for name, one in tool.parameters.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_failure_tells_to_change_is_there_to_be_changed(kind):
    known = set(parameters()) | set(envelope())
    named = set(re.findall(r"\b[A-Za-z]+(?:_[A-Za-z]+)+\b", KINDS[kind])) - OTHERS
    assert named <= known


def test_the_values_that_failures_name_are_values_there(type_in):  # noqa: F811
    said = {(name, value) for text in KINDS.values() for name, value in VALUE.findall(text)}
    assert said == {("grad_checkpoint", "true"), ("continue", "false")}
    params = "{model: m, train: true, data: d, iters: 9, grad_checkpoint: true}"
    stage = f"{{tool: mlx_lm.lora, continue: false, params: {params}}}"
    Path("r.yaml").write_text(f"version: 1\nstages: {{t: {stage}}}\n", encoding="utf-8")
    code, text = type_in("run-recipe show r.yaml t.grad_checkpoint")
    assert (code, "grad_checkpoint = true" in text) == (0, True)


VALUE = re.compile(r"(\w+): (true|false)")


def envelope():
    """Return every key that a recipe has a name for."""
    found = re.findall(
        r'"(\w+)": ',
        Path(load.__file__)
        .parents[2]
        .joinpath("schema", "envelope.json")
        .read_text(encoding="utf-8"),
    )
    return {*found, "stop_above"}


@pytest.mark.slow
def test_the_commands_that_failures_name_are_commands(type_in):  # noqa: F811
    """Each with what is there for its capital words; `hf`'s are asked for their help."""
    pytest.importorskip("transformers")
    text = " ".join(KINDS.values())
    ours = re.findall(r"run-recipe (?:[a-z-]+|[A-Z]+\b)(?: (?:--?[a-z]+|[A-Z]+\b|check))*", text)
    assert set(ours) == {
        "run-recipe data check DATA --model MODEL",
        "run-recipe check RECIPE --mlx",
        "run-recipe doctor",
    }
    code, said = type_in("run-recipe model tiny --path m")
    assert code == 0, said
    for line in ours:
        filled = line.replace("DATA", "a").replace("MODEL", "m").replace("RECIPE", "good.yaml")
        code, said = type_in(filled)
        assert code == 0, said
    beside = Path(sys.executable).parent / "hf"
    for words in ("auth login", "download"):
        assert f"hf {words}" in text
        code, said = type_in(f"{beside} {words} --help")
        assert code == 0, said


def told():
    """Return the advice that the cases here follow, as it is printed."""
    found = [one for wrong, *_ in MACHINES for one in health.examine({**FACTS, **wrong}, [])]
    return {*(one.hint for one in found), *KINDS.values(), WAYS_OUT[errno.EMFILE]}
