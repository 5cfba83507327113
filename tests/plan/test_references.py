"""What templates refer to, and the order that values are made in."""

from runner.plan.references import in_order


def order(graph):
    return in_order([("a",)], lambda use: iter([(name,) for name in graph.get(use[0], "")]))


def test_a_value_comes_after_all_that_it_refers_to():
    made = order({"a": "bc", "b": "d", "c": "bd"})
    assert [use[0] for use in made.values] == ["d", "b", "c", "a"]


def test_of_a_circle_only_the_value_it_begins_with_is_in_the_order():
    made = order({"a": "b", "b": "c", "c": "bd"})
    assert [use[0] for use in made.values] == ["d", "b", "a"]
    assert made.circle(("b",)) == [("b",), ("c",)]


def test_circles_inside_a_circle_are_left_to_the_outermost():
    made = order({"a": "b", "b": "c", "c": "bd", "d": "c"})
    assert [use[0] for use in made.values] == ["b", "a"]


def test_a_long_chain_needs_no_deep_stack():
    last = 50_000

    def behind(use):
        return iter([(use[0] + 1,)] if use[0] < last else ())

    made = in_order([(0,)], behind)
    assert made.values[0] == (last,)
    assert len(made.values) == last + 1
