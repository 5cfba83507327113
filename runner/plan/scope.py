"""The names a template sees: ``vars``, ``stages``, ``stage``, ``recipe``, ``env``, ``metrics``."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from runner.base.problems import nearest, offer
from runner.base.secrets import secret_name
from runner.plan.inheritance import Draft
from runner.recipe.load import Recipe
from runner.recipe.node import Node
from runner.recipe.template.operators import kind
from runner.recipe.template.sandbox import Function, Scope, TemplateError
from runner.recipe.yaml_scalars import scalar

Use = tuple[str, ...]
_UNSET = object()


class Lookup(Protocol):
    """Where the values behind the names come from."""

    recipe: Recipe
    environ: Mapping[str, str]

    def draft(self, name: str) -> Draft:
        """Return the stage called `name`; raises TemplateError if there is none."""

    def output(self, stage: str, name: str) -> Any:
        """Return the path of a stage's output; raises TemplateError."""

    def parameter(self, stage: str, name: str) -> Any:
        """Return the value of a stage's parameter; raises TemplateError."""

    def variable(self, path: Use) -> Any:
        """Return the value of a var; raises TemplateError."""

    def own(self) -> str:
        """Return the stage being filled in; raises TemplateError outside of one."""


class ToldError(TemplateError):
    """A template reads a value whose own problem is already reported."""

    def __init__(self) -> None:
        super().__init__("already told")


def scope(lookup: Lookup) -> dict[str, Any]:
    """Return what every template of a recipe sees."""
    recipe = lookup.recipe
    return {
        "vars": Vars(lookup, recipe.section("vars"), ()),
        "recipe": _Recipe(recipe),
        "stages": _Stages(lookup),
        "stage": _Own(lookup),
        "env": _Env(lookup),
        "metrics": _Metrics(),
    }


class Vars(Scope):
    """``vars`` in a template, and any mapping inside it."""

    def __init__(self, lookup: Lookup, nodes: Mapping[str, Node], path: Use) -> None:
        self._lookup, self.nodes, self.path = lookup, nodes, path
        self._sorted: list[str] | None = None
        self.title = ".".join(("vars", *path))

    def lookup(self, name: str) -> Any:
        """Return a var, or the names inside it where it is a mapping."""
        node = self._node(name)
        path = (*self.path, name)
        if isinstance(node.value, dict):
            return Vars(self._lookup, node.value, path)
        return self._lookup.variable(path)

    def names(self) -> Iterable[str]:
        """Return the names of the vars."""
        return self.nodes

    def whole(self) -> Any:
        """Return the whole mapping, every value filled in."""
        return {
            name: child.whole() if isinstance(child := self.lookup(name), Scope) else child
            for name in self.nodes
        }

    def check(self, words: Use) -> None:
        """Raise TemplateError if a name does not exist, without asking for its value."""
        if words:
            node = self._node(words[0])
            if isinstance(node.value, dict):
                Vars(self._lookup, node.value, (*self.path, words[0])).check(words[1:])

    def _dashed(self, name: str) -> bool:
        """Return whether a known name goes on with a dash, which an expression reads as a minus."""
        if self._sorted is None:
            self._sorted = sorted(self.nodes)
        at = bisect_left(self._sorted, f"{name}-")
        return self._sorted[at : at + 1] != [] and self._sorted[at].startswith(f"{name}-")

    def _node(self, name: str) -> Node:
        node = self.nodes.get(name)
        if node is not None:
            return node
        section = self._lookup.recipe.tree.get("vars")
        unread = section is not None and not isinstance(section.value, dict)
        dashed = self._dashed(name)
        if unread or dashed or self._lookup.recipe.missing_files:
            raise ToldError
        if not self.nodes and not self.path:
            hint = f"the recipe has no vars: write vars: {{{name}: …}}"
            raise TemplateError(f"vars has no '{name}'", hint, "undefined")
        hint, neighbour = offer(name, self.nodes), nearest(name, self.nodes)
        suggestion = ("vars", *self.path, neighbour) if neighbour else ()
        raise TemplateError(f"{self.title} has no '{name}'", hint, "undefined", suggestion)


class _Recipe(Scope):
    title = "recipe"

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def lookup(self, name: str) -> Any:
        if name not in self.names():
            raise TemplateError(f"recipe has no '{name}'", offer(name, self.names()), "undefined")
        return getattr(self.recipe, name)

    def names(self) -> Iterable[str]:
        return ("name", "dir", "file")


class _Stages(Scope):
    title = "stages"

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def lookup(self, name: str) -> Any:
        return _Stage(self._lookup, self._lookup.draft(name))

    def names(self) -> Iterable[str]:
        return self._lookup.recipe.section("stages")


class _Stage(Scope):
    def __init__(self, lookup: Lookup, draft: Draft) -> None:
        self._lookup, self.draft = lookup, draft
        self.title = f"stages.{draft.name}"

    def lookup(self, name: str) -> Any:
        if name == "params":
            return _Params(self._lookup, self.draft)
        return self._lookup.output(self.draft.name, name)

    def names(self) -> Iterable[str]:
        return (*(self.draft.tool.outputs if self.draft.tool else ()), "params")


class _Own(Scope):
    title = "stage"

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def lookup(self, name: str) -> Any:
        stage = self._lookup.own()
        return (
            stage
            if name == "name"
            else _Stage(self._lookup, self._lookup.draft(stage)).lookup(name)
        )

    def names(self) -> Iterable[str]:
        return ("name", "params")


class _Params(Scope):
    def __init__(self, lookup: Lookup, draft: Draft) -> None:
        self._lookup, self.draft = lookup, draft
        self.title = f"stages.{draft.name}.params"

    def lookup(self, name: str) -> Any:
        return self._lookup.parameter(self.draft.name, name)


class _Metrics(Scope):
    title = "metrics"

    def lookup(self, _: str) -> Any:
        raise self.refusal()

    def refusal(self) -> TemplateError:
        """Return the error of what is measured later, as a whole and in each of its names."""
        hint = "write it as an 'expect' line of the stage"
        return TemplateError("metrics exist only in 'expect'", hint, "undefined")

    def whole(self) -> Any:
        self.lookup("")


class _Env(Function):
    """``env(NAME, DEFAULT)``: an environment variable, as text or as the type of its default."""

    def __init__(self, lookup: Lookup) -> None:
        super().__init__("env", "env('NAME', DEFAULT)", self.variable)
        self._lookup = lookup

    def variable(self, name: str, default: Any = _UNSET) -> Any:
        """Return a variable's value, its default where it is not set; raises TemplateError."""
        if not isinstance(name, str) or not name:
            raise TemplateError("env takes a variable's name", "write env('NAME', DEFAULT)")
        if secret_name(name):
            hint = "the tools read it from the environment"
            raise TemplateError(
                f"'{name}' looks like a secret; it would be stored in the plan", hint
            )
        text = self._lookup.environ.get(name)
        if text is None:
            if default is _UNSET:
                hint = f"set it, or write env('{name}', DEFAULT)"
                why = f"the environment has no {name}"
                raise TemplateError(why, hint, "undefined", about=("env", name))
            return default
        if not text.strip() and text != default:
            out = "unset it" if default is _UNSET else "unset it for the default"
            hint = f"give it a value, or {out}: unset {name}"
            hint += f"; for an empty text, write env('{name}', '')"
            raise TemplateError(f"{name} is empty in the environment", hint, "empty-value")
        if default is _UNSET or isinstance(default, str) or default is None:
            return text
        return _convert(name, text, default)


def _convert(name: str, text: str, default: Any) -> Any:
    """Return an environment variable's text as a value of its default's type."""
    try:
        value = scalar(text.strip())
    except ValueError:
        value = text
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    if type(value) is type(default) or (type(default) is int and type(value) is float):
        return value
    raise TemplateError(f"{name} must be {kind(default)} like its default, not {text!r}")
