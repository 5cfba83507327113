"""Arithmetic without Jinja, held against Jinja."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core import expression
from runner.core.arithmetic import formula
from runner.core.sandbox import TemplateError

VALUES = {"a": 3, "b": -2, "c": 0, "f": 0.1, "big": 10**30, "text": "5", "on": True, "none": None}
SCOPE = {"vars": VALUES, "metrics": {"loss": 1.5}}

NAMES = st.sampled_from([*(f"vars.{name}" for name in VALUES), "metrics.loss", "vars.absent"])
NUMBERS = st.sampled_from(["0", "1", "2", "7", "0.5", "1e-6", "1E3", "12.25e2", "007", "1e999"])
SPACE = st.sampled_from(["", " "])


def joined(inner):
    pair = st.tuples(inner, SPACE, st.sampled_from(["+", "-", "*", "/", "//"]), SPACE, inner)
    return pair.map("".join) | inner.map("({})".format) | inner.map("-{}".format)


ARITHMETIC = st.recursive(NAMES | NUMBERS, joined, max_leaves=6)
SIGNS = st.sampled_from([" < ", "<=", ">", " >= ", "==", " != "])
COMPARED = ARITHMETIC | st.tuples(ARITHMETIC, SIGNS, ARITHMETIC).map("".join)


def outcome(work):
    try:
        value = work()
    except TemplateError as error:
        return str(error), error.hint, error.rule, error.near
    return type(value), value


@given(text=COMPARED)
def test_it_comes_to_what_jinja_comes_to(text):
    if not expression._DOTTED.match(text):
        ours = outcome(lambda: expression.evaluate(text, SCOPE))
        assert ours == outcome(lambda: expression._jinja(text, SCOPE))


@given(text=COMPARED)
def test_it_reads_what_jinja_reads(text):
    made = formula(text)
    if made is not None:
        assert made.names == expression._compiled(text).names


@pytest.mark.parametrize(
    "text",
    [
        "vars.a + 1",
        " vars.a - vars.b ",
        "vars.a / 4 * 0.2",
        "-(vars.a - 2) // 2",
        "metrics.loss < 2.0",
        "metrics.loss <= 0.9 * vars.a",
        "vars.a*vars.b==-6",
    ],
)
def test_what_is_plain_arithmetic_needs_no_jinja(text, monkeypatch):
    monkeypatch.setattr(expression, "_jinja", None)
    monkeypatch.setattr(expression, "_compiled", None)
    expression.names.cache_clear()
    assert expression.evaluate(text, SCOPE) is not None
    assert expression.names(text)


@pytest.mark.parametrize(
    "text",
    [
        "vars.a",
        "5",
        "-vars.a",
        "vars.a ** 2",
        "vars.a % 2",
        "vars.a ~ 'x'",
        "vars.a if vars.b else 2",
        "vars.a | abs",
        "vars.a(2)",
        "vars.a < 2 < 3",
        "(vars.a < 2) + 1",
        "vars.a 5",
        "vars.a.5 + 1",
        "vars.a / 1e999",
        "rank + 1",
        "0x10 + vars.a",
        "1_000 + vars.a",
        "1. + vars.a",
        "vars.a +",
        "vars.a is 3",
        "not vars.a + 1",
        "vars.a + 1\n",
        "(" * 99 + "vars.a + 1" + ")" * 99,
    ],
)
def test_anything_else_is_left_to_jinja(text):
    assert formula(text) is None


def test_a_value_that_is_no_number_is_left_to_jinja():
    assert expression.evaluate("vars.on + 1", SCOPE) == 2
    with pytest.raises(TemplateError, match=r"computes with vars\.text"):
        expression.evaluate("vars.text * 2 + 1", SCOPE)
