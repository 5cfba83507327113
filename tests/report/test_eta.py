"""The time a run will still take, by what its trainings have shown."""

import pytest

from runner.catalog import load
from runner.plan.model import Stage
from runner.plan.training import trainings
from runner.report.eta import Outlook


def stage(name, iters=0, batch=4):
    return Stage(
        name=name,
        tool="mlx_lm.lora",
        params={"train": bool(iters), "iters": iters, "batch_size": batch},
        outputs={},
    )


def numbers(*stages):
    return trainings(stages, load.catalog())


FIRST, SECOND, TEST = stage("first", 100), stage("second", 50, 8), stage("test")


def report(iteration, speed):
    return {"event": "train", "iteration": iteration, "iterations_per_second": speed}


@pytest.fixture
def outlook():
    return Outlook(numbers(FIRST, SECOND, TEST))


def test_nothing_is_said_before_anything_is_known(outlook):
    assert outlook.seconds_left is None
    outlook.hear(FIRST, {"event": "val", "iteration": 0, "val_loss": 1.0})
    assert outlook.seconds_left is None


def test_the_first_report_and_a_few_iterations_say_nothing(outlook):
    outlook.hear(FIRST, report(10, 0.01))  # it compiled
    assert outlook.seconds_left is None
    outlook.hear(FIRST, report(19, 2.0))
    assert outlook.seconds_left is None
    outlook.hear(FIRST, report(20, 2.0))
    assert outlook.of(FIRST) == 80 / 2.0


def test_later_trainings_are_as_fast_as_this_one_row_by_row(outlook):
    outlook.hear(FIRST, report(10, 0.01))
    outlook.hear(FIRST, report(50, 2.0))
    assert outlook.seconds_left == (50 * 4 + 50 * 8) / (2.0 * 4)
    outlook.hear(FIRST, report(100, 2.0))
    assert outlook.seconds_left == 50 * 8 / (2.0 * 4)


def test_it_goes_by_the_mean_speed_so_that_one_slow_report_moves_it_little(outlook):
    outlook.hear(FIRST, report(10, 0.01))
    outlook.hear(FIRST, report(40, 3.0))
    outlook.hear(FIRST, report(50, 0.5))
    assert outlook.seconds_left == pytest.approx((50 * 4 + 50 * 8) / 4 * (10 + 20) / 40)
    outlook.drop(FIRST)
    outlook.hear(SECOND, report(5, 0.1))
    outlook.hear(SECOND, report(25, 4.0))
    assert outlook.seconds_left == 25 / 4.0


def test_the_validations_to_come_are_counted():
    one = Stage(
        name="v",
        tool="mlx_lm.lora",
        params={"train": True, "iters": 105, "batch_size": 1, "steps_per_eval": 25},
        outputs={},
    )
    outlook = Outlook(numbers(one))
    outlook.hear(one, {"event": "val", "iteration": 1, "val_loss": 1.0, "val_time": 9.0})
    outlook.hear(one, report(10, 0.1))
    outlook.hear(one, {"event": "val", "iteration": 25, "val_loss": 1.0, "val_time": 3.0})
    outlook.hear(one, report(30, 5.0))
    assert outlook.seconds_left == pytest.approx(75 / 5.0 + 4 * 3.0)  # at 50, 75, 100 and the end
    outlook.hear(one, report(105, 5.0))
    assert outlook.seconds_left == 0


def test_it_is_there_until_the_last_training_has_ended():
    outlook = Outlook(numbers(FIRST, TEST))
    outlook.hear(FIRST, report(89, 1.0))
    for iteration in (99, 100):
        outlook.hear(FIRST, report(iteration, 1.0))
        assert outlook.seconds_left is not None
    outlook.drop(FIRST)
    assert outlook.seconds_left is None


def test_a_try_that_begins_again_is_as_fast_as_the_one_before(outlook):
    outlook.hear(FIRST, report(10, 2.0))
    outlook.hear(FIRST, report(50, 2.0))
    outlook.hear(FIRST, report(10, 0.01))
    assert outlook.seconds_left == (90 * 4 + 50 * 8) / (2.0 * 4)


def test_what_has_ended_early_or_is_skipped_is_not_waited_for(outlook):
    outlook.hear(FIRST, report(10, 2.0))
    outlook.hear(FIRST, report(50, 2.0))
    outlook.drop(FIRST)
    assert outlook.seconds_left == 50 * 8 / (2.0 * 4)
    outlook.drop(SECOND)
    assert outlook.seconds_left is None


def test_a_speed_that_is_none_changes_nothing(outlook):
    outlook.hear(FIRST, report(10, 2.0))
    outlook.hear(FIRST, report(50, 2.0))
    outlook.hear(FIRST, report(60, 0.0))
    assert outlook.seconds_left == (40 * 4 + 50 * 8) / (2.0 * 4)
