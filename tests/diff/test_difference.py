"""No difference of two plans is dropped: every parameter, every key that a plan or a stage holds."""

import pytest
from msgspec.structs import fields, replace

import runner
from runner.diff.diff import compare
from runner.plan.model import Plan, Retry, Stage
from runner.provenance.causes import ABSENT, Side
from runner.provenance.origins import leaves

# Words, places and what follows from the rest: nothing is told of them.
NOT_TOLD = {"description", "outputs", "expect_at", "file", "smoke", "tools", "pins"}
OTHER = {
    "tool": "data.mix",
    "after": ("a_stage",),
    "timeout": 3.0,
    "retry": Retry(attempts=5),
    "expect": ("metrics.x < 1",),
    "allow": ("a-rule",),
    "launch": {"hosts": ["h"]},
    "trainer": {"keep": "best"},
    "continues": True,
    "env": {"A": "b"},
    "track": {"mlflow": {}},
    "name": "another",
    "locks": {"model a/b": {"config.json": {"size": 1, "digest": "git:0"}}},
}


@pytest.fixture(scope="module")
def plan():
    recipe = runner.load("builtin:security_sequential.yaml", environ={})
    return runner.compile(recipe, environ={})


def changed(plan, name, **other):
    stages = [replace(one, **other) if one.name == name else one for one in plan.stages]
    return replace(plan, stages=tuple(stages))


def difference(old, new):
    return compare(Side(plan=old), Side(plan=new))


def put(values, path, value):
    """Return a mapping with another value at a path."""
    key, *rest = path
    return {**values, key: put(values[key], rest, value) if rest else value}


def test_a_plan_is_no_different_from_itself(plan):
    assert not difference(plan, plan)
    assert not difference(Plan(name="n", file="f", stages=()), Plan(name="n", file="f", stages=()))


def test_every_parameter_of_every_stage_is_compared(plan):
    for stage in plan.stages:
        for path, value in leaves(stage.params):
            other = "other" if value != "other" else "else"
            params = put(stage.params, path, other)
            found = difference(plan, changed(plan, stage.name, params=params))
            ((name, old, new),) = [(c.name, c.old, c.new) for c in found.changes]
            assert (name, old, new) == (".".join(path), value, other)
            assert found.changes[0].stage == stage.name


def test_one_and_one_point_nought_and_true_are_three_values(plan):
    seen = [changed(plan, "analysis", params={"iters": value}) for value in (1, 1.0, True)]
    assert all(difference(one, other) for one in seen for other in seen if one is not other)


def test_every_key_of_a_stage_is_compared():
    bare = Plan(
        name="n", file="f", stages=(Stage(name="one", tool="mlx_lm.lora", params={}, outputs={}),)
    )
    for key in {field.name for field in fields(Stage)} - NOT_TOLD - {"name", "params"}:
        assert difference(bare, changed(bare, "one", **{key: OTHER[key]})), key


def test_every_key_of_a_plan_is_compared():
    bare = Plan(name="n", file="f", stages=())
    for key in {field.name for field in fields(Plan)} - NOT_TOLD - {"stages", "vars"}:
        assert difference(bare, replace(bare, **{key: OTHER[key]})), key


def test_a_var_counts_where_an_expectation_reads_it(plan):
    judged = changed(replace(plan, vars={"most": 1}), "analysis", expect=("metrics.x < vars.most",))
    (change,) = difference(judged, replace(judged, vars={"most": 2})).changes
    assert (change.stage, change.name, change.old, change.new) == (
        "analysis",
        "expect: vars.most",
        1,
        2,
    )


def test_what_is_not_there_is_not_null(plan):
    params = {"a": None}
    one, other = (changed(plan, "analysis", params=said) for said in (params, {}))
    (change,) = difference(one, other).changes
    assert (change.old, change.new) == (None, ABSENT)


def test_stages_that_read_what_changes_are_named_and_no_others(plan):
    params = put(plan.stage("codefix").params, ["seed"], 9)
    found = difference(plan, changed(plan, "codefix", params=params))
    assert found.carried == ("codefix_test", "retention", "fuse")


def test_another_tool_is_told_once(plan):
    found = difference(plan, changed(plan, "replay", tool="data.split"))
    assert [(change.name, change.new) for change in found.changes] == [("tool", "data.split")]


def test_a_stage_with_little_in_common_is_not_taken_for_a_renamed_one(plan):
    old = replace(plan, stages=(plan.stage("analysis"),))
    new = replace(plan, stages=(replace(plan.stage("codefix_test"), name="other", after=()),))
    found = difference(old, new)
    assert (found.added, found.removed, found.renamed) == (("other",), ("analysis",), {})
