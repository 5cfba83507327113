"""Every hint of an import is followed, in the script or in the recipe, and does what it says."""

import pytest
from imports import FORMS, REFUSED, SCRIPTS, accepted, faults, refused, write


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_hint_of_an_import_that_is_followed_does_what_it_says(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert any(problem.hint for problem in write(SCRIPTS[name]).problems)
    assert list(faults(SCRIPTS[name])) == []


@pytest.mark.slow
def test_every_way_to_follow_a_hint_of_an_import_is_gone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hints = {problem.hint for script in SCRIPTS.values() for problem in write(script).problems}
    unused = [p.pattern for p, _ in FORMS if not any(p.fullmatch(hint) for hint in hints)]
    assert unused == []


@pytest.mark.parametrize("source", REFUSED)
def test_what_is_named_where_an_import_is_refused_is_accepted(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ways = list(REFUSED[source](refused(source)))
    assert ways
    assert [way for way in ways if accepted(way) != 0] == []
