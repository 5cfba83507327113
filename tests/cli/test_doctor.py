"""Is this machine fit? And does the installed mlx-lm still take what the catalogue says?"""

import json
import os
import subprocess
import sys

import pytest
from machines import FACTS

from runner.catalog.tools import numbers
from runner.cli.health import examine, fit


def found(drift=(), **changes):
    return {one.subject: one for one in examine({**FACTS, **changes}, list(drift))}


def test_a_fit_machine_is_fit():
    assert {one.level for one in found().values()} == {"good"}


@pytest.mark.parametrize(
    ("changes", "subject", "level"),
    [
        ({"python": "3.10.2"}, "Python", "unfit"),
        ({"packages": {}}, "MLX", "unfit"),
        ({"packages": {"mlx": "0.32.4", "mlx-lm": "0.30.1"}}, "mlx-lm", "unfit"),
        ({"packages": {"mlx": "0.32.4", "mlx-lm": "0.40.0"}}, "mlx-lm", "warning"),
        ({"device": {"error": "no driver"}}, "MLX", "unfit"),
        ({"device": {"device": "cpu x"}, "compiler": None}, "C++ compiler", "warning"),
        ({"free_bytes": 10**9}, "disk", "warning"),
    ],
)
def test_what_is_not_fit_is_told_with_the_way_out(changes, subject, level):
    one = found(**changes)[subject]
    assert one.level == level
    assert one.hint or "does not start" in one.detail
    assert fit(list(found(**changes).values())) is (level != "unfit")


def test_a_difference_from_the_catalogue_makes_it_unfit():
    assert found(["mlx_lm.lora --x: gone"])["catalogue"].level == "unfit"


def test_versions_are_compared_by_their_numbers():
    assert numbers("0.9.0") < numbers("0.31.3") < numbers("0.32.0")


RENAMED = """
import importlib.abc, importlib.util, sys

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "mlx_lm.lora":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module
        def renamed(module):
            load(module)
            build = module.build_parser
            def build_parser():
                parser = build()
                action = parser._option_string_actions.pop("--batch-size")
                action.option_strings = ["--rows"]
                action.dest = "rows"
                parser._option_string_actions["--rows"] = action
                return parser
            module.build_parser = build_parser
        spec.loader.exec_module = renamed
        return spec

sys.meta_path.insert(0, Finder())
"""
RECIPE = """
version: 1
extends: builtin:base/lora
stages:
  train: {tool: mlx_lm.lora, params: {train: true, model: m/m, data: data}}
"""


@pytest.fixture
def renamed(tmp_path):
    """A folder in which the installed mlx-lm calls --batch-size by another name."""
    pytest.importorskip("mlx_lm")
    (tmp_path / "sitecustomize.py").write_text(RENAMED, encoding="utf-8")
    (tmp_path / "r.yaml").write_text(RECIPE, encoding="utf-8")
    (tmp_path / "data").mkdir()
    for split in ("train", "valid"):
        (tmp_path / "data" / f"{split}.jsonl").write_text('{"text": "a"}\n', encoding="utf-8")

    def call(*words):
        return subprocess.run(
            [sys.executable, "-m", "runner", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

    return call


@pytest.mark.slow
def test_a_renamed_flag_is_caught_by_doctor_by_check_and_by_the_child(renamed):
    done = renamed("doctor")
    assert done.returncode == 5
    assert "--batch-size" in done.stdout
    done = renamed("tools", "mlx_lm.lora", "--drift")
    assert done.returncode == 3
    done = renamed("check", "--mlx", "r.yaml")
    assert done.returncode == 2
    assert "does not accept this stage as planned" in done.stdout
    assert "unrecognized arguments: --batch-size=1" in done.stdout
    done = renamed("r.yaml", "--smoke")
    assert done.returncode == 1
    assert "unrecognized arguments: --batch-size=1" in done.stderr
    assert "Loading pretrained model" not in done.stderr


@pytest.mark.slow
def test_doctor_says_whether_there_is_a_token_and_never_which(tmp_path):
    pytest.importorskip("mlx_lm")
    env = {**os.environ, "HF_TOKEN": "hf_very_secret", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "runner", "doctor", "--format", "json"],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    hub = next(one for one in json.loads(done.stdout) if one["subject"] == "hub")
    assert "a token is set" in hub["detail"]
    assert "secret" not in done.stdout + done.stderr


def test_a_script_that_would_not_find_its_programs_is_told_and_a_run_needs_none_of_them():
    one = found(scripts=["mlx_lm.lora"], programs="/there/bin")["scripts"]
    assert (one.level, one.hint) == (
        "warning",
        'they are next to Python: export PATH="$PATH:/there/bin"',
    )
    assert found(scripts=[], programs="/there/bin")["scripts"].level == "good"
    assert "scripts" not in found(scripts=None, programs="")


def test_a_tool_that_could_not_be_asked_is_told():
    told = examine(FACTS, [], {"mlx_lm.fuse": "it calls x before it parses its arguments"})
    assert [(one.level, one.detail) for one in told if one.subject == "catalogue"] == [
        ("warning", "mlx_lm.fuse was not checked: it calls x before it parses its arguments")
    ]


def test_a_shell_that_allows_mlx_lm_too_few_files_is_unfit():
    assert found(files=3000)["open files"].level == "unfit"
    assert "catalogue" not in found(files=3000)
    assert "open files" not in {*found(files=4096), *found(files=None)}
