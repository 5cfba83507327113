"""Rows of any length: stages that extend or read each other, vars that read vars."""

import pytest

from runner import workflow
from runner.lint import findings
from runner.recipe.load import load

pytestmark = pytest.mark.slow  # thousands of stages and vars

LORA = "tool: mlx_lm.lora, params: {model: m, data: d, train: true"


def compiled(text):
    loaded = load("r.yaml", lambda _: text.encode())
    assert loaded.problems == []
    return workflow.compile_recipe(loaded.recipe, {})


def test_a_row_of_1200_stages_that_extend_and_read_each_other_compiles():
    row = "".join(
        f"  s{at}: {{extends: s{at + 1}, params: {{seed: {at}, "
        f"iters: '{{{{ stages.s{at + 1}.params.iters }}}}', "
        f"resume_adapter_file: '{{{{ stages.s{at + 1}.adapter_file }}}}'}}}}\n"
        for at in range(1199)
    )
    result = compiled(f"version: 1\nstages:\n{row}  s1199: {{{LORA}, iters: 7}}}}\n")
    assert [problem.message for problem in result.problems] == []
    assert [stage.name for stage in result.plan.stages[:2]] == ["s1199", "s1198"]
    assert result.plan.stages[-1].params["iters"] == 7


def variables(last):
    row = "".join(f"  v{at}: '{{{{ vars.v{at + 1} }}}}'\n" for at in range(300))
    stage = f"  one: {{{LORA}, iters: '{{{{ vars.v0 }}}}'}}}}\n"
    return compiled(f"version: 1\nvars:\n{row}  v300: {last}\nstages:\n{stage}")


def test_a_row_of_300_vars_has_a_value():
    assert variables("5").plan.stage("one").params["iters"] == 5


def test_a_circle_of_300_vars_is_one_problem_of_one_line():
    problems = variables("'{{ vars.v0 }}'").problems
    assert [problem.rule for problem in problems] == ["template-cycle"]
    assert len(problems[0].message) < 200


def test_a_mistake_at_the_end_of_a_row_is_told_once():
    problems = variables("'{{ vars.nowhere }}'").problems
    assert [problem.message for problem in problems] == ["vars has no 'nowhere'"]


@pytest.mark.parametrize("text", ["{{ [vars.b, vars.b] }}", "{{ vars.b ~ vars.b }}"])
def test_vars_that_double_each_other_end_as_a_problem(text):
    row = "".join(f'  v{at}: "{text.replace("vars.b", f"vars.v{at + 1}")}"\n' for at in range(40))
    stage = f"  one: {{{LORA}, project_name: '{{{{ vars.v0 }}}}'}}}}\n"
    problems = compiled(f"version: 1\nvars:\n{row}  v40: abc\nstages:\n{stage}").problems
    (problem,) = problems
    assert problem.message.endswith(": the result is too large")


def test_rules_look_up_the_rows_of_a_training_behind_1200_mixes():
    mixed = "tool: data.mix, params: {replay: old, ratio: 0.1, primary: "
    row = "".join(
        f"  s{at}: {{{mixed}'{{{{ stages.s{at - 1}.data }}}}'}}}}\n" for at in range(1, 1200)
    )
    last = "  last: {tool: mlx_lm.lora, params: {model: m, train: true, data: '{{ stages.s1199.data }}'}}"
    result = compiled(f"version: 1\nstages:\n  s0: {{{mixed}new}}}}\n{row}{last}\n")
    assert [problem.message for problem in result.problems] == []
    assert not [one for one in findings.rule_problems(result) if one.severity == "error"]
