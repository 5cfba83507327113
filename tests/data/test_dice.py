from collections import Counter
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.data.dice import Dice, apportion, whole


def test_a_seed_draws_the_same_on_every_python():
    assert list(Dice(0).sample(range(10), 3)) == [8, 7, 5]
    weights = whole([1, 2, 3, 4, 0, 0, 1, 1, 9, 1.5])
    assert list(Dice(0).weighted_sample(range(10), weights, 6)) == [8, 6, 2, 1, 3, 7]


@given(rows=st.lists(st.integers(0, 2**32 - 1), unique=True), seed=st.integers(0), data=st.data())
def test_a_sample_holds_rows_at_most_once(rows, seed, data):
    count = data.draw(st.integers(0, len(rows)))
    drawn = list(Dice(seed).sample(rows, count))
    assert len(drawn) == len(set(drawn)) == count
    assert set(drawn) <= set(rows)


def test_a_shuffle_makes_every_order_alike_often():
    dice, orders = Dice(1), Counter()
    for _ in range(6000):
        rows = [0, 1, 2]
        dice.shuffle(rows)
        orders[tuple(rows)] += 1
    assert set(orders) == set(permutations(range(3)))
    assert all(900 < count < 1100 for count in orders.values())  # 1000, deviation 29


@given(
    weights=st.lists(st.floats(0, 1e300), min_size=1, max_size=40),
    seed=st.integers(0, 2**32),
    data=st.data(),
)
def test_weights_draw_rows_at_most_once_and_never_those_of_0(weights, seed, data):
    likely = [row for row, weight in enumerate(weights) if weight]
    count = data.draw(st.integers(0, len(likely)))
    drawn = list(Dice(seed).weighted_sample(range(len(weights)), whole(weights), count))
    assert len(drawn) == len(set(drawn)) == count
    assert set(drawn) <= set(likely)


def test_a_weight_is_how_often_a_row_comes_first():
    dice, weights = Dice(2), whole([1, 0, 3, 6])
    first = Counter(dice.weighted_sample(range(4), weights, 2)[0] for _ in range(5000))
    assert [round(first[row] / 500) for row in range(4)] == [1, 0, 3, 6]


def test_the_second_draw_goes_by_the_weights_that_are_left():
    dice, weights = Dice(3), whole([1, 1, 8])
    pairs = Counter(tuple(dice.weighted_sample(range(3), weights, 2)) for _ in range(5000))
    # After row 2, of 8 in 10, the others are alike; after row 0, row 2 is 8 in 9.
    assert 0.38 < pairs[2, 0] / 5000 < 0.42
    assert 0.07 < pairs[0, 2] / 5000 < 0.11


def test_weights_far_apart_keep_their_sum_exact():
    weights = whole([1e-300, 1.0, 1e300])
    assert list(weights[:2]) == [1, 1]
    assert sum(whole([0.1] * 1_000)) < 2**53


@pytest.mark.parametrize(
    "sizes, seats, shares",
    [
        ([10, 10], 4, [2, 2]),
        ([90, 9, 1], 10, [8, 1, 1]),
        ([1, 1, 100], 3, [1, 1, 1]),
        ([5, 3], 8, [5, 3]),
        ([1], 1, [1]),
        ([60, 30, 10], 10, [6, 3, 1]),
    ],
)
def test_seats_go_by_size_and_everybody_has_one(sizes, seats, shares):
    assert apportion(sizes, seats) == shares


@given(sizes=st.lists(st.integers(1, 200), min_size=1, max_size=20), data=st.data())
def test_every_seat_is_taken_and_no_class_gives_more_than_it_has(sizes, data):
    seats = data.draw(st.integers(len(sizes), sum(sizes)))
    shares = apportion(sizes, seats)
    assert sum(shares) == seats
    assert all(1 <= share <= size for share, size in zip(shares, sizes, strict=True))
