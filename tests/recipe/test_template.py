"""A text and a scope in, a typed value out."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.recipe.template.expressions import evaluate, names
from runner.recipe.template.render import fill, is_template, literal, pieces
from runner.recipe.template.sandbox import Scope, TemplateError

SCOPE = {
    "vars": {
        "rank": 16,
        "rate": 5e-6,
        "on": True,
        "none": None,
        "text": "abc",
        "keys": ["q", "v"],
        "lora": {"alpha": 32},
        "items": "not the method",
    }
}


@pytest.mark.parametrize(
    "text, value",
    [
        ("{{ vars.rank }}", 16),
        ("{{vars.rank}}", 16),
        ("{{ vars.rate }}", 5e-6),
        ("{{ vars.on }}", True),
        ("{{ vars.none }}", None),
        ("{{ vars.keys }}", ["q", "v"]),
        ("{{ vars.lora }}", {"alpha": 32}),
        ("{{ vars.lora.alpha / vars.rank }}", 2.0),
        ("{{ vars.rank // 3 }}", 5),
        ("{{ vars.rank * 2 }}", 32),
        ("{{ vars.rank > 8 and not false }}", True),
        ("{{ 4 if vars.on else 2 }}", 4),
        ("{{ vars.keys[0] }}", "q"),
        ("{{ vars['rank'] }}", 16),
        ("{{ vars.keys | length }}", 2),
        ("{{ vars.text | upper }}", "ABC"),
        ("{{ '007' }}", "007"),
        ("{{ 'true' }}", "true"),
        ("{{ '}}' }}", "}}"),
        ("{{ {'a': {'b': 1}} }}", {"a": {"b": 1}}),
        ("{{ vars.items }}", "not the method"),
        ("{{ (1, 2) }}", [1, 2]),
    ],
)
def test_one_whole_expression_keeps_its_type(text, value):
    assert (type(fill(text, SCOPE)), fill(text, SCOPE)) == (type(value), value)


@pytest.mark.parametrize(
    "text, value",
    [
        ("r{{ vars.rank }}", "r16"),
        (" {{ vars.rank }}", " 16"),
        ("{{ vars.rank }}\n", "16\n"),
        ("{{ vars.rank }}{{ vars.rank }}", "1616"),
        ("{{ vars.on }}/{{ vars.rate }}", "true/5e-06"),
        ("no template }}", "no template }}"),
        ("{ {x} }", "{ {x} }"),
    ],
)
def test_an_expression_inside_text_makes_text(text, value):
    assert fill(text, SCOPE) == value


@pytest.mark.parametrize(
    "text, message",
    [
        ("{{ vars.rnak }}", "'rnak'"),
        ("{{ var.rank }}", "'var' is not defined"),
        ("{{ rank }}", "'rank' is not defined"),
        ("{{ vars.rank.x }}", "whole number"),
        ("{{ vars.rank / 0 }}", "divides by zero"),
        ("{{ vars.text * 0.5 }}", "vars.text"),
        ("a{{ vars.keys }}", "vars.keys is a list and cannot be part of a text"),
        ("a{{ vars.none }}", "vars.none is null and cannot be part of a text"),
        ("{{ vars.rank", "never closed"),
        ("{{ vars.rank }", "never closed"),
        ("{{ 'a }}", "never closed"),
        ("{{ }}", ""),
        ("{{ 1 + }}", "1 +"),
        ("{{ x | nofilter }}", "nofilter"),
        ("{% if true %}1{% endif %}", "{%"),
        ("a {# note #}", "{#"),
        ("{{ lambda: 1 }}", ""),
        ("{{ 2 ** 10000000 }}", "too large"),
        ("{{ 'x' * 10000000 }}", "too large"),
        ("{{ [0] * 10000000 }}", "too large"),
        ("{{ '%0100000d' % 1 }}", "too large"),
        ("{{ range(1000000000) }}", ""),
        ("{{ 10 ** 5000 }}", "too large"),
        ("{{ 1e999 }}", "too large"),
        ("{{ vars.text.center(1000000000) }}", "center"),
        ("{{ vars.text | center(1000000000) }}", "no filter 'center'"),
        ("{{ vars.text.zfill(1000000000) }}", "zfill"),
        ("{{ '{:>1000000000}'.format(1) }}", "format"),
        ("{{ ('a' * 10000) | replace('', 'b' * 10000) }}", "too large"),
        ("{{ ('a' * 10000).replace('', 'b' * 10000) }}", "too large"),
        ("{{ range(10000) | join('a' * 10000) }}", "too large"),
        ("{{ vars.text | truncate(2) }}", "it silently drops text"),
        ("{{ " + "(" * 500 + "1" + ")" * 500 + " }}", "too large"),
    ],
)
def test_a_template_that_cannot_be_filled_in_says_why(text, message):
    with pytest.raises(TemplateError) as caught:
        fill(text, SCOPE)
    assert message in str(caught.value)


def test_a_misspelt_name_is_answered_with_the_right_one():
    with pytest.raises(TemplateError) as caught:
        fill("{{ vars.rnak }}", SCOPE)
    assert caught.value.hint == "did you mean 'rank'?"


@pytest.mark.parametrize(
    "expression",
    [
        "vars.__class__",
        "vars.rank.__class__",
        "''.__class__.__mro__",
        "vars.text.__class__.__base__.__subclasses__()",
        "vars.text.format.__globals__",
        "'{0.__class__}'.format(1)",
        "vars.text | attr('__class__')",
        "vars['__class__']",
        "vars.keys.append(1)",
        "vars.keys.clear()",
        "vars.lora.update({'alpha': 1})",
        "self",
        "cycler",
        "lipsum()",
        "joiner()",
        "namespace()",
        "open('x')",
        "__import__('os')",
        "[] | random",
    ],
)
def test_the_sandbox_has_no_way_out(expression):
    with pytest.raises(TemplateError):
        fill("{{ " + expression + " }}", SCOPE)


def test_filling_in_changes_nothing_in_the_scope():
    before = repr(SCOPE)
    fill("{{ vars.keys + ['z'] }}", SCOPE)
    fill("{{ vars.keys | sort(reverse=true) }}", SCOPE)
    assert repr(SCOPE) == before


def test_a_text_is_split_at_the_braces_that_close_it():
    assert [getattr(part, "text", part) for part in pieces("a{{ {'}}': 1} }}b{{ x }}")] == [
        "a",
        " {'}}': 1} ",
        "b",
        " x ",
    ]


@pytest.mark.parametrize("text", ["{{ x }}", "a {% b", "{# c"])
def test_anything_that_looks_like_a_template_is_one(text):
    assert is_template(text)


def test_braces_of_json_are_no_template():
    assert not is_template('{"a": {"b": 1}}')


def test_an_expression_tells_which_names_it_reads():
    text = "metrics.test_loss <= stages.before.metrics.test_loss * vars.slack and min > 0"
    assert names(text) == {
        ("metrics", "test_loss"),
        ("stages", "before", "metrics", "test_loss"),
        ("vars", "slack"),
        ("min",),
    }


@given(st.text(max_size=60))
def test_no_text_raises_anything_but_a_template_error(text):
    with suppress(TemplateError):
        fill(text, SCOPE)


@given(st.text(alphabet="vars.rankeys[]()'\"|+-*/%~<>=!, 01{}", max_size=24))
def test_no_expression_raises_anything_but_a_template_error(text):
    with suppress(TemplateError):
        evaluate(text, SCOPE)


@pytest.mark.parametrize(
    "text, value",
    [
        ("{{ vars.rate * 0.2 }}", 1e-6),
        ("{{ 0.1 + 0.2 }}", 0.3),
        ("{{ [0.1 * 3] }}", [0.3]),
        ("{{ 0.1234567890123456 }}", 0.1234567890123456),
    ],
)
def test_what_is_computed_is_rounded_to_15_digits(text, value):
    assert fill(text, SCOPE) == value


def test_a_subscript_is_a_name_and_so_is_a_branch_not_taken():
    text = "metrics['test_loss'] < (vars.a if vars.b else vars['c'].d)"
    assert names(text) == {
        ("metrics", "test_loss"),
        ("vars", "a"),
        ("vars", "b"),
        ("vars", "c", "d"),
    }


class Group(Scope):
    title = "group"

    def lookup(self, name):
        return 1

    def names(self):
        return ("one", "two")


@pytest.mark.parametrize(
    "expression",
    ["'a' ~ g", "'%s' % g", "g + 1", "1 + g", "g | length", "g == 1", "g | list", "1 if g else 2"],
)
def test_a_group_of_values_is_no_value(expression):
    with pytest.raises(TemplateError) as caught:
        evaluate(expression, {"g": Group()})
    assert caught.value.hint == "add one of: .one, .two"


@given(st.text("${ }%#vars.t1", max_size=40))
def test_any_text_can_be_written_so_that_it_is_filled_in_as_it_is(text):
    assert fill(literal(text), SCOPE) == text


@pytest.mark.parametrize(
    "text, message, hint",
    [
        ("${{ vars.rank }}", "'${{' is GitHub syntax", "write {{ vars.rank }};"),
        ("a/${{ vars.rank }}/{{ vars.on }}", "'${{' is GitHub syntax", "write {{ vars.rank }};"),
        ("{ vars.rank }", "'{ vars.rank }' is not a template", "write {{ vars.rank }}"),
        ("{{ vars.rank }}/{stages.a.data}", "'{stages.a.data}' is", "write {{ stages.a.data }}"),
        ("${recipe.dir}/x", "'${recipe.dir}' is", "write {{ recipe.dir }}"),
    ],
)
def test_braces_of_other_programs_are_told(text, message, hint):
    assert is_template(text)
    with pytest.raises(TemplateError) as told:
        fill(text, SCOPE)
    assert str(told.value).startswith(message)
    assert told.value.hint.startswith(hint)


@pytest.mark.parametrize("text", ["{prompt}", "{vars}", "$x", "{a.b}", "{ }", "{'vars.x': 1}"])
def test_braces_that_may_be_meant_are_text(text):
    assert not is_template(text)
