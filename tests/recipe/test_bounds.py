"""Answers have bounds: what is cut is counted, and what is too much is rejected by its limit."""

import pytest

from runner import workflow
from runner.base.problems import (
    MAX_LISTED,
    MAX_SHOWN,
    Mark,
    Problem,
    answering,
    limit_problems,
    listing,
    offer,
    pictures,
    suggest,
)
from runner.catalog import validate, validator
from runner.recipe import size, yaml
from runner.recipe.load import Overrides, load

HEAD = "version: 1\nstages:\n"


def many(count: int, severity: str = "error") -> list[Problem]:
    return [
        Problem(
            mark=Mark(file="r.yaml", line=at, column=1),
            message="wrong",
            rule="rule",
            hint="",
            notes=(),
            severity=severity,
        )
        for at in range(count)
    ]


def told(text: str, overrides: Overrides | None = None) -> list[tuple[str, str]]:
    found = load("r.yaml", lambda _: text.encode(), overrides)
    return [(one.rule, one.message) for one in found.problems]


def test_a_person_is_shown_so_many_problems_and_a_count_of_the_rest():
    problems = [*many(MAX_SHOWN + 7), *many(3, "warning")]
    rows = list(pictures(problems, {}))
    assert len(rows) == MAX_SHOWN + 1
    assert rows[-1] == "… and 7 errors, 3 warnings more; fix these first"
    assert list(pictures(many(MAX_SHOWN), {}))[-1].startswith("r.yaml:")


def test_a_program_is_given_more_and_a_problem_that_counts_the_rest():
    rows = limit_problems(many(MAX_LISTED + 2))
    assert len(rows) == MAX_LISTED + 1
    assert rows[-1].rule == "more-problems"
    assert rows[-1].message.startswith("2 errors more are not listed")
    assert rows[-1].severity == "error"
    assert list(limit_problems(many(3))) == many(3)


def test_an_answer_compares_so_much_and_then_suggests_nothing():
    known = [f"learning_rate_{at}" for at in range(2_000)]
    with answering():
        hints = [suggest(f"learning_rat_{at}", known, "none") for at in range(200)]
        with answering():  # part of the same answer
            assert suggest("learning_rat", known, "none") == "none"
    assert hints[0] != "none"
    assert hints[-1] == "none"
    assert suggest("learning_rat", known, "none") != "none"  # another answer


def test_words_longer_than_any_name_are_not_compared():
    assert suggest("x" * 101, ["x" * 101]) == ""
    assert offer("a", ["b" * 200]) == f"there are: {'b' * 100}…"
    assert listing(["b" * 200, "c"], 1) == f"{'b' * 100}…, … (1 more)"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (
            HEAD + "".join(f"  s{at}: {{}}\n" for at in range(size.MAX_STAGES + 1)),
            f"{size.MAX_STAGES + 1:,} stages",
        ),
        (
            "profiles:\n" + "".join(f"  p{at}: {{}}\n" for at in range(size.MAX_PROFILES + 1)),
            "1,001 profiles",
        ),
    ],
)
def test_more_than_anybody_writes_is_refused_by_its_limit(text, what):
    [(rule, message)] = told(text)
    assert rule == "too-large"
    assert f"this recipe has {what}; the limit is" in message


def test_more_overrides_than_the_limit_are_refused():
    sets = tuple(f"vars.a={at}" for at in range(size.MAX_OVERRIDES + 1))
    [(rule, message)] = told("vars: {a: 1}", Overrides(sets=sets))
    assert (rule, "1,001 overrides" in message) == ("too-large", True)


def test_more_files_than_the_limit_are_refused_and_told_once():
    def read(file: str) -> bytes:
        at = int(file.removesuffix(".yaml"))
        return f"version: 1\nextends: [{at + 1}.yaml, {at + 2}.yaml]\n".encode()

    [(problem)] = load("0.yaml", read).problems
    assert problem.rule == "too-large"
    assert problem.message == f"this recipe has more than {size.MAX_FILES} files"


@pytest.mark.slow
def test_more_values_than_a_file_may_hold_are_refused_where_they_begin_to_be():
    rows = "".join(f"  - {at}\n" for at in range(10))
    lists = "".join(f"l{at}:\n{rows}" for at in range(yaml.MAX_NODES // 10))
    [(rule, message)] = told(lists)
    assert rule == "too-large"
    assert f"more than {yaml.MAX_NODES:,} values: that is the limit" in message


def test_more_mistakes_than_anybody_mends_at_once_are_told_so():
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    found = validate.violations(schema, {f"k{at}": 1 for at in range(validator.MAX_ERRORS + 9)})
    assert len(found) == validator.MAX_ERRORS + 1
    assert [one.rule for one in found].count("more-problems") == 1


def test_expectations_have_a_limit():
    line = "      - metrics.train_loss < 1\n"
    [(rule, message)] = told(f"stages:\n  s:\n    expect:\n{line * (size.MAX_EXPECT + 1)}")
    assert (rule, "5,001 lines of 'expect'" in message) == ("too-large", True)


def test_a_value_that_could_not_be_read_is_no_path_of_an_output():
    text = """
version: 1
stages:
  two:
    tool: mlx_lm.lora
    params: {model: a/b, train: true, data: data, iters: 10, adapter_path: "\\0x"}
"""
    loaded = load("r.yaml", lambda _: text.encode())
    assert [one.rule for one in loaded.problems]
    assert loaded.recipe is not None
    resolver = workflow.compile_recipe(loaded.recipe, {}).resolver
    made = resolver.outputs(resolver.drafts["two"])
    assert all(isinstance(path, str) and "\0" not in path for path in made.values())
    assert "adapter_path" not in made
