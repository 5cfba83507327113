"""A case and its recipe, compiled with the case's inputs, in; its failures out."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from runner.base.problems import Mark, Problem, as_yaml, listing, nearest, offer
from runner.plan.compile import Compilation
from runner.plan.resolve import Resolver
from runner.recipe.node import MISSING, Node, locate
from runner.recipe.template.expressions import names
from runner.testing.suite import Case

RULE = "test-failed"
NONE = "the recipe has no problems"
Notes = Sequence[tuple[Mark | None, str]]
_NOTHING = object()


def trial(
    case: Case, compilation: Compilation | None, problems: Sequence[Problem]
) -> list[Problem]:
    """Return what does not hold, each at its place in the test file.

    `problems` are all that is found in the recipe; `compilation` is None where it cannot be read.
    """
    return list(_Trial(case=case, compilation=compilation, problems=problems).failures())


class _Trial(Struct, frozen=True, kw_only=True):
    case: Case
    compilation: Compilation | None
    problems: Sequence[Problem]

    def failures(self) -> Iterator[Problem]:
        yield from self.unexpected()
        compilation = self.compilation
        broken = any(problem.severity == "error" for problem in self.problems)
        if compilation is None or compilation.plan is None or broken:
            for name in ("stages", "params", "expect"):
                entry = self.case.node.get(name)
                if entry is not None and self.case.node.get("problems") is not None:
                    yield self.fail(
                        entry.key_mark, "the recipe has errors, so it has no stages to check"
                    )
            return
        yield from self.stages([stage.name for stage in compilation.plan.stages])
        for path, node in self.inside("params", dict):
            yield from self.parameter(path, node, compilation)
        for _, node in self.inside("expect", list):
            yield from self.expectation(node, compilation.resolver)

    def unexpected(self) -> Iterator[Problem]:
        """Yield the problems that should not be there, and those that should."""
        entry = self.case.node.get("problems")
        slugs = [str(slug.value) for slug in entry.value] if entry is not None else []
        there = sorted({problem.rule for problem in self.problems})
        unnamed = [slug for slug in there if slug not in slugs]
        guesses: set[str] = set()  # a slug that is misspelt names its problem all the same
        for node in entry.value if entry is not None else ():
            if node.value not in there:
                near = nearest(str(node.value), unnamed)
                guesses |= {near} - {""}
                others = f"there are: {listing(there)}" if there else NONE
                hint = f"did you mean '{near}'?" if near else others
                yield self.fail(node.mark, f"the recipe has no problem '{node.value}'", hint)
        for problem in self.problems:
            if problem.rule in slugs or problem.rule in guesses:
                continue
            if entry is not None or problem.severity == "error":
                place = (entry or self.case.node).key_mark
                kind = "an error" if problem.severity == "error" else "a warning"
                why = f"{kind} that the case does not list: {problem.message} ({problem.rule})"
                yield self.fail(place, why, problem.hint, ((problem.mark, "here"),))

    def stages(self, there: Sequence[str]) -> Iterator[Problem]:
        entry = self.case.node.get("stages")
        if entry is not None and entry.plain() != list(there):
            text = ", ".join(map(str, entry.plain()))
            yield self.fail(entry.mark, f"the stages are [{', '.join(there)}], not [{text}]")

    def parameter(self, path: str, node: Node, compilation: Compilation) -> Iterator[Problem]:
        target, problems = _fill(node, compilation.resolver)
        yield from (self.fail(one.mark, one.message, one.hint) for one in problems)
        if problems or compilation.plan is None:
            return
        words = _steps(path)
        stages = {stage.name: stage.params for stage in compilation.plan.stages}
        value: Any = stages
        for at, word in enumerate(words):
            inner = _inside(value, word)
            if inner is _NOTHING:
                yield self.nowhere(node, words[:at], str(word), value)
                return
            value = inner
        if len(words) == 1:
            why = f"'{path}' is a stage"
            yield self.fail(node.key_mark, why, f"name a parameter: {path}.NAME")
            return
        tree = compilation.resolver.drafts[str(words[0])].params
        for steps, one, other in _unlike(value, target):
            place = locate(tree, (*words[1:], *steps))
            exact = locate(tree, (*words[1:], *steps)[:-1]) is not place
            note = (place.mark, "set here") if exact else (None, "not set: its default")
            where = path + "".join(f".{step}" for step in steps)
            if other is _NOTHING:
                yield self.fail(node.mark, f"{where} does not exist", "", (note,))
                continue
            why = f"{where} is {_text(one)}, not {_text(other)}"
            yield self.fail(locate(node, steps).mark, why, _kin(one, other), (note,))

    def nowhere(self, node: Node, above: Sequence[Any], word: str, value: Any) -> Problem:
        """Return the failure of a path that leads nowhere after `above`."""
        keys = list(value) if isinstance(value, dict) else []
        where = ".".join(map(str, above))
        why = f"{where} has no '{word}'" if above else f"there is no stage '{word}'"
        return self.fail(node.key_mark, why, offer(word, keys) if keys else "")

    def expectation(self, node: Node, resolver: Resolver) -> Iterator[Problem]:
        text = str(node.value)
        value, problems = _fill(replace(node, value=f"{{{{ {text} }}}}"), resolver)
        yield from (self.fail(node.mark, one.message, one.hint) for one in problems)
        if problems or value is True:
            return
        if value is not False:
            why = f"'{text}' is {_text(value)}, which is neither true nor false"
            yield self.fail(node.mark, why, "compare it with something")
            return
        notes: list[tuple[Mark | None, str]] = []
        for words in sorted(names(text)):
            name = ".".join(words)
            read, _ = _fill(replace(node, value=f"{{{{ {name} }}}}"), resolver)
            notes.append((None, f"{name} is {_text(read)}"))
        yield self.fail(node.mark, f"'{text}' is false", "", notes)

    def inside(self, name: str, kind: type) -> Iterator[tuple[str, Node]]:
        entry = self.case.node.get(name)
        value: Any = entry.value if entry is not None else kind()
        yield from value.items() if kind is dict else (("", node) for node in value)

    def fail(self, mark: Mark, why: str, hint: str = "", notes: Notes = ()) -> Problem:
        return Problem(
            mark=mark, message=f"{self.case.name}: {why}", rule=RULE, hint=hint, notes=tuple(notes)
        )


def _fill(node: Node, resolver: Resolver) -> tuple[Any, list[Problem]]:
    """Return a node's value with its templates filled in, and what is wrong with them."""
    filled = resolver.fill(node, "")
    value, problems = filled.value, filled.problems
    if value is MISSING and not problems:
        problems = [Problem(mark=node.mark, message="this cannot be computed", rule=RULE)]
    return value, problems


def _steps(path: str) -> list[str | int]:
    """Return the steps of a path such as ``train.lr_schedule.arguments[0]``."""
    words = re.findall(r"[^.\[\]]+|\[\d+\]", path)
    return [int(word[1:-1]) if word.startswith("[") else word for word in words]


def _inside(value: Any, step: str | int) -> Any:
    if isinstance(value, list | tuple):
        return value[step] if isinstance(step, int) and step < len(value) else _NOTHING
    return value.get(step, _NOTHING) if hasattr(value, "get") else _NOTHING


def _unlike(value: Any, target: Any) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Yield each place where a value is not what is wanted; of a mapping, what is wanted counts."""
    if isinstance(target, dict) and isinstance(value, dict):
        for name, child in target.items():
            if name not in value:
                yield (name,), _NOTHING, _NOTHING
                continue
            for steps, one, other in _unlike(value[name], child):
                yield (name, *steps), one, other
    elif not _same(value, target):
        yield (), value, target


def _same(value: Any, target: Any) -> bool:
    """Return whether two values are equal; 1 is 1.0 and neither is true."""
    if isinstance(value, list | tuple) and isinstance(target, list | tuple):
        return len(value) == len(target) and all(map(_same, value, target))
    return isinstance(value, bool) == isinstance(target, bool) and bool(value == target)


def _kin(value: Any, target: Any) -> str:
    """Return a hint where the two look alike and are of different types."""
    if isinstance(target, str) and not isinstance(value, str) and target == _text(value):
        return f"it is not text: write {target} without quotes"
    return ""


def _text(value: Any) -> str:
    return as_yaml(list(value) if isinstance(value, tuple) else value)
