"""Why a value is what it is: the place that won, the places that lost, and what it was made of."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from runner.core import template
from runner.core.check import Path, dotted
from runner.core.draft import Draft
from runner.core.plan import Plan
from runner.core.problem import Mark
from runner.core.resolve import Resolver
from runner.core.scope import Use
from runner.core.tree import Node, locate

NOTHING = object()
FIXED = ("tool", "needs", "expect")  # no templates are filled in here
_ENV = re.compile(r"\benv\(\s*['\"](\w+)['\"]")


@dataclass(frozen=True, slots=True)
class Said:
    """One place that says a value: what it is called, where it stands, and its text there.

    `reads` are the names its template reads; `value` is what it became, for a winner.
    """

    name: str
    mark: Mark | None
    text: Any
    value: Any = None
    reads: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """One value: who said it, who was overruled (the nearest first), and what it was made of.

    `stage` is "" for what is no stage's; `path` is how ``--set`` calls it. Where the recipe does
    not say it, `said` is None and `because` is the reason. `default` is that of `tool`, NOTHING
    for none. `trail` are the vars and parameters behind its templates, each once.
    """

    stage: str
    name: str
    path: str
    value: Any
    said: Said | None
    losers: tuple[Said, ...] = ()
    trail: tuple[Said, ...] = ()
    default: Any = NOTHING
    because: str = ""
    tool: str = ""

    @property
    def changed(self) -> bool:
        """Whether the value is another than the tool's own default."""
        return self.default is NOTHING or self.value != self.default


def origins(
    plan: Plan, resolver: Resolver, real: Plan | None = None, *, entries: bool = False
) -> Iterator[Origin]:
    """Yield where each value of a plan comes from, its vars and then stage by stage.

    `real` is the plan that a smoke plan was made of; `entries` are those of lists, beside them.
    """
    trace = _Trace(resolver)
    for part in ("vars", "track"):
        for path, node in _spread(resolver.recipe.section(part), (part,)):
            yield trace.whole(path, node)
    for stage in plan.stages:
        draft = resolver.drafts.get(stage.name)
        before = real.stage(stage.name).params if real and draft else stage.params
        for path, value in leaves(stage.params, entries=entries):
            if draft is None:
                parts = ("stages", stage.name, "params", *path)
                yield Origin(
                    stage.name, dotted(path), dotted(parts), value, None, because="--smoke"
                )
                continue
            was = _within(before, path)
            found = trace.parameter(draft, path, was)
            yield found if was == value else _shrunk(found, value)
        if draft is not None:
            yield from trace.options(draft, entries=entries)


def made_of(resolver: Resolver, draft: Draft, path: Path) -> tuple[Said, ...]:
    """Return the vars and parameters that a stage's parameter is made of, as the recipe says it."""
    trace = _Trace(resolver)
    node = trace.sayer(draft, path)
    return () if node is None else trace.trail(trace.said(dotted(path), node, draft.name))


def leaves(values: Any, above: Path = (), *, entries: bool = False) -> Iterator[tuple[Path, Any]]:
    """Yield path and value of everything in a mapping, mappings in it opened, lists whole."""
    for key, value in values.items():
        path = (*above, key)
        if isinstance(value, dict) and value:
            yield from leaves(value, path, entries=entries)
            continue
        yield path, value
        if entries and isinstance(value, list):
            yield from leaves(dict(enumerate(value)), path, entries=True)


class _Trace:
    """Follows values of one recipe back to where they are said."""

    def __init__(self, resolver: Resolver) -> None:
        self.resolver = resolver

    def whole(self, path: Path, node: Node) -> Origin:
        """Return where a value of the whole recipe comes from."""
        said = self.said(".".join(map(str, path)), node, "")
        losers = self.losers(self.resolver.recipe.tree, path, node)
        return Origin("", said.name, said.name, said.value, said, losers, self.trail(said))

    def parameter(self, draft: Draft, path: Path, value: Any) -> Origin:
        """Return where a parameter of a stage comes from."""
        tool = draft.tool.name if draft.tool else ""
        default = _within(draft.tool.defaults if draft.tool else {}, path)
        name, whole = dotted(path), dotted(("stages", draft.name, "params", *path))
        node = self.sayer(draft, path)
        if node is None:
            placed = len(path) == 1 and value != default
            because = "placed in the run directory" if placed else f"{tool} default"
            # What only the parameters beside it bring about is its own default.
            default = value if default is NOTHING else default
            return Origin(
                draft.name, name, whole, value, None, default=default, because=because, tool=tool
            )
        said = self.said(whole, node, draft.name, value)
        losers = self.losers(draft.given, path, node)
        trail = self.trail(said)
        return Origin(draft.name, name, whole, value, said, losers, trail, default, "", tool)

    def options(self, draft: Draft, *, entries: bool) -> Iterator[Origin]:
        """Yield where each of a stage's own keys comes from, those it has."""
        own = draft.node.value if isinstance(draft.node.value, dict) else {}
        known = {name: node for name, node in own.items() if name not in {"params", "extends"}}
        for path, node in _spread(known, (), entries=entries):
            value = node.plain() if path[0] in FIXED else NOTHING
            name = dotted(("stages", draft.name, *path))
            said = self.said(name, node, draft.name, value)
            losers = self.losers(draft.node, path, node)
            trail = self.trail(said)
            yield Origin(draft.name, dotted(path), name, said.value, said, losers, trail)

    def sayer(self, draft: Draft, path: Path) -> Node | None:
        """Return the node that says a parameter, or the template that makes what it is in."""
        node = locate(draft.given, path)
        if node is _parent(draft.given, path):
            made = isinstance(node.value, str)
            depth = next(
                (at for at in range(1, len(path)) if locate(draft.given, path[:at]) is node), 0
            )
            if not made or not depth:
                return None
            inside = self.resolver.fill(node, draft.name)[0]
            return None if _within(inside, path[depth:]) is NOTHING else node
        if path == ("iters",) and (budget := draft.node.get("budget")) is not None:
            return replace(node, value=f"budget: {budget.plain()}")
        return node

    def said(self, name: str, node: Node, stage: str, value: Any = NOTHING) -> Said:
        """Return what a node says, and the names its templates read."""
        reads = dict.fromkeys(one for text in _texts(node) for one in self.names(text, stage))
        if value is NOTHING:
            value = self.resolver.fill(node, stage)[0]
        return Said(name, node.mark, node.plain(), value, tuple(reads))

    def trail(self, said: Said) -> tuple[Said, ...]:
        """Return everything a value was made of, each once, the nearest first."""
        found: dict[str, Said] = {}
        waiting = list(said.reads)
        while waiting:
            name = waiting.pop(0)
            if name not in found and name != said.name and (one := self.follow(name)):
                found[name] = one
                waiting += one.reads
        return tuple(found.values())

    def names(self, text: str, stage: str) -> Iterator[str]:
        """Yield the vars, parameters and variables a text reads, as a path calls them."""
        for words in sorted(template.reads(text) if template.is_template(text) else ()):
            if words[0] == "vars" and len(words) > 1:
                yield ".".join(words)
            elif words[:2] == ("stage", "params"):
                yield ".".join(("stages", stage, *words[1:]))
            elif words[0] == "stages" and len(words) > 2:  # noqa: PLR2004
                yield ".".join(self.output(words))
        yield from (f"env {name}" for name in _ENV.findall(text))

    def output(self, words: Use) -> Use:
        """Return the parameter that says an output's path; other names as they are."""
        draft = self.resolver.drafts.get(words[1])
        output = draft.tool.outputs.get(words[2]) if draft and draft.tool else None
        return ("stages", words[1], "params", output.param) if output and output.param else words

    def follow(self, name: str) -> Said | None:
        """Return the place that says a named value, None where the recipe does not."""
        if name.startswith("env "):
            variable = name.removeprefix("env ")
            said = self.resolver.environ.get(variable)
            return Said(name, None, "not set" if said is None else "the environment", said)
        words = name.split(".")
        if words[0] == "vars":
            node = locate(self.resolver.recipe.tree, words)
            return self.said(name, node, "")
        draft = self.resolver.drafts.get(words[1])
        if draft is None or words[2] != "params":
            return None
        found = self.sayer(draft, tuple(words[3:]))
        return self.said(name, found, draft.name) if found else None

    def losers(self, root: Node, path: Path, node: Node) -> tuple[Said, ...]:
        """Return what a value overruled, also what a mapping around it replaced."""
        found = [loser for loser in node.losers() if loser.tag != "reset"]
        for at in range(len(path) - 1, 0, -1):
            for hidden in locate(root, path[:at]).losers():
                inside = locate(hidden, path[at:])
                if inside is not _parent(hidden, path[at:]) and inside.tag != "reset":
                    found.append(inside)
        return tuple(Said("", loser.mark, loser.plain()) for loser in found)


def _shrunk(origin: Origin, value: Any) -> Origin:
    """Return the origin of a value that a smoke run puts in another's place."""
    losers = (origin.said, *origin.losers) if origin.said else origin.losers
    return replace(origin, value=value, said=None, losers=losers, because="--smoke")


def _spread(
    known: Mapping[Any, Node], above: Path, *, entries: bool = False
) -> Iterator[tuple[Path, Node]]:
    for name, node in known.items():
        path = (*above, name)
        if isinstance(node.value, dict) and node.value:
            yield from _spread(node.value, path, entries=entries)
            continue
        yield path, node
        if entries and isinstance(node.value, list):
            yield from _spread(dict(enumerate(node.value)), path, entries=True)


def _texts(node: Node) -> Iterator[str]:
    if isinstance(node.value, str):
        yield node.value
    elif isinstance(node.value, dict | list):
        for child in node.value.values() if isinstance(node.value, dict) else node.value:
            yield from _texts(child)


def _parent(node: Node, path: Path) -> Node:
    return locate(node, path[:-1])


def _within(value: Any, path: Path) -> Any:
    for step in path:
        try:
            value = value[step]
        except (KeyError, TypeError, IndexError):
            return NOTHING
    return value
