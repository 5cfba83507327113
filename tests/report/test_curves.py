"""Curves: where the points lie, and that thinning loses no peak."""

import math

from hypothesis import given
from hypothesis import strategies as st

from runner.report.curves import TICKS, curves, sketch, sparkline, thin


def events(count, **figures):
    return [{"iteration": n, **{k: f(n) for k, f in figures.items()}} for n in range(1, count + 1)]


def test_a_second_stage_begins_where_the_first_one_ended():
    found = curves(
        [("one", events(8, train_loss=float)), ("none", []), ("two", events(4, train_loss=float))]
    )
    assert found.borders == (("one", 0.0), ("two", 8.0))
    assert [(s.stage, s.points[0][0], s.points[-1][0]) for s in found.series] == [
        ("one", 1.0, 8.0),
        ("two", 9.0, 12.0),
    ]


def test_what_is_not_a_finite_number_is_no_point():
    rows = [
        {"iteration": 1, "train_loss": "nan"},
        {"iteration": 2, "train_loss": math.inf},
        {"train_loss": 1.0},
        {"iteration": 3, "train_loss": 2},
    ]
    assert curves([("a", rows)]).series[0].points == ((3.0, 2.0),)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=3000), st.integers(1, 200))
def test_thinning_keeps_the_ends_and_the_extremes(values, most):
    points = [(float(at), value) for at, value in enumerate(values)]
    kept = thin(points, most)
    assert len(kept) <= max(2 * most + 2, 1)
    assert list(kept) == sorted(set(kept))
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert {min(values), max(values)} <= {value for _, value in kept}


def test_a_sparkline_rises_with_its_values():
    assert sparkline([1.0, 2.0, 3.0]) == TICKS[0] + TICKS[4] + TICKS[7]
    assert sparkline([5.0, 5.0]) == TICKS[0] * 2
    assert sparkline([1.0]) == ""
    assert len(sparkline(list(range(1000)), 40)) == 40
    assert list(sparkline([*range(1000)])) == sorted(sparkline([*range(1000)]))


def test_a_sketch_says_how_each_loss_went():
    found = curves([("one", events(3, train_loss=float, learning_rate=float))])
    assert sketch(found) == [
        "  one train_loss  " + TICKS[0] + TICKS[4] + TICKS[7] + " 1.000 to 3.000"
    ]
