"""A text in, a tree with its places out."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.recipe.yaml import parse
from runner.recipe.yaml_scalars import LARGEST, NumberError, scalar

# What YAML 1.2's core schema makes of a plain scalar; the right column is what a person meant.
CORE = [
    ("", None),
    ("~", None),
    ("null", None),
    ("Null", None),
    ("NULL", None),
    ("nUll", "nUll"),
    ("true", True),
    ("True", True),
    ("TRUE", True),
    ("tRue", "tRue"),
    ("false", False),
    ("yes", "yes"),
    ("no", "no"),
    ("on", "on"),
    ("off", "off"),
    ("y", "y"),
    ("n", "n"),
    ("0", 0),
    ("-0", 0),
    ("7", 7),
    ("+7", 7),
    ("-7", -7),
    ("0o10", 8),
    ("0xff", 255),
    ("0xFF", 255),
    ("0b11", "0b11"),
    ("-0x10", "-0x10"),
    ("0O10", "0O10"),
    ("1_000", "1_000"),
    ("1,000", "1,000"),
    ("1:30", "1:30"),
    ("190:20:30", "190:20:30"),
    ("2026-11-22", "2026-11-22"),
    ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z"),
    ("1.5", 1.5),
    ("-1.5", -1.5),
    (".5", 0.5),
    ("5.", 5.0),
    ("1e5", 1e5),
    ("1E5", 1e5),
    ("1e-5", 1e-5),
    ("5.0e-6", 5e-6),
    ("+1.5e+3", 1500.0),
    ("00.5", 0.5),
    ("1e", "1e"),
    ("e5", "e5"),
    (".", "."),
    ("-", "-"),
    ("+", "+"),
    ("...", "..."),
    ("1.2.3", "1.2.3"),
    ("1 000", "1 000"),
    ("10%", "10%"),
    ("2k", "2k"),
    ("nan", "nan"),
    ("inf", "inf"),
    (".inf", math.inf),
    ("+.INF", math.inf),
    ("-.Inf", -math.inf),
    ("=", "="),
    ("<<", "<<"),
    ("٣", "٣"),
    ("mlx_lm.lora", "mlx_lm.lora"),
]


@pytest.mark.parametrize("text, value", CORE)
def test_a_plain_scalar_is_read_by_the_core_schema_of_yaml_1_2(text, value):
    assert (type(scalar(text)), scalar(text)) == (type(value), value)


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_not_a_number_is_a_float(text):
    assert math.isnan(scalar(text))


@pytest.mark.parametrize("text", ["010", "08", "-010", "+007", "00"])
def test_a_leading_zero_is_refused_because_two_yamls_disagree(text):
    with pytest.raises(ValueError, match=r"\d"):
        scalar(text)


def read(text):
    document = parse(text, "f.yaml")
    assert document.problems == []
    return document.root


def rules(text):
    return [problem.rule for problem in parse(text, "f.yaml").problems]


def test_every_node_knows_the_place_of_its_value_and_of_its_key():
    root = read("a: 1\nb:\n  - x\n  - {c: yes}\n")
    assert (root.get("a").line, root.get("a").column, root.get("a").key) == (1, 4, (1, 1))
    item = root.get("b").value[1].get("c")
    assert (item.line, item.column, item.key) == (4, 9, (4, 6))
    assert str(item.mark) == "f.yaml:4:9"
    assert str(item.key_mark) == "f.yaml:4:6"
    assert str(root.get("b").value[0].key_mark) == "f.yaml:3:5"


def test_quotes_make_text_of_everything():
    assert read("""{a: "1", b: 'null', c: "true", d: ''}""").plain() == {
        "a": "1",
        "b": "null",
        "c": "true",
        "d": "",
    }


def test_plain_values_come_out_as_they_went_in():
    text = "{a: [1, 2.5, x, null, true], b: {c: {}}, d: []}"
    value = {"a": [1, 2.5, "x", None, True], "b": {"c": {}}, "d": []}
    assert read(text).plain() == value


def test_an_anchor_is_one_value_in_two_places():
    root = read("a: &x {k: 1}\nb: *x\n")
    assert root.plain() == {"a": {"k": 1}, "b": {"k": 1}}


def test_a_merge_key_fills_in_what_the_mapping_does_not_say():
    text = "base: &b {k: 1, l: 2}\nmore: &m {k: 5, n: 6}\nuse: {l: 3, <<: [*b, *m]}\n"
    assert read(text).get("use").plain() == {"k": 1, "l": 3, "n": 6}


def test_a_quoted_merge_key_is_a_key_like_any_other():
    assert read('a: {"<<": {k: 1}}').plain() == {"a": {"<<": {"k": 1}}}


def test_reset_and_override_are_kept_as_tags():
    root = read("a: !reset\nb: !override {c: 1}\nd: !reset null\n")
    assert [root.get(key).tag for key in "abd"] == ["reset", "override", "reset"]
    assert root.get("b").plain() == {"c": 1}


@pytest.mark.parametrize(
    "text, rule",
    [
        ("a: 1\na: 2", "duplicate-key"),
        ("{a: 1, a: 2}", "duplicate-key"),
        ("a: 1\n? a\n: 2", "duplicate-key"),
        ("1: x", "key-not-text"),
        ("true: x", "key-not-text"),
        ("null: x", "key-not-text"),
        ("? [a]\n: x", "key-not-text"),
        ("a: {{ x }}", "unquoted-template"),
        ("a: {{ x }}/y", "unquoted-template"),
        ("- {{ x }}", "unquoted-template"),
        ("a: 010", "leading-zero"),
        ("a: !x 1", "unknown-tag"),
        ("a: !!set {}", "unknown-tag"),
        ("a: !!int x", "bad-tag"),
        ("<<: 1", "bad-merge-key"),
        ("a: &x [*x]", "alias-cycle"),
        ("a: ${RUN_DIR}/x", "run-dir-in-text"),
        ("a: !reset 3", "reset-value"),
        ("a: [!reset ]", "bad-tag"),
        ("a: " + "9" * 5000, "number-too-large"),
        ("a: 0x" + "f" * 5000, "number-too-large"),
        ("a: 'x", "yaml-syntax"),
        ("a: [1", "yaml-syntax"),
        ("a: 1\n---\nb: 2", "yaml-syntax"),
        ("a:\n\tb: 1", "yaml-syntax"),
        ("\0", "yaml-syntax"),
        ("[" * 70 + "]" * 70, "too-deep"),
        ("[" * 20_000, "too-deep"),
        ("- " * 20_000, "too-deep"),
    ],
)
def test_a_text_that_cannot_be_trusted_is_one_problem(text, rule):
    assert rules(text) == [rule]


def test_keys_that_yaml_1_1_takes_for_truth_values_are_text():
    assert read("{on: 1, off: 2, y: 3, no: 4}").plain() == {"on": 1, "off": 2, "y": 3, "no": 4}


def test_aliases_may_expand_a_little():
    some = "a: &a [1, 2, 3]\nb: [*a, *a, *a]\n"
    assert read(some).get("b").plain() == [[1, 2, 3]] * 3


def test_bytes_are_utf8_with_or_without_a_mark_of_order():
    assert parse("a: é".encode(), "f").root.plain() == {"a": "é"}
    assert parse("a: é".encode("utf-8-sig"), "f").root.plain() == {"a": "é"}
    problem = parse(b"a: 1\nb: caf\xe9", "f").problems[0]
    assert (problem.rule, problem.mark.line, problem.mark.column) == ("not-utf8", 2, 7)


def test_windows_line_ends_count_as_one_line():
    root = parse(b"a: 1\r\nb: 2\r\n", "f").root
    assert root.plain() == {"a": 1, "b": 2}
    assert root.get("b").key == (2, 1)


def test_an_empty_text_has_no_root_and_no_problem():
    assert parse("", "f").root is None
    assert parse("# nothing\n", "f").problems == []


@given(st.text())
def test_no_text_makes_the_parser_raise(text):
    parse(text, "f")


@given(st.binary())
def test_no_bytes_make_the_parser_raise(data):
    parse(data, "f")


@given(st.text(alphabet="{}[]:,-?&*!|>'\"#%@`<0o1e.~ \n\tabx", max_size=40))
def test_no_line_noise_makes_the_parser_raise(text):
    parse(text, "f")


@given(st.text(alphabet="0123456789+-.eExo_:~", max_size=12))
def test_a_scalar_is_a_value_or_a_number_that_cannot_be_held(text):
    try:
        value = scalar(text)
    except NumberError:
        number = text if text.lstrip("+-").startswith("0") else abs(float(text))
        assert number in (text, 0, math.inf) or number >= LARGEST
    else:
        assert value is None or isinstance(value, str | int | float)
