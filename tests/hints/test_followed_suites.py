"""Every hint on a NAME.test.yaml is followed, and what it is about must be gone."""

import pytest
from suites import FORMS, SUITES, faults, look


@pytest.mark.parametrize("name", SUITES)
def test_a_hint_on_a_test_file_that_is_followed_makes_its_problem_go_away(
    name, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert look(SUITES[name])
    assert list(faults(SUITES[name])) == []


def test_every_way_to_follow_a_hint_on_a_test_file_is_gone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hints = {problem.hint for suite in SUITES.values() for problem in look(suite)}
    unused = [p.pattern for p, _ in FORMS if not any(p.fullmatch(hint) for hint in hints)]
    assert unused == []
