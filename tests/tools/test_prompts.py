"""Prompts and answers as values: what a line says, what an answer is worth."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.tools.evaluate.grade import Grade, Scores, last_number, score, verdicts
from runner.tools.evaluate.prompts import AnswerRule, Category, Question, read
from runner.tools.evaluate.prompts_file import survey


def search(pattern, text):
    return re.search(pattern, text) is not None


def held(rule, answer):
    kind, wanted, *options = rule if isinstance(rule, tuple) else (rule,)
    said = {kind: wanted, **(options[0] if options else {})}
    found = read({"prompt": "p", "rules": [said]})
    assert isinstance(found, Question), found
    return verdicts(found.rules, answer, search)[0].held


@pytest.mark.parametrize(
    ("rule", "yes", "no"),
    [
        (("contain", "CWE-89"), "It is CWE-89.", "It is cwe-89."),
        (("contain", "straße", {"ignore_case": True}), "STRASSE", "Strabe"),
        (("not_contain", "eval("), "literal_eval (x)", "eval(x)"),
        (("match", r"(?i)cwe-\d+\b"), "cwe-79", "CWE-x"),
        (("not_match", r"(?s)a.*b"), "b\na", "a\nb"),
        (("exact", "42"), " 42\n", "42."),
        (("exact", "Yes", {"ignore_case": True}), "yes", "yes!"),
        (("number", 28), "30 - 2 = 28", "28 of 30"),
        (("number", 0.2, {"tolerance": 0.1}), "about 0.3", "about 0.31"),
        (("number", -5), "it is -5 degrees", "between 3-5"),
        (("number", 1234.5), "1,234.5", "1,234,5"),
        (("number", 1e-5), "lr 1e-5", "lr 1e-4"),
        (("number", 7), "7", "no number"),
    ],
)
def test_a_rule_holds_or_not(rule, yes, no):
    assert held(rule, yes) is True
    assert held(rule, no) is False


@given(st.floats(allow_nan=False, allow_infinity=False), st.text("abc. \n"))
def test_the_last_number_is_read_as_it_is_written(value, after):
    assert last_number(f"1 or 2: {value!r} {after}".rstrip(". \n")) == value


def test_a_huge_number_in_an_answer_is_near_to_nothing():
    assert held(("number", 1.0, {"tolerance": 1e300}), f"1{'0' * 400}") is False


def flaws(text):
    found = read(json.loads(text))
    assert isinstance(found, list), found
    return [f"{flaw.message} ({flaw.hint})" for flaw in found]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("3", "is a number, not an object"),
        ('{"promt": "x", "rules": [{"exact": "a"}]}', "'promt' (did you mean 'prompt'?)"),
        ('{"prompt": "x", "contain": "y"}', 'write "rules": [{"contain": …}]'),
        ('{"rules": [{"exact": "a"}]}', "has no question"),
        ('{"prompt": "x", "text": "y"}', "has both prompt and text"),
        ('{"prompt": " "}', "has an empty prompt"),
        ('{"prompt": ["x"]}', "has a list as prompt, not a text"),
        ('{"messages": []}', "has a list as messages, not a list of messages"),
        ('{"messages": ["x"]}', "has no message as messages[0]"),
        ('{"messages": [{"role": "usr", "content": "x"}]}', "did you mean 'user'?"),
        ('{"messages": [{"role": "assistant", "content": "x"}]}', "ends with an answer"),
        ('{"prompt": "x", "category": "Code fix"}', "write code_fix"),
        ('{"prompt": "x", "category": 3}', "has 3 as category, not a text"),
        ('{"prompt": "x", "id": 3}', "has 3 as id, not a text"),
        ('{"prompt": "x", "weight": 0}', "has 0 as weight, not a number above 0"),
        ('{"prompt": "x", "weight": true}', "has true as weight"),
        ('{"prompt": "x", "rules": {"contain": "y"}}', 'write "rules": [{"contain": "…"}]'),
        ('{"prompt": "x", "rules": ["y"]}', "has 'y' as rules[0], not an object"),
        ('{"prompt": "x", "rules": [{}]}', "has no rule in rules[0]"),
        ('{"prompt": "x", "rules": [{"match": "a", "exact": "b"}]}', "has match and exact"),
        ('{"prompt": "x", "rules": [{"contains": "a"}]}', "(did you mean 'contain'?)"),
        ('{"prompt": "x", "rules": [{"contain": ""}]}', "which every answer contains"),
        ('{"prompt": "x", "rules": [{"match": "a("}]}', "has an invalid regular expression"),
        ('{"prompt": "x", "rules": [{"number": "3"}]}', "has '3' as rules[0].number, not a number"),
        ('{"prompt": "x", "rules": [{"exact": 3}]}', "has 3 as rules[0].exact, not a text"),
        ('{"prompt": "x", "rules": [{"match": "a", "ignore_case": true}]}', "write (?i)"),
        ('{"prompt": "x", "rules": [{"exact": "a", "tolerance": 1}]}', "'exact' does not read"),
        ('{"prompt": "x", "rules": [{"number": 1, "tolerance": -1}]}', "at least 0"),
        ('{"prompt": "x", "rules": [{"exact": "a", "ignore_case": 1}]}', "true or false"),
        ('{"prompt": "x", "rules": [{"exact": "a", "weight": "2"}]}', "rules[0].weight"),
    ],
)
def test_a_bad_line_is_told_with_the_way_out(row, said):
    assert any(said in one for one in flaws(row)), flaws(row)


def test_a_line_without_a_prompt_is_a_category():
    assert read({"category": "a", "weight": 2}) == Category(name="a", rules=(), weight=2.0)


RULES = tuple(AnswerRule(kind="contain", target="x", weight=weight) for weight in (3.0, 1.0))


def test_the_score_of_an_answer_is_the_share_of_its_rules_by_weight():
    found = [Grade(rule=RULES[0], held=True), Grade(rule=RULES[1], held=None)]
    assert float(score(found)) == 0.75


def added(*rows, weights=()):
    scores = Scores(
        {name: Category(name=name, rules=(), weight=weight) for name, weight in weights}
    )
    for category, weight, is_held in rows:
        question = Question(
            key="prompt", prompt="p", id=None, category=category, rules=RULES[:1], weight=weight
        )
        scores.add(question, [Grade(rule=RULES[0], held=is_held)])
    return scores.figures()


def test_seven_of_ten_are_not_below_0_7():
    figures = added(*(("", 0.1, at < 7) for at in range(10)))
    assert figures["score"] >= 0.7
    assert figures["passed"] >= 0.7


def test_categories_count_by_their_weight_and_not_by_their_rows():
    rows = [("a", 1, True), ("b", 3, False), ("b", 1, True), ("b", 1, None)]
    figures = added(*rows, weights=[("a", 2)])
    assert figures["score_a"] == 1
    assert figures["score_b"] == 0.2
    assert figures["score"] == 11 / 15
    assert (figures["rows"], figures["undecided"], figures["passed"]) == (4, 1, 0.5)
    assert figures["categories"]["b"] == {"score": 0.2, "weight": 1, "rows": 3, "passed": 1}


def test_a_pattern_that_is_given_up_is_no_verdict_and_counts_as_not_held():
    def give_up(*_):
        raise TimeoutError

    for kind in ("match", "not_match"):
        (found,) = verdicts((AnswerRule(kind=kind, target="x"),), "x", give_up)
        assert found.held is None
        assert score([found]) == 0


def problems(tmp_path, *lines):
    (tmp_path / "p.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = survey(tmp_path / "p.jsonl")
    return [f"{one.mark.line}:{one.mark.column}: {one.message}" for one in found.problems], found


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([""], "1:1: the line has no question"),
        (['{"prompt": "x"}'], "1:1: the line has no rule"),
        (['{"prompt": "x", "rules": [{"exact": "a"}]}', "{"], "2:2: the line is not JSON"),
        (['{"prompt": "x", "rules": [{"match": "["}]}'], "1:37: the line has an invalid regular"),
        (
            ['{"prompt": "x", "rules": [{"exact": "a"}]}', '{"category": "b"}'],
            "2:1: the line defines category 'b', but no question uses it",
        ),
        (
            ['{"prompt": "x", "category": "a"}', '{"category": "a"}'],
            "1:1: the line has no rule",
        ),
        (
            ['{"category": "a"}', '{"category": "a"}'],
            "2:14: the line defines category 'a' again, first defined at line 1",
        ),
        (
            [
                '{"prompt": "x", "rules": [{"exact": "a"}]}',
                '{"prompt": "x", "category": "a", "rules": [{"exact": "a"}]}',
            ],
            "1:1: the line has no category, but others do",
        ),
    ],
)
def test_what_only_the_whole_file_shows_is_told_at_its_line(lines, said, tmp_path):
    found, _ = problems(tmp_path, *lines)
    assert any(one.startswith(said) for one in found), found


def test_of_very_many_problems_the_first_are_told_and_the_rest_counted(tmp_path):
    found, _ = problems(tmp_path, *["3"] * 30)
    assert len(found) == 21
    assert found[-1] == "1:1: 10 more problems are not shown"


def test_a_category_may_stand_after_its_prompts_and_its_rules_come_first(tmp_path):
    found, file = problems(
        tmp_path,
        '{"prompt": "x", "category": "a", "rules": [{"exact": "own"}]}',
        "",
        '{"prompt": "y", "category": "a"}',
        '{"prompt": "z", "category": "b", "rules": [{"exact": "b"}]}',
        '{"category": "a", "rules": [{"exact": "shared"}]}',
    )
    assert found == []
    asked = {line: [rule.target for rule in one.rules] for line, one in file.questions()}
    assert asked == {1: ["shared", "own"], 3: ["shared"], 4: ["b"]}
    assert [line for line, _ in file.questions(1)] == [1, 4]
    assert (file.count(), file.count(1)) == (3, 2)
