"""The commands that go on with a run."""

import pytest

from runner import workflow
from runner.catalog import load as schemas
from runner.recipe.load import Overrides, load
from runner.runs.next_steps import rehearsal_data

GET = "  get: {tool: hf.download, params: {repo_id: a/b%s}}\n"
TRAIN = "  train: {tool: mlx_lm.lora, params: {model: m, train: true, %s}}\n"


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        (TRAIN % "data: rows", ["rows"]),
        (GET % "" + TRAIN % "data: rows", ["rows"]),
        (GET % ", local_dir: rows" + TRAIN % "data: rows/x", ["rows/x"]),
        (GET % "" + TRAIN % "data: '{{ stages.get.path }}'", None),
        (TRAIN % "data: rows, lora_parameters: {keys: [self_attn.foo]}", None),
        (TRAIN % "hf_dataset: {path: owner/rows}", ["mlx-community/WikiSQL", "owner/rows"]),
    ],
)
def test_a_smoke_run_is_advised_by_what_it_would_read(stages, expected):
    text = f"version: 1\nstages:\n{stages}"
    recipe = load("r.yaml", lambda _: text.encode(), Overrides()).recipe
    plan = workflow.compile_recipe(recipe, {}).plan
    assert rehearsal_data(plan, schemas.catalog(), schemas.architectures()) == expected
