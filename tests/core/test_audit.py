"""What the audit says of parameters that were followed for some of the way."""

import argparse
import types
from dataclasses import replace

from runner.child.taken import Taken
from runner.core.audit import PARSED, TAKEN, Verdict, compare, sentence, summary, table, tally
from runner.core.manifest import StageRecord, State
from runner.core.telling import finished


def rows(**seen):
    return [Verdict(name, 1, 1, seen=how) for name, how in seen.items()]


def test_only_what_was_taken_past_the_parser_has_reached_mlx():
    assert sentence(rows(a=TAKEN, b="trainer")) == "2 of 2 parameters as planned, 2 reached MLX"
    assert sentence(rows(a=TAKEN, b=PARSED)) == (
        "2 of 2 parameters as planned, 1 reached MLX; not asked for: b"
    )


def test_a_stage_that_stopped_at_its_parser_used_nothing():
    assert sentence(rows(a=PARSED)) == "1 of 1 parameter as planned, nothing reached MLX"


def test_the_terminal_says_the_same_as_the_audit():
    verdicts = rows(a=TAKEN, b=PARSED)
    record = StageRecord("train", State.FINISHED, seconds=1.0, audit=tally(verdicts))
    assert sentence(verdicts).startswith(summary(record.audit))
    assert finished(record) == "finished in 1.0 s, 2 of 2 parameters as planned, 1 reached MLX"
    before = replace(record, audit={"parameters": 2, "different": 0})  # of an earlier release
    assert finished(before) == "finished in 1.0 s, 2 of 2 parameters as planned"


def test_what_differs_is_named_and_has_not_reached_mlx():
    found = compare({"a": 1, "b": 2}, {"a": 1, "b": 2}, {"a": 3}, {"a": "trainer", "b": TAKEN})
    assert sentence(found) == "1 of 2 parameters as planned, 1 reached MLX; not as planned: a"
    assert [verdict.as_dict()["seen"] for verdict in found] == ["trainer", "tool"]
    assert table(found)[1].split() == ["a", "1", "1", "3", "trainer", "NO"]


def test_a_parsers_result_remembers_what_is_read_of_it():
    taken = Taken()
    said = taken.parsed(argparse.Namespace(used=1, dead=2))
    assert said.used == 1
    assert taken.names == {"used"}
    assert vars(said) == {"used": 1, "dead": 2}
    assert taken.names == {"used", "dead"}


def test_what_is_only_shown_or_kept_is_not_taken():
    taken = Taken()
    taken.add("parsed before")
    said = taken.merged(types.SimpleNamespace(used=1, shown=2, dead=3))
    with taken.deaf():
        assert said.shown == 2
    vars(said)
    assert getattr(said, "used", None) == 1
    assert taken.names == {"used"}
