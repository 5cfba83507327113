"""Every hint on rows and prompts is followed, and what it is about must be gone."""

import pytest
from following_rows import FORMS
from rows import PROMPTS, ROWS, faults, look


@pytest.mark.parametrize("name", ROWS)
def test_a_hint_on_rows_that_is_followed_makes_its_problem_go_away(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert look(ROWS[name])
    assert list(faults(ROWS[name])) == []


@pytest.mark.parametrize("name", PROMPTS)
def test_a_hint_on_prompts_that_is_followed_makes_its_problem_go_away(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert look(PROMPTS[name])
    assert list(faults(PROMPTS[name])) == []


def test_every_way_to_follow_a_hint_is_gone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hints = {p.hint for work in (*ROWS.values(), *PROMPTS.values()) for p in look(work)}
    unused = [p.pattern for p, _ in FORMS if not any(p.fullmatch(hint) for hint in hints)]
    assert unused == []
