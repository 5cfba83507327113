"""A recipe in, a Plan of frozen Stages out: every parameter explicit, in the order they run."""

import hashlib
import heapq
import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from runner.core.catalog import Catalog, Tool, complete
from runner.core.check import MISSING, Path, Violation, violations
from runner.core.document import RUN_DIR, Node
from runner.core.problem import Mark, Problem, listing, ordered, suggest
from runner.core.recipe import ENVIRONMENT, SET, Recipe
from runner.core.resolve import Draft, Resolver, Use
from runner.core.template import TemplateError

Json = dict[str, Any]
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?\Z")


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a stage is tried, seconds before the next try, and the factor they grow by."""

    attempts: int = 1
    delay: float = 0.0
    backoff: float = 1.0


@dataclass(frozen=True, slots=True)
class Stage:
    """One command to be: every parameter of its tool, what it makes, and what it waits for."""

    name: str
    tool: str
    params: Mapping[str, Any]
    outputs: Mapping[str, str]
    after: tuple[str, ...] = ()
    description: str = ""
    timeout: float | None = None
    retry: Retry = field(default_factory=Retry)
    expect: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What will run: stages in order, environment variables they all get, and where it is from."""

    name: str
    file: str
    stages: tuple[Stage, ...]
    description: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    vars: Mapping[str, Any] = field(default_factory=dict)
    smoke: bool = False

    def stage(self, name: str) -> Stage:
        """Return the stage called `name`; raises KeyError."""
        return next((stage for stage in self.stages if stage.name == name), None) or _absent(name)

    def as_dict(self) -> Json:
        """Return the plan as JSON-ready values."""
        return asdict(self)


@dataclass(slots=True)
class Compiled:
    """A plan, or None where an error stands in its way, with every problem found."""

    plan: Plan | None
    problems: list[Problem]
    resolver: Resolver


def build(recipe: Recipe, catalog: Catalog, envelope: Json, environ: Mapping[str, str]) -> Compiled:
    """Turn a recipe into a plan; `envelope` is schema/envelope.json, `environ` is for env()."""
    resolver = Resolver(recipe, catalog, environ)
    problems = list(_shape(recipe, envelope))
    builder = _Builder(recipe, resolver, envelope, problems)
    stages = [builder.stage(draft) for draft in resolver.drafts.values()]
    problems += resolver.problems
    problems += _unused(recipe, resolver)
    good = [stage for stage in stages if stage is not None]
    if len(good) == len(stages):
        problems += _collisions(good, resolver)
        good = _in_order(good, resolver, problems)
    errors = any(problem.severity == "error" for problem in problems)
    said = recipe.tree.get("description")
    description = said.value if said is not None and isinstance(said.value, str) else ""
    plan = None
    if not errors:
        judged = resolver.named(line for stage in good for line in stage.expect)
        plan = Plan(recipe.name, recipe.file, tuple(good), description, vars=judged)
    return Compiled(plan, ordered(problems), resolver)


def identity(stage: Stage, tool: Tool, upstream: Mapping[str, str], version: str = "") -> str:
    """Return the hash of what a stage makes: tool, parameters that matter, stages it reads from."""
    matter = {
        name: value for name, value in stage.params.items() if not tool.parameters[name].cosmetic
    }
    before = {name: upstream[name] for name in stage.after if name in upstream}
    text = json.dumps([stage.tool, version, matter, before], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def bind(value: Any, folder: str) -> Any:
    """Return a value with the run directory's place filled in, inside mappings and lists too."""
    if isinstance(value, str):
        return value.replace(RUN_DIR, folder)
    if isinstance(value, Mapping):
        return {key: bind(child, folder) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [bind(child, folder) for child in value]
    return value


def seconds(said: Any) -> float | None:
    """Return a duration in seconds from a number or text like ``1h30m``; None if it is neither."""
    if isinstance(said, int | float) and not isinstance(said, bool):
        return float(said) if said > 0 else None
    found = _DURATION.match(said.replace(" ", "")) if isinstance(said, str) and said else None
    if not found:
        return None
    parts = [float(part or 0) for part in found.groups()]
    return (parts[0] * 3600 + parts[1] * 60 + parts[2]) or None


def locate(node: Node, path: Iterable[str | int]) -> Node:
    """Return the node at `path`, or the nearest one above it."""
    for step in path:
        value = node.value
        if isinstance(value, dict) and step in value:
            node = value[str(step)]
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            node = value[step]
        else:
            break
    return node


def dotted(path: Path) -> str:
    """Return a path as a user writes it: ``lora_parameters.keys[2]``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def _absent(name: str) -> Stage:
    raise KeyError(name)


def _shape(recipe: Recipe, envelope: Json) -> Iterator[Problem]:
    """Yield what is wrong with the recipe around its stages."""
    tree = recipe.tree
    bare: Json = {}
    for key, child in tree.value.items():
        deep = key in {"vars", "stages", "defaults"} and isinstance(child.value, dict)
        bare[key] = {name: {} for name in child.value} if deep else child.plain()
    for found in violations(envelope, bare):
        yield _placed(found, tree, "a recipe")
    folded: dict[str, str] = {}
    for name, node in recipe.section("stages").items():
        other = folded.setdefault(name.casefold(), name)
        if other != name:
            why = f"stages '{other}' and '{name}' are one folder on most Macs"
            yield Problem(node.key_mark, why, "stage-case", "rename one of them")


def _placed(found: Violation, node: Node, owner: str, notes: Sequence[Any] = ()) -> Problem:
    """Return a violation as a problem at its place in the tree."""
    at = locate(node, found.path)
    if found.key:
        inside = dotted(found.path[:-1])
        what = "" if inside or " " in owner else "parameter "
        message = f"{inside or owner} has no {what}'{found.path[-1]}'"
        return Problem(at.key_mark, message, found.rule, found.hint, tuple(notes))
    mark = at.key_mark if found.rule == "missing-key" else at.mark
    subject = found.path if found.about is None else found.about
    message = f"{dotted(subject) or owner} {found.message}"
    return Problem(mark, message, found.rule, found.hint, tuple(notes))


class _Builder:
    """Makes Stages of Drafts, collecting problems."""

    def __init__(
        self, recipe: Recipe, resolver: Resolver, envelope: Json, problems: list[Problem]
    ) -> None:
        self.recipe = recipe
        self.resolver = resolver
        self.schema = {**envelope["$defs"]["stage"], "$defs": envelope["$defs"]}
        self.problems = problems

    def stage(self, draft: Draft) -> Stage | None:
        """Return the finished stage, None where a problem stands in its way."""
        before = len(self.problems) + len(self.resolver.problems)
        options, uses = self.options(draft)
        tool = self.tool(draft)
        if tool is None:
            self.resolver.fill(draft.given, draft.name)
            return None
        params, read = self.params(draft, tool)
        expect, judged = self.expectations(draft)
        after = self.after(draft, uses | read | judged)
        if before != len(self.problems) + len(self.resolver.problems):
            return None
        outputs = self.resolver.outputs(draft)
        retry = options.get("retry", {})
        return Stage(
            draft.name,
            tool.name,
            params,
            outputs,
            after,
            options.get("description", ""),
            seconds(options.get("timeout")),
            Retry(
                int(retry.get("attempts", 1)),
                seconds(retry.get("delay")) or 0.0,
                float(retry.get("backoff", 1.0)),
            ),
            expect,
            tuple(options.get("allow", ())),
        )

    def options(self, draft: Draft) -> tuple[Json, set[Use]]:
        """Return a stage's own keys, filled in, and what they read."""
        uses: set[Use] = set()
        said: Json = {}
        node = draft.node
        if not isinstance(node.value, dict):
            why = f"stage '{draft.name}' is a mapping: 'tool:' and 'params:'"
            self.problems.append(Problem(node.mark, why, "not-a-mapping"))
            return {}, uses
        for key, child in node.value.items():
            if key in {"params", "expect"}:
                plain = child.plain()
                said[key] = {} if key == "params" and isinstance(plain, dict) else plain
            else:
                said[key], read = self.resolver.fill(child, draft.name)
                uses |= read
        found = violations(self.schema, said)
        for key in ("timeout", "delay"):
            value = said.get("retry", {}) if key == "delay" else said
            value = value.get(key) if isinstance(value, dict) else None
            if value not in {None, MISSING} and seconds(value) is None:
                path = ("retry", key) if key == "delay" else (key,)
                why = f"{value!r} is not a duration"
                found.append(
                    Violation(path, f"is {why}", "bad-duration", "write 90s, 30m, 2h or 1h30m")
                )
        owner = f"stage '{draft.name}'"
        self.problems += [_placed(one, node, owner) for one in found]
        return said, uses

    def tool(self, draft: Draft) -> Tool | None:
        """Return a stage's tool; one that does not exist is a problem."""
        said = draft.node.get("tool")
        if draft.tool is None and said is not None and isinstance(said.value, str):
            known = self.resolver.catalog.names
            why = f"there is no tool '{said.value}'"
            hint = suggest(said.value, known, f"there are: {listing(known)}")
            self.problems.append(Problem(said.mark, why, "unknown-tool", hint))
        return draft.tool

    def params(self, draft: Draft, tool: Tool) -> tuple[Json, set[Use]]:
        """Return every parameter of the tool with its value, and what the values read."""
        given: Json = {}
        uses: set[Use] = set()
        for name, node in draft.given.value.items():
            given[name], read = self.resolver.fill(node, draft.name)
            uses |= read
        for found in violations(tool.schema, given):
            notes = self.notes(draft, found.path) if found.path else ()
            self.problems.append(_placed(found, self.anchor(draft), tool.name, notes))
        placed = {
            name: place
            for name in tool.parameters
            if name not in given and (place := self.resolver.placed(draft, name))
        }
        return complete(tool.schema, {**given, **placed}, tool.schema), uses

    def anchor(self, draft: Draft) -> Node:
        """Return a stage's parameters at the place of the stage where it has none of its own."""
        own = draft.node.get("params")
        mark = (own or draft.node).key_mark
        return Node(draft.given.value, mark.file, mark.line, mark.column)

    def notes(self, draft: Draft, path: Path) -> list[tuple[Mark | None, str]]:
        """Return where the values that a wrong value was made of are said."""
        _, uses = self.resolver.fill(locate(draft.given, path), draft.name)
        notes: list[tuple[Mark | None, str]] = []
        for use in sorted(uses):
            node = None
            if use[0] == "vars":
                node = locate(self.recipe.tree, use)
            elif use[2:3] == ("params",):
                node = self.resolver.drafts[use[1]].given.get(use[3])
            if node is not None and not isinstance(node.value, dict | list):
                notes.append((node.mark, f"{'.'.join(use)} is {node.value!r} here"))
        return notes

    def expectations(self, draft: Draft) -> tuple[tuple[str, ...], set[Use]]:
        """Return a stage's expectations, their names checked."""
        said = draft.node.get("expect")
        lines = said.value if said is not None and isinstance(said.value, list) else []
        uses: set[Use] = set()
        texts = []
        for line in lines:
            if isinstance(line.value, str):
                texts.append(line.value)
                try:
                    uses |= self.resolver.check_names(line.value, draft.name)
                except TemplateError as error:
                    self.resolver.tell(line, error)
        return tuple(texts), uses

    def after(self, draft: Draft, uses: set[Use]) -> tuple[str, ...]:
        """Return the stages this one waits for: those it reads from, and its ``needs``."""
        waits = {use[1] for use in uses if use[0] == "stages" and use[2:3] != ("params",)}
        said = draft.node.get("needs")
        for need in said.value if said is not None and isinstance(said.value, list) else []:
            if need.value in self.resolver.drafts:
                waits.add(need.value)
            else:
                known = self.resolver.drafts
                hint = suggest(str(need.value), known, f"there are: {listing(known)}")
                why = f"'{draft.name}' needs '{need.value}', which is not a stage"
                self.problems.append(Problem(need.mark, why, "unknown-stage", hint))
        return tuple(name for name in self.resolver.drafts if name in waits - {draft.name})


def _unused(recipe: Recipe, resolver: Resolver) -> Iterator[Problem]:
    """Yield a problem for each value that reaches nothing: it would silently drop."""
    read = {use[1:] for use in resolver.used if use[0] == "vars"}
    texts = "\n".join(_texts(recipe.section("defaults")))
    for path, node in _leaves(recipe.section("vars"), ()):
        if not any(path[: len(use)] == use for use in read):
            if node.file not in {recipe.file, SET, ENVIRONMENT} and f"vars.{path[0]}" in texts:
                continue  # a base's own var, read by a default that every stage overrules
            why = f"nothing reads vars.{'.'.join(path)}"
            hint = f"use it as {{{{ vars.{'.'.join(path)} }}}}, or remove it"
            yield Problem(node.key_mark, why, "unused-var", hint)
    tools = {draft.tool.name for draft in resolver.drafts.values() if draft.tool}
    for name, node in recipe.section("defaults").items():
        if name not in tools:
            known = resolver.catalog.names
            hint = suggest(name, tools, "remove it, or !reset it where it is inherited")
            what = "no stage uses" if name in known else "there is no tool"
            yield Problem(node.key_mark, f"{what} '{name}'", "unused-defaults", hint)


def _leaves(section: Mapping[str, Node], above: Use) -> Iterator[tuple[Use, Node]]:
    for name, node in section.items():
        path = (*above, name)
        if isinstance(node.value, dict) and node.value:
            yield from _leaves(node.value, path)
        else:
            yield path, node


def _texts(section: Mapping[str, Node]) -> Iterator[str]:
    for _, node in _leaves(section, ()):
        items = node.value if isinstance(node.value, list) else [node]
        yield from (item.value for item in items if isinstance(item.value, str))


def _collisions(stages: Sequence[Stage], resolver: Resolver) -> Iterator[Problem]:
    """Yield a problem where two stages write the same path."""
    owner: dict[str, str] = {}
    for stage in stages:
        draft = resolver.drafts[stage.name]
        for path in {posixpath.normpath(path) for path in stage.outputs.values()}:
            first = owner.setdefault(path, stage.name)
            if first != stage.name:
                why = f"stage '{stage.name}' writes '{path}', as stage '{first}' does"
                at = next((n for n in draft.given.value.values() if n.value == path), draft.node)
                hint = "leave the path out: each stage then has a folder of its own"
                yield Problem(
                    at.mark if at is not draft.node else at.key_mark, why, "same-output", hint
                )


def _in_order(stages: Sequence[Stage], resolver: Resolver, problems: list[Problem]) -> list[Stage]:
    """Return the stages so that each follows those it waits for, else as they are written."""
    number = {stage.name: at for at, stage in enumerate(stages)}
    waits = {stage.name: set(stage.after) for stage in stages}
    followers: dict[str, list[str]] = {stage.name: [] for stage in stages}
    for stage in stages:
        for name in stage.after:
            followers[name].append(stage.name)
    ready = [number[name] for name, before in waits.items() if not before]
    heapq.heapify(ready)
    order = []
    while ready:
        stage = stages[heapq.heappop(ready)]
        order.append(stage)
        for name in followers[stage.name]:
            waits[name].discard(stage.name)
            if not waits[name]:
                heapq.heappush(ready, number[name])
    if len(order) < len(stages):
        circle = _circle({name: waits[name] for name in waits if waits[name]})
        node = resolver.drafts[circle[0]].node
        why = f"stages wait for each other: {' -> '.join(circle)}"
        problems.append(Problem(node.key_mark, why, "stage-cycle", "break the circle"))
    return order


def _circle(waits: Mapping[str, set[str]]) -> list[str]:
    """Return one circle among stages that wait for each other."""
    trail = [min(waits)]
    while trail[-1] not in trail[:-1]:
        trail.append(min(name for name in waits[trail[-1]] if name in waits))
    return trail[trail.index(trail[-1]) :]
