"""What is parsed without Jinja is parsed as Jinja does; everything else is left to it."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment, TemplateSyntaxError

from runner.recipe.template import parser
from runner.system import files as disk

WORDS = [
    "a", "vars", "stage", "x_1", "int", "round", "if", "else", "not", "in", "is", "and", "or", "true", "None", "none",
    "False", "0", "1", "20", "007", "1.5", ".5", "1.", "1e3", "2E-4", "1_0", "0x1", "9" * 25, "'t'", '"u"', "'a b'",
    "'\\n'", "'it', s'", "é", "'é'", ".", "..", ",", ",", "(", ")", "(", ")", "[", "]", "{", "}", "|", "|", "=", "==",
    "!=", "<", "<=", ">", ">=", "<>", "+", "-", "*", "/", "//", "%", "**", "~", ":", "!", "@", "$", "\n", "\r", "\t",
    " ", "  ", "\u00a0", "#", "-}}", "%}", "*a", "**a",
]  # fmt: skip
NAMES = st.sampled_from(["a", "vars.x", "stages.train.adapter_path", "b_2", "x.if"])
LITERALS = st.sampled_from(
    ["0", "12", "1.5", "1e-5", "2.5E+3", "'t'", '"it\'s"', "true", "None", "[]", "[1, 'a',]"]
)
SIGNS = st.sampled_from(
    [
        "+",
        "-",
        "*",
        "/",
        "//",
        "%",
        "**",
        "~",
        "==",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        "in",
        "not in",
        "and",
        "or",
        "|",
        "if",
    ]
)


def _larger(inner):
    return st.one_of(
        st.tuples(inner, SIGNS, inner).map(" ".join),
        st.tuples(inner, SIGNS, inner).map("".join),
        st.tuples(st.sampled_from(["-", "+", "not ", "- "]), inner).map("".join),
        inner.map("({})".format),
        st.tuples(inner, inner, inner).map("{0[0]} if {0[1]} else {0[2]}".format),
        st.tuples(inner, inner).map("[{0[0]}, {0[1]}]".format),
        st.tuples(inner, inner).map("{0[0]}[{0[1]}]".format),
        st.tuples(inner, inner).map("f({0[0]}, k={0[1]})".format),
        st.tuples(inner, inner).map("{0[0]} | round({0[1]}, method='up')".format),
        st.tuples(
            inner,
            st.sampled_from([" | int", "|float", " | f.g", " is defined", ".real", " .x", "()"]),
        ).map("".join),
    )


LIKELY = st.recursive(NAMES | LITERALS, _larger, max_leaves=8)
ANYTHING = st.lists(st.sampled_from(WORDS), max_size=7).flatmap(
    lambda words: st.sampled_from([" ".join(words), "".join(words)])
)
JINJA = Environment()  # it renders nothing


def shape(node):
    if isinstance(node, list):
        return [shape(one) for one in node]
    if not hasattr(node, "iter_child_nodes"):
        return type(node).__name__, repr(node)
    fields = [(name, shape(getattr(node, name))) for name in node.fields if name != "ctx"]
    return type(node).__name__, *fields


def by_jinja(text):
    """Jinja's one expression, None where it finds another number of them."""
    body = JINJA.parse("{{" + text + "}}").body
    nodes = [node for output in body for node in getattr(output, "nodes", [output])]
    return nodes[0] if len(nodes) == 1 else None


def same(text):
    ours = parser.parse(text)
    if ours is not None:
        theirs = by_jinja(text)  # raises TemplateSyntaxError
        assert shape(ours) == shape(theirs), text
        assert [type(one).__name__ for one in ours.iter_child_nodes()] == [
            type(one).__name__ for one in theirs.iter_child_nodes()
        ]
    return ours is not None


@given(LIKELY)
def test_what_is_likely_is_parsed_as_jinja_does(text):
    same(text)


@given(ANYTHING)
def test_of_anything_else_nothing_is_parsed_otherwise(text):
    same(text)


@pytest.mark.parametrize(
    "text",
    [
        " vars.x ",
        "vars.alpha / vars.rank",
        " stage.params.iters // stage.params.grad_accumulation_steps - vars.warmup ",
        "not vars.publish",
        "metrics.test_loss <= stages.test.metrics.test_loss * vars.most and a > 1e-3",
        "vars.a if vars.b not in ['x', \"y\"] else env('HOME') ~ '/x'",
        "vars.names | map('upper') | join(', ')",
        "stages.a.params['rank'] ** 2",
        "-x\n + 1",
    ],
)
def test_what_recipes_have_is_parsed_here(text):
    assert same(" " + text)


@pytest.mark.parametrize(
    "text",
    [
        "", "-x ", "a b", "a is defined", "a[1:]", "{'a': 1}", "(1, 2)", "'a' 'b'", "'\\n'", "x.1", "1_000", "é",
        "a | f.g", "f(*a)", "f(k=1, 2)", "a if b", "a if", "=1", "(" * 31 + "1" + ")" * 31, "- " * 40 + "1", "not " * 40 + "a",
    ],
)  # fmt: skip
def test_the_rest_is_left_to_jinja(text):
    assert parser.parse(text) is None


@pytest.mark.slow
def test_a_recipe_that_computes_imports_no_jinja():
    code = """
import sys
from runner.cli.main import main
sys.argv = ["run-recipe", "recipes/security_sequential.yaml", "-n"]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
assert "jinja2" not in sys.modules
"""
    top = disk.shipped("schema").parent
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=top, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_mistake_is_one_to_jinja_too():
    with pytest.raises(TemplateSyntaxError):
        by_jinja("a b")
