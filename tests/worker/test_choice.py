"""Which weights of a training are handed over."""

import math

from hypothesis import given
from hypothesis import strategies as st

from runner.worker.train.choice import Weights, best

LOSSES = st.floats(0.1, 10) | st.none() | st.just(math.nan)
RATIOS = st.floats(0.5, 3) | st.none()


@st.composite
def trainings(draw):
    pairs = draw(st.lists(st.tuples(LOSSES, RATIOS), max_size=8))
    return [
        Weights(
            iteration=at, file=f"{at}", val_loss=loss, retention_loss=None, retention_ratio=ratio
        )
        for at, (loss, ratio) in enumerate(pairs, start=1)
    ]


@given(trainings(), st.floats(1, 2) | st.none())
def test_nothing_better_within_the_bound_is_left_behind(weights, bound):
    chosen = best(weights, bound)
    allowed = [one for one in weights if one.within(bound)]
    if chosen is None:
        assert allowed == []
        return
    assert chosen in allowed
    measured = [one.val_loss for one in allowed if one.val_loss and math.isfinite(one.val_loss)]
    if measured:
        assert chosen.val_loss == min(measured)
        assert chosen.iteration == next(o.iteration for o in allowed if o.val_loss == min(measured))
    else:
        assert chosen == allowed[-1]


def test_weights_beyond_the_bound_are_out_of_the_question():
    kept = Weights(iteration=1, file="a", val_loss=3.0, retention_loss=1.0, retention_ratio=1.1)
    forgot = Weights(iteration=2, file="b", val_loss=1.0, retention_loss=2.0, retention_ratio=1.2)
    assert best([kept, forgot], 1.15) == kept
    assert best([kept, forgot], 1.2) == forgot
    assert best([forgot], 1.15) is None
