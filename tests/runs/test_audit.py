"""What the audit says of parameters that were followed for some of the way."""

import argparse
import json
import types
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from runner.base.values import read_as
from runner.report.wording import success_text
from runner.runs.audit import (
    PARSED,
    READ,
    Verdict,
    compare,
    sentence,
    settle,
    summary,
    table,
    tally,
)
from runner.runs.manifest import StageRecord, State
from runner.worker.observed_namespace import ReadLog


def rows(**seen):
    return [
        Verdict(
            parameter=name,
            planned=1,
            parsed=1,
            effective=None,
            observed=False,
            seen=how,
            equal=True,
        )
        for name, how in seen.items()
    ]


def test_each_word_says_how_far_a_parameter_was_followed():
    assert sentence(rows(a=READ, b="trainer")) == (
        "2 of 2 parameters as planned (1 seen in use, 1 read by the tool)"
    )
    assert sentence(rows(a=READ, b=PARSED)) == (
        "2 of 2 parameters as planned (1 read by the tool, 1 only parsed); only parsed: b"
    )


def test_a_stage_that_stopped_at_its_parser_used_nothing():
    assert sentence(rows(a=PARSED)) == "1 of 1 parameter as planned (only parsed)"


def test_what_gives_way_is_named_with_what_takes_its_place():
    values = {"learning_rate": 1, "b": 2}
    found = compare(values, values, {}, {"b": READ}, {"learning_rate": "lr_schedule"})
    assert sentence(found).endswith("only parsed: learning_rate (lr_schedule is used instead)")
    used = compare(values, values, {}, dict.fromkeys(values, READ), {"learning_rate": "other"})
    assert "instead" not in sentence(used)


def test_the_terminal_says_the_same_as_the_audit():
    verdicts = rows(a=READ, b=PARSED)
    record = StageRecord(name="train", state=State.FINISHED, seconds=1.0, audit=tally(verdicts))
    assert sentence(verdicts).startswith(summary(record.audit))
    assert success_text(record) == (
        "finished in 1.0 s, 2 of 2 parameters as planned (1 read by the tool, 1 only parsed)"
    )
    before = replace(record, audit={"parameters": 2, "different": 0})  # of an earlier release
    assert success_text(before) == "finished in 1.0 s, 2 of 2 parameters as planned"


def test_what_differs_is_named_and_was_not_used():
    found = compare({"a": 1, "b": 2}, {"a": 1, "b": 2}, {"a": 3}, {"a": "trainer", "b": READ})
    assert sentence(found) == (
        "1 of 2 parameters as planned (1 read by the tool); not as planned: a"
    )
    assert [verdict.as_dict()["seen"] for verdict in found] == ["trainer", "tool"]
    assert table(found)[1].split() == ["a", "1", "1", "3", "trainer", "NO"]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(-2, 2)
    | st.sampled_from(["./data/codefix", "data/codefix", "data//codefix", "./a/", "a", ".", ""]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xy"), inner),
    max_leaves=4,
)


def as_seen(value):
    """Return a value as a tool's parser may hold it: a path for a text, a tuple for a list."""
    if isinstance(value, str):
        return PurePosixPath(value)
    return tuple(map(as_seen, value)) if isinstance(value, list) else value


@pytest.mark.slow
@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=4))
def test_a_verdict_that_was_written_down_is_read_back_as_it_was(pairs):
    planned = {str(at): one for at, (one, _) in enumerate(pairs)}
    parsed = {str(at): as_seen(other) for at, (_, other) in enumerate(pairs)}
    made = compare(planned, parsed, {}, {"0": READ})
    written = [settle(one, {"./data": "moved"}).as_dict() for one in made]
    read = read_as(json.loads(json.dumps(written, default=str)), list[Verdict])
    assert [one.equal for one in read] == [one.equal for one in made]
    assert (sentence(read), tally(read)) == (sentence(made), tally(made))


def test_a_path_in_another_spelling_is_the_same_once_and_for_all():
    (made,) = compare({"p": "./data/x"}, {"p": PurePosixPath("data/x")}, {}, {})
    assert made.equal
    assert read_as(json.loads(json.dumps(made.as_dict(), default=str)), Verdict).equal


@pytest.mark.parametrize("change", [{"equal": 1}, {"equal": "yes"}, {"parameter": 3}, {"seen": []}])
def test_what_is_no_verdict_is_not_read_as_one(change):
    said = {**rows(a=READ)[0].as_dict(), **change}
    with pytest.raises(ValueError, match="Expected"):
        read_as(said, Verdict)


def test_a_parsers_result_remembers_what_is_read_of_it_and_not_what_is_copied():
    taken = ReadLog()
    said = taken.wrap_namespace(argparse.Namespace(used=1, dead=2))
    assert said.used == 1
    assert taken.names == {"used"}
    assert vars(said) == {"used": 1, "dead": 2}
    assert taken.names == {"used"}


def test_what_is_only_shown_or_kept_is_not_taken():
    taken = ReadLog()
    taken.add("parsed before")
    said = taken.wrap_settings(types.SimpleNamespace(used=1, shown=2, dead=3))
    with taken.deaf():
        assert said.shown == 2
    vars(said)
    assert getattr(said, "used", None) == 1
    assert taken.names == {"used"}
