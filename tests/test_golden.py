"""One bad file, one expected message: tests/golden/bad/NAME.yaml beside NAME.out.

A case is compiled as a user would. Its other inputs are comments at its top:
``# set: PATH=VALUE``, ``# profile: NAME``, ``# env: NAME=VALUE``; the rest of the environment is
empty. ``pytest --update-golden`` rewrites every .out. The files of good/ must compile without a
problem, and may say what must come out of them: ``# gives: STAGE.PARAMETER = VALUE as JSON``.
"""

import json
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path

import pytest

from runner import workflow
from runner.base.problems import picture, sort_problems

GOLDEN = Path(__file__).parent / "golden"
BAD = sorted(path.name for path in (GOLDEN / "bad").glob("*.yaml"))
GOOD = sorted(path.name for path in (GOLDEN / "good").glob("*.yaml"))


@dataclass
class Inputs:
    """What a case's comments say beside the recipe itself."""

    sets: list[str] = field(default_factory=list)
    profiles: list[str] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)
    gives: list[tuple[str, object]] = field(default_factory=list)


def inputs(file: str) -> Inputs:
    found = Inputs()
    for line in Path(file).read_bytes().decode("utf-8-sig", "replace").splitlines():
        if not line.startswith("#"):
            break
        kind, _, said = line.removeprefix("# ").partition(": ")
        if kind == "set":
            found.sets.append(said)
        elif kind == "profile":
            found.profiles.append(said)
        elif kind == "env":
            name, _, value = said.partition("=")
            found.environ[name] = value
        elif kind == "gives":
            path, _, value = said.partition(" = ")
            found.gives.append((path, json.loads(value)))
    return found


def told(file: str, said: Inputs) -> str:
    """Return every problem of a recipe as a person reads it."""
    loaded = workflow.read(file, said.profiles, said.sets, said.environ)
    problems = sort_problems(workflow.problems(loaded, said.environ))
    return "\n".join(picture(problem, loaded.sources) for problem in problems)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_recipe_is_told_what_is_wrong_and_where(name, monkeypatch, update_golden):
    monkeypatch.chdir(GOLDEN / "bad")
    out = Path(name).with_suffix(".out")
    message = told(name, inputs(name))
    assert message, f"{name} passes without a word"
    if update_golden:
        out.write_text(f"{message}\n", encoding="utf-8")
    assert f"{message}\n" == out.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", GOOD)
def test_a_good_recipe_compiles_without_a_word(name, monkeypatch):
    monkeypatch.chdir(GOLDEN / "good")
    said = inputs(name)
    assert told(name, said) == ""
    recipe = workflow.load(name, said.profiles, said.sets, said.environ)
    plan = workflow.plan(workflow.compile_recipe(recipe, said.environ), recipe)
    for path, expected in said.gives:
        stage, *steps = path.split(".")
        value = reduce(lambda at, step: at[step], steps, plan.stage(stage).params)
        assert (type(value), value) == (type(expected), expected), path


def test_every_expected_message_belongs_to_a_case():
    outs = {path.stem for path in (GOLDEN / "bad").glob("*.out")}
    assert outs == {Path(name).stem for name in BAD}
