"""The text of a NAME.test.yaml in, its cases and snapshots out."""

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct, field

from runner.base.constants import ENDING
from runner.base.problems import Mark, Problem, nearest
from runner.catalog.validate import violations
from runner.plan.keys import problem_at
from runner.recipe.inline import word
from runner.recipe.node import Node, locate
from runner.recipe.size import MAX_CASES, beyond
from runner.recipe.yaml import parse


class Inputs(Struct, frozen=True, kw_only=True):
    """What a recipe is compiled with; the environment is nothing but `environ`."""

    profiles: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    smoke: bool = False


class Case(Struct, frozen=True, kw_only=True):
    """One case: its name, its inputs, and the node that holds what must be."""

    name: str
    inputs: Inputs
    node: Node


class Suite(Struct, frozen=True, kw_only=True):
    """A test file; `locked` are the inputs of its snapshots by name, None if it says none.

    `place` is the place that names the recipe, None if it is named after the file.
    """

    file: str
    recipe: str
    text: str
    cases: tuple[Case, ...] = ()
    locked: Mapping[str, Inputs] | None = None
    problems: tuple[Problem, ...] = ()
    place: Mark | None = None


def missing_recipe(suite: Suite, beside: Iterable[str]) -> Problem:
    """Return the problem of a test file whose recipe is not there; `beside` are those near it."""
    hint = "NAME.test.yaml tests NAME.yaml next to it; write recipe: FILE for another"
    stems = {_stem(one): one for one in beside}
    near = nearest(_stem(suite.recipe), stems)
    if near:
        file = stems[near]
        hint = f"did you mean '{file}'?"
        if suite.place is None:
            hint += f" Its tests are called {_stem(file)}{ENDING}"
    mark = suite.place or Mark(file=suite.file, line=1, column=1)
    return Problem(
        mark=mark,
        message=f"there is no recipe '{suite.recipe}' to test",
        rule="test-of-nothing",
        hint=hint,
    )


def _stem(file: str) -> str:
    return posixpath.splitext(posixpath.basename(file))[0]


def suite(data: bytes, file: str, schema: Mapping[str, Any]) -> Suite:
    """Read a test file by `schema` (schema/test.schema.json); every problem is in the result."""
    document = parse(data, file)
    recipe = f"{file.removesuffix(ENDING)}.yaml"
    if document.root is None or document.problems:
        empty = Problem(
            mark=Mark(file=file, line=1, column=1),
            message="this file is empty",
            rule="empty-test",
            hint=_HINT,
        )
        return Suite(
            file=file, recipe=recipe, text=document.text, problems=(*document.problems,) or (empty,)
        )
    root = document.root
    problems = [problem_at(one, root, "a test file") for one in violations(schema, root.plain())]
    entry = root.get("recipe")
    place = None
    if entry is not None and isinstance(entry.value, str):
        place = entry.mark
        recipe = posixpath.normpath(posixpath.join(posixpath.dirname(file), entry.value))
    if problems:
        return Suite(file=file, recipe=recipe, text=document.text, problems=tuple(problems))
    cases = [
        Case(name=name, inputs=_inputs(node), node=node) for name, node in _children(root, "tests")
    ]
    if len(cases) > MAX_CASES:
        problem = beyond(root, f"this file has {len(cases):,} cases", MAX_CASES)
        return Suite(file=file, recipe=recipe, text=document.text, problems=(problem,), place=place)
    locked, twice = _snapshots(root)
    return Suite(
        file=file,
        recipe=recipe,
        text=document.text,
        cases=tuple(cases),
        locked=locked,
        problems=tuple(twice),
        place=place,
    )


def name_of(inputs: Inputs) -> str:
    """Return what a snapshot is called after its inputs; '' for the recipe as it is."""
    return "+".join((*inputs.profiles, *(["smoke"] if inputs.smoke else ())))


_HINT = "begin with: tests: {NAME: {stages: […]}}"


def _snapshots(root: Node) -> tuple[dict[str, Inputs] | None, list[Problem]]:
    entry = root.get("snapshots")
    if entry is None:
        return None, []
    locked: dict[str, Inputs] = {}
    twice = []
    for node in entry.value:
        inputs = _inputs(node)
        name = node.get("name")
        title = str(name.value) if name is not None else name_of(inputs)
        if title in locked:
            why = f"two snapshots are named '{title}'" if title else "two snapshots have no name"
            twice.append(
                Problem(mark=node.mark, message=why, rule="snapshot-name", hint="write name: NAME")
            )
        locked[title] = inputs
    return locked, twice


def _inputs(node: Node) -> Inputs:
    profile = node.get("profile")
    plain = profile.plain() if profile is not None else []
    sets = tuple(f"{path}={word(child)}" for path, child in _children(node, "set"))
    environ = {name: str(child.value) for name, child in _children(node, "env")}
    smoke = locate(node, ["smoke"]).value is True
    return Inputs(
        profiles=(plain,) if isinstance(plain, str) else tuple(plain),
        sets=sets,
        environ=environ,
        smoke=smoke,
    )


def _children(node: Node, name: str) -> Iterator[tuple[str, Node]]:
    branch = node.get(name)
    if branch is not None and isinstance(branch.value, dict):
        yield from branch.value.items()
