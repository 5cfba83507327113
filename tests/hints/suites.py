"""Test files with a mistake each, whose hints are followed; and what is said of them."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from edits import Pair, at, pairs, put, remove, rename, value
from following import Case, Place
from following import follow as follow_words

from runner.base.problems import Problem
from runner.testing import cases

RECIPE = """version: 1
vars: {ratio: 0.15}
stages:
  mix:
    tool: data.mix
    params: {primary: a, replay: b, ratio: "{{ vars.ratio }}"}
profiles:
  half: {vars: {ratio: 0.5}}
"""
ONE = "tests: {one: {stages: [mix]}}\n"


@dataclass(frozen=True)
class Suite:
    """A test file beside the recipe ``recipe.yaml``."""

    text: str
    file: str = "recipe.test.yaml"


SUITES = {
    "empty": Suite("# nothing\n"),
    "cases": Suite("cases: {one: {stages: [mix]}}\n"),
    "stages of no case": Suite("stages: [mix]\n"),
    "params of no case": Suite("params: {mix.seed: 0}\n"),
    "expect of no case": Suite("expect: [vars.ratio > 0]\n"),
    "problems of no case": Suite("problems: []\n"),
    "no cases": Suite("tests: {}\n"),
    "a list of cases": Suite("tests: [mix]\n"),
    "a case that is a list": Suite("tests: {one: [mix]}\n"),
    "snapshots as a name": Suite("snapshots: half\n" + ONE),
    "a snapshot as a name": Suite("snapshots: [half]\n" + ONE),
    "two snapshots of no name": Suite("snapshots: [{}, {}]\n" + ONE),
    "two snapshots of one name": Suite("snapshots: [{profile: half}, {profile: [half]}]\n" + ONE),
    "profiles": Suite("tests: {one: {profiles: half, stages: [mix]}}\n"),
    "sets": Suite("tests: {one: {sets: {vars.ratio: 0.2}, stages: [mix]}}\n"),
    "parameters": Suite("tests: {one: {parameters: {mix.seed: 0}}}\n"),
    "environment": Suite("tests: {one: {environment: {A: b}, stages: [mix]}}\n"),
    "vars": Suite("tests: {one: {vars: {ratio: 0.2}, stages: [mix]}}\n"),
    "set as a list": Suite("tests: {one: {set: [vars.ratio=1], stages: [mix]}}\n"),
    "a set of no path": Suite("tests: {one: {set: {vars ratio: 1}, stages: [mix]}}\n"),
    "params as a list": Suite("tests: {one: {params: [mix.seed]}}\n"),
    "a variable as a number": Suite("tests: {one: {env: {A: 0.5}, stages: [mix]}}\n"),
    "a variable as a list": Suite("tests: {one: {env: {A: [b, c]}, stages: [mix]}}\n"),
    "a name for a list": Suite("tests: {one: {stages: mix}}\n"),
    "a key misspelt": Suite("tests: {one: {param: {mix.seed: 0}}}\n"),
    "a parameter misspelt": Suite("tests: {one: {params: {mix.sed: 0}}}\n"),
    "a stage for a parameter": Suite("tests: {one: {params: {mix: 0}}}\n"),
    "text for a number": Suite('tests: {one: {params: {mix.ratio: "0.15"}}}\n'),
    "no condition": Suite("tests: {one: {expect: [vars.ratio]}}\n"),
    "a problem misspelt": Suite(
        "tests: {one: {set: {stages.mix.params.ration: 0.2}, problems: [unknwon-key]}}\n"
    ),
    "another problem": Suite(
        "tests: {one: {set: {stages.mix.params.ration: 0.2}, problems: [bad-value, unknown-key]}}\n"
    ),
    "no problem": Suite("tests: {one: {problems: [unknown-key]}}\n"),
    "a recipe misspelt": Suite("recipe: recepi.yaml\n" + ONE, "a.test.yaml"),
    "a file misspelt": Suite(ONE, "recepi.test.yaml"),
    "a test of nothing": Suite(ONE, "other.test.yaml"),
}
PROSE = re.compile(r"")

Follow = Callable[[Place, re.Match[str]], Iterator[Suite]]
FORMS: list[tuple[re.Pattern[str], Follow]] = []


def form(pattern: str) -> Callable[[Follow], Follow]:
    def register(follow: Follow) -> Follow:
        FORMS.append((re.compile(pattern), follow))
        return follow

    return register


def follow(suite: Suite, problem: Problem) -> list[Suite] | None:
    """Return the test files that the hint of a problem makes; None where no form reads it."""
    place = Place(Case(suite.file, suite.text), problem.mark, problem, str)
    for pattern, apply in FORMS:
        if found := pattern.fullmatch(problem.hint):
            return list(apply(place, found))
    made = follow_words(place)
    return None if made is None else [Suite(one.text, suite.file) for one in made]


def filled(example: str) -> str:
    """Return an example of a hint with this recipe's names in place of its own."""
    names = {
        "stages.NAME.params.PARAMETER": "stages.mix.params.seed",
        "STAGE.PARAMETER": "mix.seed",
        "vars.NAME": "vars.ratio",
        "profile: NAME": "profile: half",
        "NAME": "one",
        "PATH": "vars.ratio",
        "VALUE": "0",
        "stages: […]": "stages: [mix]",
    }
    for name, here in names.items():
        example = example.replace(name, here)
    return example


@form(r"(?:begin with|write) ?:? (?P<new>\w+: .*)")
def _(place: Place, found: re.Match[str]) -> Iterator[Suite]:
    """A key and the form of its value: it is called so, and a value of that form stays."""
    name, pair = found["new"].partition(": ")[0], place.pair
    if place.problem.rule == "empty-test":
        yield Suite(filled(found["new"]) + "\n", place.case.file)
    elif place.problem.rule == "unknown-key":
        assert pair is not None
        assert pair.key is not None
        text = rename(place.text, pair, name)
        if pair.key.value == "vars":
            text = re.sub(r"set: \{(\w+)", r"set: {vars.\1", text)
        yield Suite(text, place.case.file)
    elif place.problem.rule == "snapshot-name":
        entry = next(p for p in pairs(place.text) if p.start == place.index)
        yield Suite(put(place.text, lambda: entry, ["name"], "other"), place.case.file)
    else:
        around = enclosing(place)
        new = yaml.safe_load(filled(found["new"]).partition(": ")[2])
        yield Suite(value(place.text, around, flow(new)), place.case.file)


def enclosing(place: Place) -> Pair:
    """Return the value that is to be written anew: here, or around a key that is no path."""
    pair = place.pair
    assert pair is not None
    named = "is no path" in place.problem.message
    assert pair.above is not None
    return pair.above if named else pair


def flow(new: object) -> str:
    return yaml.safe_dump(new, default_flow_style=True, width=1000).strip()


@form(r"write (?P<one>\{\}) for .*, or (?P<other>\{.*\})")
def _(place: Place, found: re.Match[str]) -> Iterator[Suite]:
    assert place.pair is not None
    for new in found.groups():
        yield Suite(value(place.text, place.pair, filled(new)), place.case.file)


@form(r"write profile: NAME, or a list of names")
def _(place: Place, _: re.Match[str]) -> Iterator[Suite]:
    assert place.pair is not None
    text = rename(place.text, place.pair, "profile")
    yield Suite(text, place.case.file)
    yield Suite(text.replace("profile: half", "profile: [half]"), place.case.file)


@form(r"expectations belong to a case: tests: \{NAME: \{(?P<key>\w+): .*")
def _(place: Place, found: re.Match[str]) -> Iterator[Suite]:
    said = place.text.strip()
    yield Suite(f"tests: {{one: {{{said}}}}}\n", place.case.file)


@form(r"put it in quotes: variables are text")
def _(place: Place, _: re.Match[str]) -> Iterator[Suite]:
    assert place.pair is not None
    node = place.pair.value
    said = place.text[node.start_mark.index : node.end_mark.index]
    yield Suite(value(place.text, place.pair, f'"{said}"'), place.case.file)


@form(r"name a parameter: (?P<stage>\w+)\.NAME")
def _(place: Place, found: re.Match[str]) -> Iterator[Suite]:
    assert place.pair is not None
    yield Suite(rename(place.text, place.pair, f"{found['stage']}.seed"), place.case.file)


@form(r"it is not text: write (?P<new>\S+) without quotes")
def _(place: Place, found: re.Match[str]) -> Iterator[Suite]:
    assert place.pair is not None
    yield Suite(value(place.text, place.pair, found["new"]), place.case.file)


@form(r"compare it with something")
def _(place: Place, _: re.Match[str]) -> Iterator[Suite]:
    assert place.pair is not None
    yield Suite(value(place.text, place.pair, "vars.ratio == 0.15"), place.case.file)


@form(r"the recipe has no problems|there are: [\w-]+")
def _(place: Place, _: re.Match[str]) -> Iterator[Suite]:
    pair = at(place.text, place.mark.line, place.mark.column)
    assert pair is not None
    yield Suite(remove(place.text, pair), place.case.file)


@form(r"did you mean '(?P<file>[\w.]+)'\?(?: Its tests are called (?P<test>[\w.]+))?")
def _(place: Place, found: re.Match[str]) -> Iterator[Suite]:
    if place.problem.rule != "test-of-nothing":
        for one in follow_words(place) or ():
            yield Suite(one.text, one.file)
    elif found["test"]:
        yield Suite(place.text, found["test"])
    else:
        yield Suite(place.text.replace("recepi.yaml", found["file"]), place.case.file)


@form(r"NAME\.test\.yaml tests NAME\.yaml next to it; write recipe: FILE for another")
def _(place: Place, _: re.Match[str]) -> Iterator[Suite]:
    yield Suite(f"recipe: recipe.yaml\n{place.text}", place.case.file)
    yield Suite(place.text, "recipe.test.yaml")


def look(suite: Suite) -> list[Problem]:
    """Return all that is said of a test file, which is written where the test is."""
    Path("recipe.yaml").write_text(RECIPE, encoding="utf-8")
    Path(suite.file).write_text(suite.text, encoding="utf-8")
    found = cases.read(suite.file)
    if found.problems:
        return list(found.problems)
    return [problem for outcome in cases.run(found) for problem in outcome.problems]


def faults(suite: Suite) -> Iterator[str]:
    """Yield what does not hold of the hints on a test file when they are followed."""
    found = look(suite)
    before = Counter((p.rule, p.message) for p in found)
    for problem in found:
        if PROSE.fullmatch(problem.hint):
            continue
        lead = f"{problem.hint!r} ({problem.message})"
        made = follow(suite, problem)
        if not made:
            yield f"no form reads {lead}" if made is None else f"nothing follows {lead}"
        for other in made or ():
            after = Counter((p.rule, p.message) for p in look(other))
            if after[problem.rule, problem.message] >= before[problem.rule, problem.message]:
                yield f"stays: {lead}\n{other.text}"
            for one in after.keys() - before.keys():
                yield f"makes new: {lead} -> {one}\n{other.text}"
