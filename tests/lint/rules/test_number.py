"""Numbers of a sign or a scale that nobody means are told, with the one that was meant."""

import pytest
from cases import compiled, one, text

from runner.catalog import load
from runner.lint.rule import problems

SGD = {"optimizer": "sgd", "optimizer_config": {"sgd": {"momentum": 90}}}


def told(**params):
    found = problems(compiled(text(one(**params))), load.catalog())
    return [each for each in found if each.rule == "unusual-number"]


@pytest.mark.parametrize(
    "params, severity, hint",
    [
        ({"learning_rate": 1e5}, "error", "did you mean 1e-05?"),
        ({"learning_rate": 5e6}, "error", "did you mean 5e-06?"),
        ({"learning_rate": 2}, "error", "check it, and allow this rule"),
        ({"learning_rate": 0.5}, "warning", "check it, and allow this rule"),
        ({"learning_rate": 1e-50}, "error", "check it, and allow this rule"),
        ({"optimizer": "adamw", "optimizer_config": {"adamw": {"eps": 1e8}}}, "error",
         "did you mean 1e-08?"),
        (SGD, "error", "did you mean 0.9?"),
        ({"optimizer": "adafactor", "optimizer_config": {"adafactor": {"decay_rate": 0.8}}},
         "warning", "did you mean -0.8?"),
        ({"lr_schedule": {"name": "cosine_decay", "arguments": [0.9, 10]}}, "warning",
         "check it, and allow this rule"),
        ({"lora_parameters": {"rank": 8, "scale": 20000.0, "dropout": 0.0}}, "error",
         "check it, and allow this rule"),
        ({"iters": 10**12}, "error", "check it, and allow this rule"),
    ],
)  # fmt: skip
def test_a_number_far_from_all_that_is_usual_is_told(params, severity, hint):
    (problem,) = told(**params)
    assert (problem.severity, problem.hint) == (severity, hint)


@pytest.mark.parametrize(
    "params",
    [
        {"learning_rate": 1e-5},
        {"optimizer": "sgd", "learning_rate": 0.1},
        {"lr_schedule": {"name": "linear_schedule", "arguments": [0, 1e-5, 10], "warmup": 0}},
        {"iters": 1},
        {"lora_parameters": {"rank": 1, "scale": 1.0, "dropout": 0.0}},
    ],
)
def test_what_people_choose_is_not(params):
    assert told(**params) == []


def test_the_number_that_was_meant_is_usual():
    for wrong in (1e5, 5e6, 3e7):
        (problem,) = told(learning_rate=wrong)
        meant = problem.hint.removeprefix("did you mean ").removesuffix("?")
        assert told(learning_rate=float(meant)) == []


def test_every_default_is_usual():
    for name in load.catalog().names:
        tool = load.catalog().get(name)
        for parameter in tool.parameters.values():
            usual = parameter.schema.get("x-usual")
            default = parameter.schema.get("default")
            assert (
                usual is None or default is None or not default or usual[0] <= default <= usual[1]
            )
