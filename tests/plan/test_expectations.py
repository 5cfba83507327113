"""What was measured, held against what was expected: in words, at the recipe's own line."""

from runner.plan.expectations import judge
from runner.plan.model import Stage


def judged(*expect, places=(), **metrics):
    stage = Stage(
        name="test", tool="mlx_lm.lora", params={}, outputs={}, expect=expect, expect_at=places
    )
    other = {"metrics": {"test_loss": 1.5}}
    scope = {"metrics": metrics, "stages": {"before": other}, "vars": {"most": 1.1}}
    return judge(stage, scope)


def test_a_missed_expectation_says_its_place_and_every_figure_it_reads():
    text = "metrics.test_loss <= stages.before.metrics.test_loss * vars.most"
    (one,) = judged(text, places=("r.yaml:7:9",), test_loss=1.7)
    assert not one.held
    assert str(one) == (
        f"r.yaml:7:9: expected {text}, but metrics.test_loss is 1.7, "
        "stages.before.metrics.test_loss is 1.5, vars.most is 1.1"
    )


def test_one_that_holds_keeps_its_figures_too():
    (one,) = judged("metrics.score >= 0.7", score=0.7)
    assert one.held
    assert one.as_dict()["figures"] == {"metrics.score": 0.7}


def test_a_figure_that_was_not_measured_is_a_no_with_what_there_is():
    (one,) = judged("metrics.score_fixx >= 0.7", score_fix=0.9, places=("r.yaml:1:1",))
    assert not one.held
    assert "metrics has no 'score_fixx' (did you mean 'score_fix'?)" in str(one)


def test_each_expectation_is_judged_by_itself():
    held = [one.held for one in judged("metrics.a > 1", "metrics.b > 1", "metrics.a > 0", a=1, b=2)]
    assert held == [False, True, True]
