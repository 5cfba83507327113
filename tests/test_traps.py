"""docs/traps.md and docs/rules.md say what is true of the rules and the tests."""

import re
from pathlib import Path

import pytest

import runner.data.rows
from runner.catalog import load
from runner.lint.pages import page
from runner.lint.rule import rules

ROOT = Path(__file__).parent.parent
TRAPS = ROOT / "docs" / "traps.md"
ROWS = {
    cells[0]: cells[1:]
    for line in TRAPS.read_text(encoding="utf-8").splitlines()
    if (cells := [cell.strip() for cell in line.strip("|").split("|")])[0].startswith("T")
}
FACTS = {
    name.upper().replace("B", "b")
    for name in re.findall(
        r"@fact\ndef (t\d+b?)\(",
        (ROOT / "tests" / "scenarios" / "trapped.py").read_text(encoding="utf-8"),
    )
}
NUMBERS = [f"T{n:02d}" for n in range(1, 97)] + ["T21b", "T25b"]
PLACES = (
    "construction",
    "budget",
    "recipe",
    "schema",
    "rule",
    "data check",
    "parse",
    "trainer",
    "watch",
    "end",
)


def named(kind, text):
    """The slugs after a word: ``rule `a`, rule `b```, ``data check `a`, `b```."""
    for found in re.finditer(rf"\b{kind} ((?:`[a-z-]+`(?:, )?)+)", text):
        yield from re.findall(r"`([a-z-]+)`", found[1])


def test_every_trap_has_its_row():
    assert sorted(ROWS) == sorted(NUMBERS)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_row_names_places_and_rules_that_exist(number):
    trap, caught, _, _ = ROWS[number]
    assert trap
    assert caught.startswith(PLACES)
    assert "not caught" not in caught
    for slug in named("rule", caught):
        assert number in rules()[slug].traps
    source = Path(runner.data.rows.__file__).read_text(encoding="utf-8")
    for slug in named("data check", caught):
        assert f'"{slug}"' in source


def exists(number, shown):
    """Say whether a test is there, and a case of it is of this trap."""
    file, name, case = re.fullmatch(r"`([\w/.]+)::(\w+)(?:\[([\w.-]+)\])?`", shown).groups()
    source = (ROOT / file).read_text(encoding="utf-8")
    if name == "test_a_rule_finds_its_case":
        return number in rules()[case].traps
    there = not case or (ROOT / "tests" / "golden" / "bad" / case).is_file()
    return f"def {name}(" in source and there


@pytest.mark.parametrize("number", NUMBERS)
def test_a_row_names_a_test_that_exists(number):
    assert exists(number, ROWS[number][2])


@pytest.mark.parametrize("number", NUMBERS)
def test_mlx_lm_is_shown_to_fall_for_it(number):
    shown = ROWS[number][3]
    assert (shown == "yes") is (number in FACTS)
    assert shown == "yes" or exists(number, shown)


@pytest.mark.parametrize("slug", sorted(rules()))
def test_every_trap_a_rule_stands_for_names_the_rule(slug):
    for number in rules()[slug].traps:
        assert slug in named("rule", ROWS[number][1])


def test_the_page_of_the_rules_is_fresh():
    text = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    assert text == page(load.catalog()), (
        "python -c 'from runner.catalog.load import catalog; from runner.lint.pages import page; print(page(catalog()), end=\"\")' > docs/rules.md"
    )
