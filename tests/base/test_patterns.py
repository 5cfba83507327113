"""Every pattern of the program compiles, and is compiled when it is first asked."""

import importlib
import pkgutil
import re

import pytest

import runner
from runner.base import patterns
from runner.base.patterns import pattern

MODULES = [
    one.name
    for one in pkgutil.walk_packages(runner.__path__, "runner.")
    if not one.name.startswith(("runner.tools", "runner.worker", "runner.__main__"))
]


@pytest.mark.parametrize("name", MODULES)
def test_every_pattern_of_a_module_compiles(name):
    for value in vars(importlib.import_module(name)).values():
        if isinstance(value, patterns._Uncompiled):
            assert isinstance(value.pattern, str | bytes)


def test_a_pattern_does_what_re_does():
    ours, theirs = pattern("(a)b", re.IGNORECASE), re.compile("(a)b", re.IGNORECASE)
    assert [one.groups() for one in ours.finditer("abAB")] == [
        one.groups() for one in theirs.finditer("abAB")
    ]
    assert ours.sub("x", "zAb") == "zx"
    assert ours.search == ours.search
    assert (ours.pattern, ours.flags, ours.groups) == (theirs.pattern, theirs.flags, theirs.groups)


def test_it_is_compiled_at_its_first_use(monkeypatch):
    wrong = pattern("(")
    with pytest.raises(re.error):
        wrong.search("")
    right = pattern("a")
    assert right.search("a")
    monkeypatch.setattr(re, "compile", lambda *_: pytest.fail("compiled again"))
    assert right.search("a")
