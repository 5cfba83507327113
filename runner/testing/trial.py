"""A case and its recipe, compiled with the case's inputs, in; what does not hold out."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from runner.base.problems import Mark, Problem, listing, offer, shown, suggest
from runner.plan.compile import Compilation
from runner.plan.resolve import Resolver
from runner.recipe.node import MISSING, Node, locate
from runner.recipe.template.expressions import names
from runner.testing.suite import Case

RULE = "test-failed"
NONE = "the recipe has no problem"
Notes = Sequence[tuple[Mark | None, str]]
_NOTHING = object()


def trial(case: Case, compiled: Compilation | None, problems: Sequence[Problem]) -> list[Problem]:
    """Return what does not hold, each at its place in the test file.

    `problems` are all that is found in the recipe; `compiled` is None where it cannot be read.
    """
    return list(_Trial(case=case, compiled=compiled, problems=problems).failures())


class _Trial(Struct, frozen=True, kw_only=True):
    case: Case
    compiled: Compilation | None
    problems: Sequence[Problem]

    def failures(self) -> Iterator[Problem]:
        yield from self.found()
        compiled = self.compiled
        broken = any(problem.severity == "error" for problem in self.problems)
        if compiled is None or compiled.plan is None or broken:
            for name in ("stages", "params", "expect"):
                said = self.case.node.get(name)
                if said is not None and self.case.node.get("problems") is not None:
                    yield self.fail(
                        said.key_mark, "the recipe has errors, and so no stages to look at"
                    )
            return
        yield from self.stages([stage.name for stage in compiled.plan.stages])
        for path, node in self.inside("params", dict):
            yield from self.parameter(path, node, compiled)
        for _, node in self.inside("expect", list):
            yield from self.expectation(node, compiled.resolver)

    def found(self) -> Iterator[Problem]:
        """Yield the problems that should not be there, and those that should."""
        said = self.case.node.get("problems")
        wanted = [str(slug.value) for slug in said.value] if said is not None else []
        there = sorted({problem.rule for problem in self.problems})
        unnamed = [slug for slug in there if slug not in wanted]
        meant = set()  # a slug that is misspelt names its problem all the same
        for node in said.value if said is not None else ():
            if node.value not in there:
                near = suggest(str(node.value), unnamed)
                meant |= {slug for slug in unnamed if near == f"did you mean '{slug}'?"}
                hint = near or (f"there are: {listing(there)}" if there else NONE)
                yield self.fail(node.mark, f"there is no problem '{node.value}'", hint)
        for problem in self.problems:
            if problem.rule in wanted or problem.rule in meant:
                continue
            if said is not None or problem.severity == "error":
                place = (said or self.case.node).key_mark
                kind = "an error" if problem.severity == "error" else "a warning"
                why = f"{kind} that the case does not name: {problem.message} ({problem.rule})"
                yield self.fail(place, why, problem.hint, ((problem.mark, "here"),))

    def stages(self, there: Sequence[str]) -> Iterator[Problem]:
        said = self.case.node.get("stages")
        if said is not None and said.plain() != list(there):
            wanted = ", ".join(map(str, said.plain()))
            yield self.fail(said.mark, f"the stages are [{', '.join(there)}], not [{wanted}]")

    def parameter(self, path: str, node: Node, compiled: Compilation) -> Iterator[Problem]:
        wanted, told = _filled(node, compiled.resolver)
        yield from (self.fail(one.mark, one.message, one.hint) for one in told)
        if told or compiled.plan is None:
            return
        words = _steps(path)
        stages = {stage.name: stage.params for stage in compiled.plan.stages}
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
        given = compiled.resolver.drafts[str(words[0])].params
        for steps, one, other in _unlike(value, wanted):
            place = locate(given, (*words[1:], *steps))
            exact = locate(given, (*words[1:], *steps)[:-1]) is not place
            note = (place.mark, "said here") if exact else (None, "nobody says it: its default")
            where = path + "".join(f".{step}" for step in steps)
            if other is _NOTHING:
                yield self.fail(node.mark, f"{where} is not there", "", (note,))
                continue
            why = f"{where} is {_said(one)}, not {_said(other)}"
            yield self.fail(locate(node, steps).mark, why, _kin(one, other), (note,))

    def nowhere(self, node: Node, above: Sequence[Any], word: str, value: Any) -> Problem:
        """Return the failure of a path that leads nowhere after `above`."""
        known = list(value) if isinstance(value, dict) else []
        where = ".".join(map(str, above))
        why = f"{where} has no '{word}'" if above else f"there is no stage '{word}'"
        return self.fail(node.key_mark, why, offer(word, known) if known else "")

    def expectation(self, node: Node, resolver: Resolver) -> Iterator[Problem]:
        text = str(node.value)
        value, told = _filled(replace(node, value=f"{{{{ {text} }}}}"), resolver)
        yield from (self.fail(node.mark, one.message, one.hint) for one in told)
        if told or value is True:
            return
        if value is not False:
            why = f"'{text}' is {_said(value)}, and neither true nor false"
            yield self.fail(node.mark, why, "compare it with something")
            return
        notes: list[tuple[Mark | None, str]] = []
        for words in sorted(names(text)):
            name = ".".join(words)
            read, _ = _filled(replace(node, value=f"{{{{ {name} }}}}"), resolver)
            notes.append((None, f"{name} is {_said(read)}"))
        yield self.fail(node.mark, f"'{text}' does not hold", "", notes)

    def inside(self, name: str, kind: type) -> Iterator[tuple[str, Node]]:
        said = self.case.node.get(name)
        value: Any = said.value if said is not None else kind()
        yield from value.items() if kind is dict else (("", node) for node in value)

    def fail(self, mark: Mark, why: str, hint: str = "", notes: Notes = ()) -> Problem:
        return Problem(
            mark=mark, message=f"{self.case.name}: {why}", rule=RULE, hint=hint, notes=tuple(notes)
        )


def _filled(node: Node, resolver: Resolver) -> tuple[Any, list[Problem]]:
    """Return a node's value with its templates filled in, and what is wrong with them."""
    before = len(resolver.problems)
    value, _ = resolver.fill(node, "")
    told = resolver.problems[before:]
    del resolver.problems[before:]
    if value is MISSING and not told:
        told = [Problem(mark=node.mark, message="this cannot be computed", rule=RULE)]
    return value, told


def _steps(path: str) -> list[str | int]:
    """Return the steps of a path such as ``train.lr_schedule.arguments[0]``."""
    found = re.findall(r"[^.\[\]]+|\[\d+\]", path)
    return [int(word[1:-1]) if word.startswith("[") else word for word in found]


def _inside(value: Any, step: str | int) -> Any:
    if isinstance(value, list | tuple):
        return value[step] if isinstance(step, int) and step < len(value) else _NOTHING
    return value.get(step, _NOTHING) if hasattr(value, "get") else _NOTHING


def _unlike(value: Any, wanted: Any) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Yield each place where a value is not what is wanted; of a mapping, what is wanted counts."""
    if isinstance(wanted, dict) and isinstance(value, dict):
        for name, child in wanted.items():
            if name not in value:
                yield (name,), _NOTHING, _NOTHING
                continue
            for steps, one, other in _unlike(value[name], child):
                yield (name, *steps), one, other
    elif not _same(value, wanted):
        yield (), value, wanted


def _same(value: Any, wanted: Any) -> bool:
    """Say whether two values are equal; 1 is 1.0 and neither is true."""
    if isinstance(value, list | tuple) and isinstance(wanted, list | tuple):
        return len(value) == len(wanted) and all(map(_same, value, wanted))
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)


def _kin(value: Any, wanted: Any) -> str:
    """Return a hint where the two look alike and are of different types."""
    if isinstance(wanted, str) and not isinstance(value, str) and wanted == _said(value):
        return f"it is no text: write {wanted} without quotes"
    return ""


def _said(value: Any) -> str:
    return shown(list(value) if isinstance(value, tuple) else value)
