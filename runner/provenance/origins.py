"""Why a value is what it is: the place that won, the places that lost, and what it was made of."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from runner.base.errors import RecipeError
from runner.base.patterns import pattern
from runner.base.problems import Mark
from runner.catalog.validate import Path, dotted
from runner.plan.inheritance import Draft
from runner.plan.model import Plan
from runner.plan.resolve import Resolver
from runner.plan.scope import Use
from runner.recipe.node import Node, locate
from runner.recipe.template import render

NOTHING = object()
MAX_FOLLOWED, MAX_STEPS, MAX_ORIGINS = 100, 100_000, 60_000
"""Values behind another one that are followed, and lines that it overruled: the nearest; and over
all values: of very many fewer each."""
PARAMS = "params"
FIXED = ("tool", "needs", "expect")  # no templates are filled in here
_ENV = pattern(r"\benv\(\s*['\"](\w+)['\"]")


class Removal(str):
    """What a line says that takes an inherited value away: ``!reset`` or ``!override``."""

    __slots__ = ()


class Statement(Struct, frozen=True, kw_only=True):
    """One place that says a value: what it is called, where it is, and its text there.

    `reads` are the names its template reads; `value` is what it became, for a winner.
    """

    name: str
    mark: Mark | None
    text: Any
    value: Any = None
    reads: tuple[str, ...] = ()


class Origin(Struct, frozen=True, kw_only=True):
    """One value: who won, who was overruled (the nearest first), and what it was made of.

    `stage` is "" for what is not a stage's; `path` is how ``--set`` calls it. Where the recipe does
    not say it, `because` is the reason, and `winner` what took it away, None if nothing did.
    `default` is that of `maker`, NOTHING for none. `trail` are the vars and parameters behind its
    templates, each once. `cut` says that there is more of either than is followed.
    """

    stage: str
    name: str
    path: str
    value: Any
    winner: Statement | None
    losers: tuple[Statement, ...] = ()
    trail: tuple[Statement, ...] = ()
    default: Any = NOTHING
    because: str = ""
    maker: str = ""
    cut: bool = False

    @property
    def changed(self) -> bool:
        """Whether the value is another than the tool's own default."""
        return self.default is NOTHING or self.value != self.default


def origins(
    plan: Plan, resolver: Resolver, real: Plan | None = None, *, entries: bool = False
) -> Iterator[Origin]:
    """Yield where each value of a plan comes from, its vars and then stage by stage.

    `real` is the plan that a smoke plan was made of; `entries` are those of lists, beside them.
    Raises RecipeError if there are more than can be followed in seconds.
    """
    count = sum(1 for _ in _leaf_nodes(resolver.recipe.section("vars"), ()))
    count += sum(len(stage.params) for stage in plan.stages)
    if count > MAX_ORIGINS:
        why = (
            f"{plan.file} has {count:,} values, and at most {MAX_ORIGINS:,} are followed to a line"
        )
        hint = f"to print every value without its line: run-recipe {plan.file} -n --format json"
        raise RecipeError(why, hint)
    trace = _Trace(resolver, max(1, min(MAX_FOLLOWED, MAX_STEPS // max(1, count))))
    for part in ("vars", "track"):
        for path, node in _leaf_nodes(resolver.recipe.section(part), (part,)):
            yield trace.whole(path, node)
    for stage in plan.stages:
        draft = resolver.drafts.get(stage.name)
        before = real.stage(stage.name).params if real and draft else stage.params
        for path, value in leaves(stage.params, entries=entries):
            if draft is None:
                parts = ("stages", stage.name, "params", *path)
                yield Origin(
                    stage=stage.name,
                    name=dotted(path),
                    path=dotted(parts),
                    value=value,
                    winner=None,
                    because="--smoke",
                )
                continue
            was = _within(before, path)
            origin = trace.parameter(draft, path, was)
            yield origin if was == value else _smoke_origin(origin, value)
        if draft is not None:
            yield from trace.options(draft, entries=entries)


def dependencies(resolver: Resolver, draft: Draft, path: Path) -> tuple[Statement, ...]:
    """Return the vars and parameters that a stage's parameter is made of, as the recipe says it."""
    trace = _Trace(resolver)
    node = trace.sayer(draft, path)
    return () if node is None else trace.trail(trace.statement(dotted(path), node, draft.name))[0]


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

    def __init__(self, resolver: Resolver, most: int = MAX_FOLLOWED) -> None:
        self.resolver = resolver
        self.most = most
        self.statements: dict[str, Statement | None] = {}

    def whole(self, path: Path, node: Node) -> Origin:
        """Return where a value of the whole recipe comes from."""
        statement = self.statement(".".join(map(str, path)), node, "")
        claims = self.claims(self.resolver.recipe.tree, path, path)
        losers = _losers(claims, node)
        trail, cut = self.trail(statement)
        cut = cut or len(claims) >= self.most
        return Origin(
            stage="",
            name=statement.name,
            path=statement.name,
            value=statement.value,
            winner=statement,
            losers=losers,
            trail=trail,
            cut=cut,
        )

    def parameter(self, draft: Draft, path: Path, value: Any) -> Origin:
        """Return where a parameter of a stage comes from."""
        maker = draft.tool.maker if draft.tool else ""
        default = _within(draft.tool.defaults if draft.tool else {}, path)
        name, whole = dotted(path), dotted(("stages", draft.name, "params", *path))
        node = self.sayer(draft, path)
        claims = self.every(draft, path)
        if node is None:
            in_run_dir = len(path) == 1 and value != default
            because = "placed in the run directory" if in_run_dir else f"{maker} default"
            # What only the parameters beside it bring about is its own default.
            default = value if default is NOTHING and not in_run_dir else default
            statement = self.removal(claims, draft.name, value)
            losers = _losers(claims)
            return Origin(
                stage=draft.name,
                name=name,
                path=whole,
                value=value,
                winner=statement,
                losers=losers,
                trail=(),
                default=default,
                because=because,
                maker=maker,
            )
        statement = self.statement(whole, node, draft.name, value)
        losers = _losers(claims, node)
        trail, cut = self.trail(statement)
        cut = cut or len(claims) >= self.most
        return Origin(
            stage=draft.name,
            name=name,
            path=whole,
            value=value,
            winner=statement,
            losers=losers,
            trail=trail,
            default=default,
            because="",
            maker=maker,
            cut=cut,
        )

    def options(self, draft: Draft, *, entries: bool) -> Iterator[Origin]:
        """Yield where each of a stage's own keys comes from, those it has."""
        own = draft.node.value if isinstance(draft.node.value, dict) else {}
        keys = {name: node for name, node in own.items() if name not in {PARAMS, "extends"}}
        for path, node in _leaf_nodes(keys, (), entries=entries):
            value = node.plain() if path[0] in FIXED else NOTHING
            name = dotted(("stages", draft.name, *path))
            statement = self.statement(name, node, draft.name, value)
            claims = self.claims(draft.node, path, ("stages", draft.name, *path))
            trail, cut = self.trail(statement)
            cut = cut or len(claims) >= self.most
            losers = _losers(claims, node)
            yield Origin(
                stage=draft.name,
                name=dotted(path),
                path=name,
                value=statement.value,
                winner=statement,
                losers=losers,
                trail=trail,
                cut=cut,
            )
        for path in dict.fromkeys(_everywhere(draft.node, ())):
            there = locate(draft.node, path) is not _parent(draft.node, path)
            if there or path[0] in {PARAMS, "extends", "description"}:
                continue
            whole = ("stages", draft.name, *path)
            claims = self.claims(draft.node, path, whole)
            removal = self.removal(claims, draft.name, None)
            if removal is not None:
                name, losers = dotted(whole), _losers(claims)
                yield Origin(
                    stage=draft.name,
                    name=dotted(path),
                    path=name,
                    value=None,
                    winner=removal,
                    losers=losers,
                )

    def sayer(self, draft: Draft, path: Path) -> Node | None:
        """Return the node that says a parameter, or the template that makes what it is in."""
        node = locate(draft.params, path)
        if node is _parent(draft.params, path):
            is_text = isinstance(node.value, str)
            depth = next(
                (at for at in range(1, len(path)) if locate(draft.params, path[:at]) is node), 0
            )
            if not is_text or not depth:
                return None
            inside = self.resolver.fill(node, draft.name).value
            return None if _within(inside, path[depth:]) is NOTHING else node
        if path == ("iters",) and (budget := draft.node.get("budget")) is not None:
            return replace(node, value=f"budget: {budget.plain()}")
        return node

    def statement(self, name: str, node: Node, stage: str, value: Any = NOTHING) -> Statement:
        """Return what a node says, and the names its templates read."""
        reads = dict.fromkeys(one for text in _texts(node) for one in self.names(text, stage))
        if value is NOTHING:
            value = self.resolver.fill(node, stage).value
        return Statement(
            name=name, mark=node.mark, text=node.plain(), value=value, reads=tuple(reads)
        )

    def trail(self, statement: Statement) -> tuple[tuple[Statement, ...], bool]:
        """Return what a value was made of, each once, the nearest first; and whether that is cut.

        A name is followed once, however many values it stands behind.
        """
        statements: dict[str, Statement] = {}
        waiting = deque(statement.reads)
        while waiting:
            name = waiting.popleft()
            if name in statements or name == statement.name:
                continue
            if len(statements) == self.most:
                return tuple(statements.values()), True
            if name not in self.statements:
                self.statements[name] = self.follow(name)
            if one := self.statements[name]:
                statements[name] = one
                waiting += one.reads
        return tuple(statements.values()), False

    def names(self, text: str, stage: str) -> Iterator[str]:
        """Yield the vars, parameters and variables a text reads, as a path calls them."""
        for words in sorted(render.reads(text) if render.is_template(text) else ()):
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

    def follow(self, name: str) -> Statement | None:
        """Return the place that says a named value, None if the recipe does not."""
        if name.startswith("env "):
            variable = name.removeprefix("env ")
            value = self.resolver.environ.get(variable)
            return Statement(
                name=name,
                mark=None,
                text="not set" if value is None else "the environment",
                value=value,
            )
        words = name.split(".")
        if words[0] == "vars":
            node = locate(self.resolver.recipe.tree, words)
            return self.statement(name, node, "")
        draft = self.resolver.drafts.get(words[1])
        if draft is None or words[2] != "params":
            return None
        parameter_node = self.sayer(draft, tuple(words[3:]))
        return self.statement(name, parameter_node, draft.name) if parameter_node else None

    def every(self, draft: Draft, path: Path) -> "list[_Claim]":
        """Return every claim on a parameter: its stage's, then that of its tool's defaults."""
        whole = ("stages", draft.name, PARAMS, *path)
        claims = self.claims(draft.node, (PARAMS, *path), whole)
        if draft.tool is None:
            return claims
        tree = self.resolver.recipe.tree
        return claims + self.claims(tree, ("defaults", draft.tool.name, *path), whole)

    def claims(self, root: Node, path: Path, whole: Path) -> "list[_Claim]":
        """Return what says or hides the value at `path`, the nearest first, not endlessly many.

        `whole` is what ``--set`` calls it.
        """
        claims: list[_Claim] = []
        waiting: list[tuple[Node, int] | _Claim] = [(root, 0)]
        while waiting and len(claims) < self.most:
            here = waiting.pop()
            if isinstance(here, _Claim):
                claims.append(here)
                continue
            node, depth = here
            name = dotted(whole[: len(whole) - len(path) + depth])
            waiting += [] if node.over is None else [(node.over, depth)]
            if node.over is not None or node.tag:
                waiting.append(_Claim(node=node, name=name, says=False))
            child = _child(node, path[depth]) if depth < len(path) else None
            if node.tag == "reset":
                continue
            if child is not None:
                waiting.append((child, depth + 1))
            elif depth == len(path) or self.makes(node, path[depth:]):
                claims.append(_Claim(node=node, name=name, says=True))
            elif not isinstance(node.value, dict):
                claims.append(_Claim(node=node, name=name, says=False))
        return claims

    def makes(self, node: Node, path: Path) -> bool:
        """Return whether a template makes a mapping with something at `path`."""
        if not (isinstance(node.value, str) and render.is_template(node.value)):
            return False
        return _within(self.resolver.fill(node, "").value, path) is not NOTHING

    def removal(self, claims: "Sequence[_Claim]", stage: str, value: Any) -> Statement | None:
        """Return what took a value away that is said nowhere any more, None if nothing did."""
        first = next((at for at, claim in enumerate(claims) if claim.says), 0)
        if not first:
            return None
        node, name = claims[first - 1].node, claims[first - 1].name
        if node.tag:
            return Statement(
                name=name, mark=node.key_mark, text=Removal(f"!{node.tag}"), value=value
            )
        return self.statement(name, node, stage, value)


class _Claim(Struct, frozen=True, kw_only=True):
    """A node that says a value, or that hides what is below it; `name` is the node's."""

    node: Node
    name: str
    says: bool


def _losers(claims: Iterable[_Claim], winner: Node | None = None) -> tuple[Statement, ...]:
    """Return what a value overruled, also what a mapping around it replaced."""
    nodes = [claim.node for claim in claims if claim.says]
    losers = [node for node in nodes if winner is None or node.mark != winner.mark]
    return tuple(Statement(name="", mark=node.mark, text=node.plain()) for node in losers)


def _everywhere(node: Node, above: Path) -> Iterator[Path]:
    """Yield the path of every value in a node, also of those that are overruled or removed."""
    for layer in (node, *node.losers()):
        if isinstance(layer.value, dict):
            for key, child in {**layer.value, **(layer.removed or {})}.items():
                yield from _everywhere(child, (*above, key))
        elif layer.tag != "reset":
            yield above


def _child(node: Node, step: str | int) -> Node | None:
    """Return what a mapping or a list has at a step, also where it was removed."""
    if isinstance(node.value, dict):
        child: Node | None = node.value.get(step)
        return (node.removed or {}).get(str(step)) if child is None else child
    inside = isinstance(node.value, list) and isinstance(step, int) and step < len(node.value)
    return node.value[step] if inside else None


def _smoke_origin(origin: Origin, value: Any) -> Origin:
    """Return the origin of a value that a smoke run puts in another's place."""
    losers = (origin.winner, *origin.losers) if origin.winner else origin.losers
    return replace(origin, value=value, winner=None, losers=losers, because="--smoke")


def _leaf_nodes(
    nodes: Mapping[Any, Node], above: Path, *, entries: bool = False
) -> Iterator[tuple[Path, Node]]:
    for name, node in nodes.items():
        path = (*above, name)
        if isinstance(node.value, dict) and node.value:
            yield from _leaf_nodes(node.value, path, entries=entries)
            continue
        yield path, node
        if entries and isinstance(node.value, list):
            yield from _leaf_nodes(dict(enumerate(node.value)), path, entries=True)


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
