"""What the rules know of mlx-lm by heart is what the installed one says, read from its source."""

import ast
import re
from importlib import metadata
from pathlib import Path

import pytest

from runner.lint.lineage import MODES
from runner.lint.rules.model import AWQ
from runner.lint.rules.sequence import GGUF


def source(name):
    try:
        package = metadata.distribution("mlx-lm")
    except metadata.PackageNotFoundError:
        pytest.skip("mlx-lm is not installed")
    return Path(package.locate_file(f"mlx_lm/{name}")).read_text(encoding="utf-8")


def assigned(text, name):
    """The expression a name is given in a module or in a function of it."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return node.value
    return pytest.fail(f"{name} is missing")


def test_awq_knows_these_types():
    said = assigned(source("quant/awq.py"), "AWQ_MODEL_CONFIGS")
    assert {ast.literal_eval(key) for key in said.keys} == AWQ


def test_gguf_is_written_of_these_types():
    (said,) = re.findall(r"model_type not in (\[.*?\])", source("fuse.py"))
    assert tuple(ast.literal_eval(said)) == GGUF


def test_the_modes_have_these_groups_and_bits():
    assert ast.literal_eval(assigned(source("utils.py"), "mode_defaults")) == MODES


def test_dora_still_counts_weights_in_a_word():
    assert "32 // linear.bits" in source("tuner/dora.py")


def test_dora_still_refuses_experts():
    assert "doesn't support DoRA yet" in source("tuner/utils.py")


def test_the_result_of_an_evaluation_is_still_named_after_its_tasks():
    text = source("evaluate.py")
    assert 'args.model.replace("/", "_"), version("lm_eval")' in text
    assert '"_".join(file_keys)' in text
