"""What is read without libyaml is read as libyaml does; everything else is left to it."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.recipe import libyaml, yaml_plain
from runner.recipe.yaml import MAX_NODES
from runner.system import files as disk

WORDS = [
    "a", "key", "x.y", "mlx_lm.lora", "<<", "true", "null", "~", "yes", "1", "-1", "1e-5", "0o7", "010", "1.5.2", ".5",
    "a b", "a  b", "a#b", "a #b", "#c", " # c", "a:b", "a: b", ": ", ":", "http://x/y", "C:\\x", "-", "- ", "--flag", "---",
    "...", "?", "? a", "'q'", "'it''s'", '"q"', '"a\\n"', "'a' b", "''", '""', "[a, b]", "[]", "{}", "{a: 1}", "[a, ]",
    "[a: b]", "{a}", "{a: }", "{a:1}", "{'a': 1}", "[[1], {b: [c]}]", "[a b, 'c d']", "[-, x]", "[- x]", "[-x]", "[a#b, c #d]",
    "&a", "*a", "&a b", "!reset", "!!int 1", "|", ">", ">-", "|-", "%a", "@a", "`a`", "é", "日本", "\t", "a\tb", "\u00a0",
    "\ufeff", "\u2028", "\r", "\x07", "😀", "a,b", "a]b", "(x)", "$HOME", "=", "<=", "a <= b * c", "{{ x }}", '"{{ x }}"',
    "a -", "a:", "\\", "/x/y", "*", "&", "!", "a&b", "+1", "a?", "'a", '"a', "[a", "{a: b", "]", "}", ",",
]  # fmt: skip
LINES = st.tuples(
    st.sampled_from(["", "", "", " ", "  ", "  ", "    ", "\t", "- ", "  - ", "- - ", "-   "]),
    st.sampled_from(["a: ", "b: ", "c.d: ", "key:", "e :", "'q': ", "1: ", "", ""]),
    st.sampled_from([*WORDS, "", "", ""]),
    st.sampled_from(["", "", "", " ", " # note", "#x"]),
).map("".join)
TEXTS = st.lists(LINES, min_size=1, max_size=7).map("\n".join)
SCALARS = st.sampled_from([one for one in WORDS if one.strip() and "\n" not in one])


def _block(inner):
    return st.one_of(
        st.lists(st.tuples(st.sampled_from("abcde"), inner), min_size=1, max_size=3).map(_mapping),
        st.lists(inner, min_size=1, max_size=3).map(_sequence),
    )


def _mapping(pairs):
    return [row for name, rows in pairs for row in _below(f"{name}:", rows)]


def _sequence(entries):
    return [row for rows in entries for row in _below("-", rows)]


def _below(lead, rows):
    if len(rows) == 1:
        return [f"{lead} {rows[0]}"]
    if lead == "-":
        return [f"- {rows[0]}", *(f"  {row}" for row in rows[1:])]
    return [lead, *(f"  {row}" for row in rows)]


TREES = st.recursive(SCALARS.map(lambda word: [word]), _block, max_leaves=8)
RECIPES = st.lists(st.tuples(st.sampled_from("abcde"), TREES), min_size=1, max_size=4).map(
    lambda pairs: "\n".join(_mapping(pairs)) + "\n"
)


def shape(node, *, key=False):
    """Everything that is read of a node: of a key also where it ends."""
    place = node.start_mark
    value = node.value
    if node.id == "sequence":
        value = [shape(one) for one in value]
    elif node.id == "mapping":
        value = [(shape(name, key=True), shape(child)) for name, child in value]
    flow = bool(node.flow_style) if node.id == "mapping" else None
    end = node.end_mark.index if key else None
    return node.id, node.tag, value, (place.index, place.line, place.column), end, flow


def same(text):
    ours = yaml_plain.compose(text)
    if ours is not None:
        theirs = libyaml.compose(text, 2 * MAX_NODES)  # raises YAMLError for what is none
        assert shape(ours) == shape(theirs), text
    return ours is not None


@given(TEXTS)
def test_of_any_lines_nothing_is_read_otherwise(text):
    same(text)


@given(RECIPES)
def test_what_looks_like_a_recipe_is_read_as_libyaml_does(text):
    same(text)


FILES = [
    *disk.shipped("recipes").rglob("*.yaml"),
    *(Path(__file__).parent.parent / "golden").rglob("*.yaml"),
]


def test_every_recipe_and_every_mistake_of_ours_is_read_alike():
    read = 0
    for path in FILES:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        read += same(text)
    assert read > len(FILES) / 2


def test_a_recipe_with_a_slip_is_read_alike_or_left_to_libyaml():
    draw = random.Random(7)
    texts = [path.read_text(encoding="utf-8") for path in disk.shipped("recipes").rglob("*.yaml")]
    for _ in range(400):
        text = draw.choice(texts)
        at = draw.randrange(len(text))
        slip = draw.choice(
            ["", " ", "  ", "\n", ":", "-", "#", "'", '"', "[", "}", ",", "\t", "&a", "  - "]
        )
        broken = text[:at] + slip + text[at + draw.choice([0, 0, 1, 3]) :]
        try:
            same(broken)
        except libyaml.YAMLError as error:  # ours read what is no YAML
            pytest.fail(f"{error}\n{broken}")


@pytest.mark.parametrize(
    "text",
    [
        "a: 1",
        "a:\n- b\n- c: 1\n  d: 2\ne: []\n",
        "a: >-\n  two\n  lines  # no comment\n\nb: 1\n",
        "# c\na:   # c\n  b: 'x: y' # c\n\n  # c\n  c: {d: [1, \"2\"], e: {}}\n",
        "a:\n  - - 1\n    - 2\n  -   b: 1\n      c: 2\n",
        "a: http://x:80/y#z\n",
        "a: é 😀\n",
    ],
)
def test_what_recipes_have_is_read_here(text):
    assert same(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "a", "- a", "a:", "a: b\n c", "a: &x 1", "a: *x", "a: !reset", "a: |\n  x", "a: >\n  x", "a: 'it''s'", 'a: "\\n"',
        "a: [b,\n  c]", "a: {{ x }}", "--- \na: 1", "a: 1\n---\nb: 1", "a\t: 1", "a: b: c", "a: >-\n\n  x", "a: >-\n  x\n   y",
        "'a': 1", "1: a", "a: 'b' c", "a: [b: c]", "a: @x", f"a: {'x' * 40_000}", "[" * 50, "a: " + "[" * 40 + "]" * 40,
        "\n".join("  " * depth + "a:" for depth in range(60)) + " 1",
    ],
)  # fmt: skip
def test_the_rest_is_left_to_libyaml(text):
    assert yaml_plain.compose(text) is None


def test_a_recipe_that_is_right_imports_no_yaml():
    code = """
import sys
from runner.cli.main import main
sys.argv = ["run-recipe", "recipes/security_sequential.yaml", "-n"]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
assert "yaml" not in sys.modules
"""
    top = disk.shipped("schema").parent
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=top, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
