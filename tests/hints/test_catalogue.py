"""The hints of the schemas: each key of another library is written, and its hint followed."""

import json

import pytest
from following import PROSE, Case, Place, follow
from test_hints import problems

from runner.catalog import load

CATALOG = load.catalog()
# What a key holds where the hint puts it; any other holds 1.
SAID = {"target_modules": '["self_attn.q_proj"]', "keys": '["self_attn.q_proj"]', "wandb": "proj"}
HINTS = sorted(
    (name, key) for name in CATALOG.names for key in CATALOG.get(name).schema.get("x-not", {})
)


def unknown(case):
    """Return the keys that a recipe's tools and stages do not know."""
    return [one for one in problems(case) if one.rule in {"unknown-key", "not-read"}]


@pytest.mark.parametrize(("tool", "key"), HINTS, ids=lambda said: said)
def test_the_key_of_another_library_is_sent_home(tool, key):
    params = dict.fromkeys(CATALOG.get(tool).schema.get("required", ()), "x")
    rest = json.dumps(params)[1:-1]
    said = f"{{{key}: {SAID.get(key, 1)}{', ' * bool(rest)}{rest}}}"
    text = f"version: 1\nstages:\n  one:\n    tool: {tool}\n    params: {said}\n"
    case = Case("r.yaml", text)
    (problem,) = unknown(case)
    if any(one.fullmatch(problem.hint) for one in PROSE):
        return
    made = follow(Place(case, problem.mark, problem, str))
    assert made, f"no form reads {problem.hint!r}"
    for one in made:
        assert unknown(one) == [], one.text
