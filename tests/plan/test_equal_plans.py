"""Whatever a recipe's templates name, two compilations of it give the same plan, or words."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import workflow
from runner.catalog import load as schemas
from runner.command.script import script
from runner.recipe.load import Overrides, load

NAMES = (
    "vars", "vars.a", "vars.m", "vars.m.b", "vars.l", "recipe", "recipe.name", "recipe.dir",
    "stages", "stages.x", "stages.x.params", "stages.x.params.lora_parameters", "stage", "stage.name",
    "stage.params", "env", "env('A', 'b')", "metrics", "range", "range(3)", "dict", "dict(a=1)",
    "self", "loop", "vars.l.count", "vars.a.upper", "vars.m.items", "stages.x.adapter_path",
)  # fmt: skip
PIPES = (
    "", " | string", " | list", " | items", " | join", " | first", " | length", " ~ ''", " | map('string')",
    " | sort", " | unique", " | dictsort", ".__class__", "()", " | tojson", " is mapping", " or 'x'",
)  # fmt: skip
TEXTS = st.builds(
    "{}{{{{ {}{} }}}}".format,
    st.sampled_from(["", "p "]),
    st.sampled_from(NAMES),
    st.sampled_from(PIPES),
)


def _made(text):
    params = {"model": "m", "prompt": text, "seed": 1}
    trained = {"model": "m", "data": "d", "train": True, "lora_parameters": {"rank": 8}}
    recipe = {
        "version": 1,
        "vars": {"a": "text", "m": {"b": 1}, "l": ["q", "v"]},
        "stages": {
            "x": {"tool": "mlx_lm.lora", "params": trained},
            "y": {"tool": "mlx_lm.generate", "params": params},
        },
    }
    loaded = load("r.yaml", lambda _: json.dumps(recipe).encode(), Overrides())
    made = workflow.compile_recipe(loaded.recipe, {})
    return script(made.plan, schemas.catalog()) if made.plan else repr(made.problems)


@pytest.mark.slow
@given(TEXTS)
@settings(max_examples=80, deadline=None)
def test_two_compilations_are_equal_and_hold_nothing_of_the_process(text):
    first = _made(text)
    assert first == _made(text)
    assert " at 0x" not in first
    assert "<" not in first.replace("<<", "")
