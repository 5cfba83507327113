"""A recipe's stages with everything filled in: inheritance, templates, defaults, and their uses."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from runner.core import template
from runner.core.catalog import Catalog, Output, Tool, applies
from runner.core.check import MISSING, Missing
from runner.core.document import RUN_DIR, Node, scalar
from runner.core.problem import Mark, Problem, listing, suggest
from runner.core.recipe import Recipe, merge, settle
from runner.core.template import Scope, TemplateError

Use = tuple[str, ...]
_SECRET = ("TOKEN", "SECRET", "PASSWORD", "API_KEY", "CREDENTIAL")
_OWN = re.compile(r"\bstage\b")
_UNSET = object()


@dataclass(frozen=True, slots=True)
class Draft:
    """A stage after inheritance, before its templates are filled in."""

    name: str
    node: Node
    tool: Tool | None
    given: Node


@dataclass(slots=True)
class Uses:
    """What templates read: a set for each value being filled in."""

    stack: list[set[Use]] = field(default_factory=list)

    def note(self, use: Use) -> None:
        """Remember a use for every value now being filled in."""
        for uses in self.stack:
            uses.add(use)


class Resolver:
    """Fills in one recipe; problems are collected, and values that cannot be made are MISSING."""

    def __init__(self, recipe: Recipe, catalog: Catalog, environ: Mapping[str, str]) -> None:
        self.recipe = recipe
        self.catalog = catalog
        self.environ = environ
        self.problems: list[Problem] = []
        self.used: set[Use] = set()
        self._uses = Uses()
        self._cache: dict[tuple[str, str], tuple[Any, frozenset[Use]]] = {}
        self._stage = ""
        self._trail: list[tuple[str, Mark]] = []
        self._values: dict[Use, tuple[Any, frozenset[Use]]] = {}
        self.drafts: dict[str, Draft] = {}
        self._merged: dict[str, Node] = {}
        for name in recipe.section("stages"):
            self.drafts[name] = self._drafted(name, self._inherited(name, ()))
        self._scope: dict[str, Any] = {
            "vars": _Vars(self, recipe.section("vars"), ()),
            "recipe": {"name": recipe.name, "dir": recipe.dir, "file": recipe.file},
            "stages": _Stages(self),
            "stage": _Own(self),
            "env": partial(_env, self),
            "metrics": _Metrics(),
        }

    def fill(self, node: Node, stage: str) -> tuple[Any, frozenset[Use]]:
        """Return a node's value with its templates filled in for a stage, and what they read."""
        with self._recording() as uses, self._inside(stage):
            value = self._fill(node)
        self.used |= uses
        return value, frozenset(uses)

    def draft(self, name: str) -> Draft:
        """Return the stage called `name`; raises TemplateError where there is none."""
        if name in self.drafts:
            return self.drafts[name]
        known = self.recipe.section("stages")
        why = f"the recipe has no stage '{name}'"
        raise TemplateError(why, suggest(name, known, f"there are: {listing(known)}"), "undefined")

    def output(self, stage: str, name: str) -> Any:
        """Return the path of a stage's output; raises TemplateError."""
        draft = self.draft(stage)
        if draft.tool is None:
            raise ToldError
        output = draft.tool.outputs.get(name)
        if output is None:
            return self._no_output(draft, name)
        if not self._makes(draft, output):
            wanted = ", ".join(f"{k}: {str(v).lower()}" for k, v in output.when.items())
            why = f"stage '{stage}' makes no '{name}'"
            raise TemplateError(why, f"it would with '{wanted}'", "undefined")
        self._uses.note(("stages", stage, name))
        if output.param:
            return self.parameter(stage, output.param)
        return self._path(draft, output)

    def parameter(self, stage: str, name: str) -> Any:
        """Return the value of a stage's parameter; raises TemplateError."""
        draft = self.draft(stage)
        if draft.tool is None:
            raise ToldError
        if name not in draft.tool.parameters:
            hint = suggest(name, draft.tool.parameters)
            raise TemplateError(f"{draft.tool.name} has no parameter '{name}'", hint, "undefined")
        given = draft.given.get(name)
        self._uses.note(("stages", stage, "params", name))
        for output in draft.tool.outputs.values():
            if output.param == name and name not in output.when and self._makes(draft, output):
                self._uses.note(("stages", stage, output.name))
        if given is None:
            placed = self.placed(draft, name)
            return draft.tool.defaults.get(name) if placed is None else placed
        return self._once(("stages", stage, "params", name), given, stage)

    def variable(self, path: Use, node: Node) -> Any:
        """Return the value of a var, filled in once."""
        self._uses.note(("vars", *path))
        return self._once(("vars", *path), node, "")

    def placed(self, draft: Draft, param: str) -> str | None:
        """Return where the runner puts an output the recipe does not name, None for the rest."""
        outputs = draft.tool.outputs.values() if draft.tool else ()
        for output in outputs:
            if output.param == param and output.place and self._makes(draft, output):
                return f"{RUN_DIR}/{draft.name}/{output.place}"
        return None

    def outputs(self, draft: Draft) -> dict[str, str]:
        """Return every output of a stage by name, as paths."""
        found = {}
        for name, output in (draft.tool.outputs if draft.tool else {}).items():
            try:
                if self._makes(draft, output):
                    found[name] = self.output(draft.name, name)
            except TemplateError:
                continue
        return {name: path for name, path in found.items() if isinstance(path, str)}

    def check_names(self, text: str, stage: str) -> set[Use]:
        """Return what an expectation reads; raises TemplateError for a name that does not exist."""
        uses: set[Use] = set()
        for words in template.names(text):
            match words:
                case ("metrics", metric):
                    self._metric(stage, metric)
                case ("stages", other, "metrics", metric):
                    self._metric(other, metric)
                    uses.add(("stages", other, "metrics"))
                case ("vars" | "stages" | "stage" | "recipe", _, *_):
                    with self._recording() as read, self._inside(stage):
                        template.evaluate(".".join(words), self._scope)
                    uses |= read
                case _:
                    why = f"'{'.'.join(words)}' is not defined in an expectation"
                    raise TemplateError(why, "it may read metrics, stages, vars", "undefined")
        self.used |= uses
        return uses

    def named(self, texts: Iterable[str]) -> dict[str, Any]:
        """Return the vars that these expressions read, with their values."""
        words = {words[1] for text in texts for words in template.names(text) if words[0] == "vars"}
        return {
            name: template.fill(f"{{{{ vars.{name} }}}}", self._scope) for name in sorted(words)
        }

    def _metric(self, stage: str, metric: str) -> None:
        tool = self.draft(stage).tool
        if tool is not None and metric not in tool.metrics:
            why = f"{tool.name} measures no '{metric}'"
            hint = suggest(metric, tool.metrics, f"there are: {listing(tool.metrics)}")
            raise TemplateError(why, hint, "undefined")

    def _makes(self, draft: Draft, output: Output) -> bool:
        tool = draft.tool
        return tool is not None and applies(
            {"when": output.when}, {name: self.parameter(draft.name, name) for name in output.when}
        )

    def _path(self, draft: Draft, output: Output) -> str:
        tool = draft.tool
        params = {o.param for o in (tool.outputs.values() if tool else ()) if o.param}
        values = {name: self.parameter(draft.name, name) for name in params}
        return (output.path or "").format(**values)

    def _no_output(self, draft: Draft, name: str) -> Any:
        tool = draft.tool
        known = [*(tool.outputs if tool else ()), "params"]
        if name in (tool.parameters if tool else ()):
            hint = f"a parameter is stages.{draft.name}.params.{name}"
        elif name == "metrics":
            hint = "metrics exist only in 'expect', after the stage has run"
        else:
            hint = suggest(name, known, f"there are: {listing(known)}")
        what = tool.name if tool else "this stage"
        raise TemplateError(f"{what} has no output '{name}'", hint, "undefined")

    def _inherited(self, name: str, trail: tuple[str, ...]) -> Node:
        """Return a stage laid over the stage it extends."""
        known = self.recipe.section("stages")
        own = known[name]
        said = own.get("extends")
        if name in self._merged or said is None or not isinstance(said.value, str):
            return self._merged.get(name, own)
        parent = self._parent(name, said, trail)
        if parent is not None and isinstance(own.value, dict) and isinstance(parent.value, dict):
            bare = {key: child for key, child in own.value.items() if key != "extends"}
            rest = {k: v for k, v in parent.value.items() if k not in {"extends", "description"}}
            own = merge(replace(parent, value=rest), replace(own, value=bare))
        self._merged[name] = own
        return own

    def _parent(self, name: str, said: Node, trail: tuple[str, ...]) -> Node | None:
        known = self.recipe.section("stages")
        if said.value not in known:
            why = f"'{name}' extends '{said.value}', which is not a stage"
            hint = suggest(said.value, known, f"there are: {listing(known)}")
            self.problems.append(Problem(said.mark, why, "unknown-stage", hint))
            return None
        if said.value in (*trail, name):
            circle = " -> ".join((*trail, name, said.value))
            why = f"stages extend each other in a circle: {circle}"
            self.problems.append(Problem(said.mark, why, "stage-cycle", "break the circle"))
            return None
        return self._inherited(said.value, (*trail, name))

    def _drafted(self, name: str, node: Node) -> Draft:
        said = node.get("tool")
        tool = None
        if said is not None and isinstance(said.value, str):
            tool = self.catalog.get(said.value)
        given = node.get("params")
        if given is None or not isinstance(given.value, dict):
            given = Node({}, node.file, node.line, node.column, node.key)
        defaults = self.recipe.section("defaults").get(tool.name) if tool else None
        if defaults is not None and isinstance(defaults.value, dict):
            given = merge(defaults, given)
        return Draft(name, node, tool, settle(given, self.problems))

    @contextmanager
    def _recording(self) -> Iterator[set[Use]]:
        uses: set[Use] = set()
        self._uses.stack.append(uses)
        try:
            yield uses
        finally:
            self._uses.stack.pop()

    @contextmanager
    def _inside(self, stage: str) -> Iterator[None]:
        """Fill in for one stage: ``stage`` in a template is that stage."""
        before, self._stage = self._stage, stage
        try:
            yield
        finally:
            self._stage = before

    def own(self) -> str:
        """Return the stage being filled in; raises TemplateError outside of one."""
        if not self._stage:
            why = "'stage' is the stage a value belongs to, and a var belongs to none"
            raise TemplateError(why, "write stages.NAME", "undefined")
        return self._stage

    def _once(self, path: Use, node: Node, stage: str) -> Any:
        """Fill in a named value once; a value that needs itself is a problem with its circle."""
        if path not in self._values:
            name = ".".join(path)
            if name in [known for known, _ in self._trail]:
                raise self._circle(name)
            self._trail.append((name, node.mark))
            try:
                with self._recording() as uses, self._inside(stage):
                    value = self._fill(node)
            finally:
                self._trail.pop()
            self._values[path] = (value, frozenset(uses))
        value, seen = self._values[path]
        for use in seen:
            self._uses.note(use)
        if isinstance(value, Missing):
            raise ToldError
        return value

    def _circle(self, name: str) -> TemplateError:
        known = [step for step, _ in self._trail]
        circle = " -> ".join([*known[known.index(name) :], name])
        return TemplateError(f"these values need each other: {circle}", "", "template-cycle")

    def _fill(self, node: Node) -> Any:
        if isinstance(node.value, dict):
            return {key: self._fill(child) for key, child in node.value.items()}
        if isinstance(node.value, list):
            return [self._fill(child) for child in node.value]
        if isinstance(node.value, str) and template.is_template(node.value):
            return self._text(node)
        return node.value

    def _text(self, node: Node) -> Any:
        """Return a text filled in; equal texts are filled in once, those of a stage once for it."""
        key = (node.value, self._stage if _OWN.search(node.value) else "")
        if key not in self._cache:
            try:
                with self._recording() as uses:
                    value = template.fill(node.value, self._scope)
            except TemplateError as error:
                self.tell(node, error)
                return MISSING
            self._cache[key] = (value, frozenset(uses))
        value, seen = self._cache[key]
        for use in seen:
            self._uses.note(use)
        return value

    def tell(self, node: Node, error: TemplateError) -> None:
        """Keep a template's error as a problem, with the files that inherit it."""
        if isinstance(error, ToldError):
            return
        notes = tuple((mark, "inherited here") for mark in self.recipe.trail.get(node.file, ()))
        problem = Problem(node.mark, str(error), error.rule, error.hint, notes)
        if problem not in self.problems:
            self.problems.append(problem)


class ToldError(TemplateError):
    """A template reads a value whose own problem is already told."""

    def __init__(self) -> None:
        super().__init__("already told")


class _Vars(Scope):
    """``vars`` in a template, and any mapping inside it."""

    def __init__(self, resolver: Resolver, known: Mapping[str, Node], path: Use) -> None:
        self.resolver, self.known, self.path = resolver, known, path

    def lookup(self, name: str) -> Any:
        node = self.known.get(name)
        if node is None:
            owner = ".".join(("vars", *self.path))
            hint = suggest(
                name, self.known, f"there are: {listing(self.known)}" if self.known else ""
            )
            raise TemplateError(f"{owner} has no '{name}'", hint, "undefined")
        path = (*self.path, name)
        if isinstance(node.value, dict):
            return _Vars(self.resolver, node.value, path)
        return self.resolver.variable(path, node)

    def whole(self) -> Any:
        return {
            name: child.whole() if isinstance(child := self.lookup(name), Scope) else child
            for name in self.known
        }


class _Stages(Scope):
    def __init__(self, resolver: Resolver) -> None:
        self.resolver = resolver

    def lookup(self, name: str) -> Any:
        self.resolver.draft(name)
        return _Stage(self.resolver, name)


class _Stage(Scope):
    def __init__(self, resolver: Resolver, name: str) -> None:
        self.resolver, self.name = resolver, name

    def lookup(self, name: str) -> Any:
        if name == "params":
            return _Params(self.resolver, self.name)
        return self.resolver.output(self.name, name)


class _Own(Scope):
    def __init__(self, resolver: Resolver) -> None:
        self.resolver = resolver

    def lookup(self, name: str) -> Any:
        stage = self.resolver.own()
        return stage if name == "name" else _Stage(self.resolver, stage).lookup(name)


class _Params(Scope):
    def __init__(self, resolver: Resolver, stage: str) -> None:
        self.resolver, self.stage = resolver, stage

    def lookup(self, name: str) -> Any:
        return self.resolver.parameter(self.stage, name)


class _Metrics(Scope):
    def lookup(self, _: str) -> Any:
        hint = "write it as an 'expect' line of the stage"
        raise TemplateError("metrics exist only in 'expect'", hint, "undefined")


def _env(resolver: Resolver, name: str, default: Any = _UNSET) -> Any:
    """Return an environment variable, as text or as the type of its default."""
    if any(word in str(name).upper() for word in _SECRET):
        hint = "the tools read it from the environment themselves"
        raise TemplateError(f"'{name}' looks like a secret; it would stand in the plan", hint)
    said = resolver.environ.get(name)
    if said is None:
        if default is _UNSET:
            hint = f"set it, or write env('{name}', DEFAULT)"
            raise TemplateError(f"the environment has no {name}", hint, "undefined")
        return default
    if default is _UNSET or isinstance(default, str) or default is None:
        return said
    return _typed(name, said, default)


def _typed(name: str, said: str, default: Any) -> Any:
    """Return an environment variable's text as a value of its default's type."""
    try:
        value = scalar(said.strip())
    except (ValueError, IndexError):
        value = said
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    if type(value) is type(default) or (type(default) is int and type(value) is float):
        return value
    wanted = template.kind(default)
    raise TemplateError(f"{name} must be {wanted}, as its default is, not {said!r}")
