"""Expressions are Jinja's, without its guesses, without Python's objects, and within an allowance."""

import time
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from runner.recipe.template.allowance import Allowance
from runner.recipe.template.filters import FILTERS, OMISSIONS, TESTS
from runner.recipe.template.render import fill
from runner.recipe.template.sandbox import TemplateError

SCOPE = {
    "n": 7,
    "f": 2.5,
    "yes": True,
    "none": None,
    "text": "Qwen3-4bit",
    "list": [3, 1, 2],
    "names": ["b", "A", "a"],
    "map": {"a": 1, "b": {"c": 2}},
    "empty": [],
}
THEIRS = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
SIGNS = ("+", "-", "*", "/", "//", "%", "~", "**", "==", "<", "in", "and", "or")
NAMES = st.sampled_from([*SCOPE, "missing", "range", "dict"])
LITERALS = st.sampled_from(
    ["0", "1", "-2", "2.5", "'a'", "'%s'", "''", "[]", "[1, 'x']", "{'a': 1}"]
)


def _expressions():
    def larger(inner):
        pairs = st.sampled_from(SIGNS)
        piped = st.sampled_from([*FILTERS, *OMISSIONS, "tojson"])
        asked = st.sampled_from([*TESTS, "defined"])
        methods = st.sampled_from(["upper()", "get('a')", "items()", "find('a')", "count(1)", "x"])
        return st.one_of(
            st.tuples(inner, pairs, inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
            st.tuples(inner, piped).map(lambda t: f"({t[0]} | {t[1]})"),
            st.tuples(inner, piped, inner).map(lambda t: f"({t[0]} | {t[1]}({t[2]}))"),
            st.tuples(inner, asked).map(lambda t: f"({t[0]} is {t[1]})"),
            st.tuples(inner, methods).map(lambda t: f"{t[0]}.{t[1]}"),
            st.tuples(inner, inner).map(lambda t: f"{t[0]}[{t[1]}]"),
            st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} else {t[2]})"),
            st.lists(inner, max_size=3).map(lambda t: f"[{', '.join(t)}]"),
        )

    return st.recursive(st.one_of(NAMES, LITERALS), larger, max_leaves=6)


@pytest.mark.slow
@given(_expressions())
@example("range | string")
@example("text.upper ~ ''")
@example("(map.items) | string")
@example("list | map('upper')")
@example("dict")
@settings(max_examples=200, deadline=None)
def test_two_fillings_in_are_equal_and_hold_nothing_of_the_process(text):
    """Nothing whose text hangs on an identity or a process may enter a plan."""
    first, second = _made(text), _made(text)
    assert first == second
    assert " at 0x" not in first


def _made(text):
    try:
        return repr(fill(f"{{{{ {text} }}}}", SCOPE))
    except TemplateError as error:
        return str(error)


@pytest.mark.slow
@given(_expressions())
@settings(max_examples=150, deadline=None)
def test_what_has_a_value_has_the_one_that_jinja_gives(text):
    """But for text: what is no text stands in it as YAML says it, and sorting is by case."""
    if any(word in text for word in ("~", "string", "unique", "join", "%", "None", "round")):
        return
    with suppress(TemplateError):
        ours = fill(f"{{{{ {text} }}}}", SCOPE)
        theirs = THEIRS.compile_expression(text, undefined_to_none=False)(**SCOPE)
        assert _yaml(ours) == _yaml(theirs)


def _yaml(value):
    if isinstance(value, dict):
        return {key: _yaml(child) for key, child in value.items()}
    if isinstance(value, float):
        return float(f"{value:.12g}")
    return value if isinstance(value, str | int | None) else [_yaml(one) for one in value]


@pytest.mark.parametrize(
    "text",
    [
        "none | int", "'l2' | int", "'' | int", "'7.5' | int", "'1e999' | int", "[] | int",
        "'0,2' | float", "none | float", "'x' | int(5)", "'x' | float(1.0)",
        "n | default(3)", "missing | default(3)", "n | d(3, true)", "missing is defined",
        "empty | first", "empty | last", "empty | max", "empty | min", "'' | first",
        "'x' | round", "'2' | round", "none | round", "2.5 | round(1.5)", "2.5 | round(0, 'up')",
        "text | truncate(3)", "'x' | abs", "none | abs", "names | sum", "[none] | sum",
        "list | sum(start=[])", "none | length", "none | upper", "n | upper", "none | string",
        "list | string", "none ~ 'x'", "[1] ~ 'x'", "[none] | join", "text | join(',')",
        "text | sort", "text | map('upper')", "[{}] | map(attribute='x')",
        "[{}] | selectattr('x')", "[{}] | map(attribute='x', default=3)", "map | dictsort(by='x')",
        "none | items", "none | list", "n | list", "text.find('x')", "text.partition('x')",
        "text.rpartition('x')", "text.index('x')", "list.index(9)", "map.get('x')", "map.x",
        "map['x']", "list[9]", "list['x']", "text[99]", "list[true]", "n if none", "'%d' % 2.5",
        "'%d' % '2'", "'%s' % none", "'%s %s' % [1]", "'%s' % [1, 2]", "'%c' % 3", "'%r' % 3",
        "'%(a)s' % {'b': 1}", "'a' is even", "2.5 is odd", "n is sameas n", "range", "range | string",
        "text.upper", "text.upper ~ ''", "dict | string", "{1: 2}", "{'a': 1, 'a': 2}", "-8 ** 0.5 / 0",
        "(0 - 8) ** 0.5", "n()", "text.upper()()", "range(*list)", "[[1]] | unique",
        "'x' is divisibleby 2", "1e999", "9" * 5000, "list | select('odd', keep=false)", "list | map('int', name=1)",
        "list | reject('odd', keep=true)",
    ],
)  # fmt: skip
def test_a_failure_is_told_and_never_replaced(text):
    with pytest.raises(TemplateError):
        fill(f"{{{{ {text} }}}}", SCOPE)


@pytest.mark.parametrize(
    "text, value",
    [
        ("'7' | int", 7), ("' 7 ' | int", 7), ("'1e3' | int", 1000), ("3.7 | int", 3),
        ("yes | int", 1), ("'5e-6' | float", 5e-6), ("7 | float", 7.0), ("2.567 | round(2)", 2.57),
        ("2.1 | round(0, 'ceil')", 3.0), ("names | unique", ["b", "A", "a"]), ("[] | sum", 0),
        ("[1, true] | unique", [1, True]), ("names | sort", ["A", "a", "b"]),
        ("names | map('upper') | join('-')", "B-A-A"), ("list | select('odd')", [3, 1]),
        ("list | reject('gt', 1)", [1]), ("list | max", 3), ("text | first", "Q"),
        ("yes ~ '/' ~ n ~ '/' ~ f", "true/7/2.5"), ("yes | string", "true"),
        ("'%02d-%.1f-%s' % [n, f, text]", "07-2.5-Qwen3-4bit"), ("'%d%%' % 5.0", "5%"),
        ("text.partition('-')[2]", "4bit"), ("map.get('x', 3)", 3), ("map.b.c", 2),
        ("map | dictsort | first", ["a", 1]), ("text[-4:]", "4bit"), ("list[:9]", [3, 1, 2]),
        ("none or 3", 3), ("text.startswith(['a', 'Q'])", True), ("range(2, 5)", [2, 3, 4]),
        ("1 < n < 9", True), ("dict(a=1)", {"a": 1}), ("'a' 'b'", "ab"), ("text.upper()", "QWEN3-4BIT"),
    ],
)  # fmt: skip
def test_what_has_an_answer_is_answered(text, value):
    made = fill(f"{{{{ {text} }}}}", SCOPE)
    assert (type(made), made) == (type(value), value)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "[[[0] * 1000] * 1000] * 1000",
        "([[[0] * 90] * 90] * 90) == ([[[0] * 90] * 90] * 90)",
        "[[[0] * 1000] * 1000] | sum(start=[])",
        "[[[[[['x'] * 99] * 99] * 99] * 99] * 99] | string",
        "'%(a).999999999f' % {'a': 1.0}",
        "'%(a)999999999d' % {'a': 1}",
        "'%.*f' % [999999999, 1.0]",
        "'a' * 10 ** 9",
        "10 ** 9 * 'a'",
        "2 ** 9 ** 9",
        "-(9 ** 9) ** 9999",
        "range(10 ** 12)",
        "(['a' * 9999] * 99999) | join",
        "('a' * 99999).replace('a', 'b' * 99999)",
        "(range(99999)" + " | sort" * 150 + ")",
        "[" + ", ".join(["range(9999)"] * 999) + "]",
        "[range(99999)] | map('sort') | map('sort') | map('sort') | map('reverse') | first"
        + " | sort" * 99,
    ],
)
def test_nothing_runs_long(text):
    start = time.perf_counter()
    with pytest.raises(TemplateError):
        fill(f"{{{{ {text} }}}}", SCOPE)
    assert time.perf_counter() - start < 20  # it stands still without bounds


@pytest.mark.parametrize(
    "text, value",
    [
        ("1" + " * 1" * 2000, 1),
        ("n" + " + 0" * 2000, 7),
        ("true" + " and true" * 2000, True),
        ("'a'" + " ~ 'a'" * 2000, "a" * 2001),
        ("text" + " | lower" * 1000, "qwen3-4bit"),
        ("1" + " < 2 < 3 and 1" * 500, 1),
    ],
)
def test_a_chain_may_be_long(text, value):
    assert fill(f"{{{{ {text} }}}}", SCOPE) == value


@pytest.mark.parametrize(
    "text",
    ["x" + ".x" * 5000, "x" + "[0]" * 3000, "map" + ".x" * 5000, "-" * 5000 + "1", "not " * 4000 + "1",
     "[" * 900 + "]" * 900, "1" + "+1" * 20_000],
)  # fmt: skip
def test_what_is_too_long_or_too_deep_is_refused(text):
    with pytest.raises(TemplateError):
        fill(f"{{{{ {text} }}}}", SCOPE)


def test_all_templates_of_a_recipe_share_one_allowance():
    allowance = Allowance(work=250_000)
    for _ in range(3):
        fill("{{ [0] * 9999 }}", SCOPE, allowance)
    for _ in range(2):
        with pytest.raises(TemplateError, match="in total") as told:
            fill("{{ ([0] * 9999) | sort | sort | sort | sort | sort | sort }}", SCOPE, allowance)
        assert told.value.rule == "templates-too-large"


@pytest.mark.parametrize(
    "text", [r"{{ '\x00' }}", r"{{ '\ud800' }}", r"a{{ '\x00' }}", r"{{ ['\x00'] }}"]
)
def test_text_that_no_command_can_hold_is_refused(text):
    with pytest.raises(TemplateError, match="cannot be passed to a command"):
        fill(text, SCOPE)


@pytest.mark.parametrize(
    "text", ["{{ '' ~ '/a' }}", "{{ '' + '/a' }}", "{{ ['', 'a'] | join('/') }}", "{{ x ~ '/a' }}"]
)
def test_a_path_under_an_empty_text_is_not_at_the_top_of_the_disk(text):
    with pytest.raises(TemplateError, match="an empty text comes before '/a'"):
        fill(text, {"x": ""})
