"""What a tool's own code reads of its parser's result: only what it names itself."""

import argparse

from runner.worker.observed_namespace import ReadLog

DEFAULTS = {"seed": 0, "rate": 1.0}


def parsed():
    log = ReadLog()
    return log, log.wrap_namespace(argparse.Namespace(seed=None, rate=2.0, name="n"))


def test_a_value_that_code_names_is_read():
    log, args = parsed()
    assert args.rate == 2.0
    assert getattr(args, "name", None) == "n"
    assert log.names == {"rate", "name"}


def test_a_default_that_is_copied_in_a_loop_is_not():
    log, args = parsed()
    for key, value in DEFAULTS.items():
        if getattr(args, key, None) is None:
            setattr(args, key, value)
    other = argparse.Namespace(seed=1)
    assert other.seed == 1, "a name that stands here, and is of another one"
    assert {**vars(args)} == {"seed": 0, "rate": 2.0, "name": "n"}
    assert log.names == set()
