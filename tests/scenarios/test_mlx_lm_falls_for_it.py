"""The traps are real: the installed mlx-lm still does what docs/traps.md says of it.

One that fails here is a trap that a release has closed: its row and its guard can be looked at anew.
"""

import ast
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FACTS = Path(__file__).with_name("trapped.py")
NAMES = [
    node.name.upper().replace("B", "b")
    for node in ast.parse(FACTS.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef) and node.decorator_list
]


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What mlx-lm does, trap by trap, asked in one process of its own."""
    if importlib.util.find_spec("mlx_lm") is None:
        pytest.skip("needs mlx-lm")
    folder = tmp_path_factory.mktemp("facts")
    env = {**os.environ, "MLX_DISABLE_COMPILE": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, FACTS, folder], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("number", NAMES)
def test_mlx_lm_falls_for_it(answers, number):
    assert answers[number] is True
