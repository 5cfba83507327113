"""A recipe's stages after inheritance: each with its tool, its own keys, and what it gives it."""

from collections.abc import Mapping
from typing import ClassVar

from msgspec import Struct
from msgspec.structs import replace

from runner.base.problems import Others, Problem, offer
from runner.catalog.tools import Catalog, Tool
from runner.recipe.load import Recipe
from runner.recipe.merge import merge, settle
from runner.recipe.node import Node
from runner.recipe.size import MAX_VALUES, beyond, count

FIXED = "templates are not allowed here: write the value out, and use a profile to vary it"


class TooLargeError(Exception):
    """Stages inherit more than a recipe may hold; `problem` says so."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Budget(Struct, frozen=True, kw_only=True):
    """The value of ``iters`` that ``budget: {epochs: N}`` asks for: it is counted from rows.

    `reads` are the parameters it is counted from, as far as the tool's `names` have them; `iters`
    is where the recipe says them, too.
    """

    reads: ClassVar[tuple[str, ...]] = ("train", "batch_size", "data", "hf_dataset")
    epochs: Node
    iters: Node | None
    names: frozenset[str]


class Draft(Struct, frozen=True, kw_only=True):
    """A stage after inheritance, before its templates are filled in.

    A stage whose inheritance is broken is not `sound`: what it lacks is not its own mistake.
    """

    name: str
    node: Node
    tool: Tool | None
    params: Node
    sound: bool = True

    @property
    def trains(self) -> bool:
        """Whether its iterations can be computed from rows, if it trains."""
        return self.tool is not None and self.tool.trains is not None and self.tool.reads_rows

    @property
    def makes_data(self) -> bool:
        """Whether its rows can be counted before it runs."""
        return self.tool is not None and any(self.tool.makes("data"))


def drafts(
    recipe: Recipe, catalog: Catalog, problems: list[Problem], *, budgets: bool
) -> dict[str, Draft]:
    """Return the recipe's stages by name, as they are written. Raises TooLargeError.

    With `budgets` a stage's ``budget`` says its ``iters``.
    """
    inheritance = _Inheritance(recipe, problems)
    size = 0
    defaults = recipe.section("defaults")
    stages = {}
    for name in recipe.section("stages"):
        node = settle(inheritance.whole(name), problems, keep=("params",))
        draft = _draft(name, node, catalog, defaults, problems)
        stages[name] = _with_budget(draft) if budgets and node.get("budget") else draft
        if name in inheritance.broken:
            stages[name] = replace(stages[name], sound=False)
        size += count(node) + count(stages[name].params)
        if size > MAX_VALUES:
            what = f"up to '{name}' the stages have {size:,} values, including inherited ones"
            raise TooLargeError(beyond(stages[name].node, what, MAX_VALUES))
    return stages


def _draft(
    name: str, node: Node, catalog: Catalog, defaults: Mapping[str, Node], problems: list[Problem]
) -> Draft:
    name_node = node.get("tool")
    tool = (
        catalog.get(name_node.value)
        if name_node is not None and isinstance(name_node.value, str)
        else None
    )
    params = node.get("params")
    sound = isinstance(node.value, dict)
    if params is None or not isinstance(params.value, dict):
        sound = sound and params is None
        params = Node(value={}, file=node.file, line=node.line, column=node.column, key=node.key)
    below = defaults.get(tool.name) if tool else None
    if below is not None and isinstance(below.value, dict):
        params = merge(below, params)
    return Draft(name=name, node=node, tool=tool, params=settle(params, problems), sound=sound)


def _with_budget(draft: Draft) -> Draft:
    """Return a stage whose ``iters`` are what its budget comes to; of none that trains, itself."""
    budget = draft.node.get("budget")
    epochs = budget.get("epochs") if budget is not None else None
    if epochs is None or not draft.trains:
        return draft
    before = draft.params.get("iters")
    names = frozenset(draft.tool.parameters if draft.tool else ())
    iters = replace(epochs, value=Budget(epochs=epochs, iters=before, names=names), over=before)
    params = replace(draft.params, value={**draft.params.value, "iters": iters})
    return replace(draft, params=params)


class _Inheritance:
    """Lays stages over the stages they extend, however many stand in a row."""

    def __init__(self, recipe: Recipe, problems: list[Problem]) -> None:
        self.recipe = recipe
        self.stages = recipe.section("stages")
        self.problems = problems
        self.wholes: dict[str, Node] = {}
        self.broken: set[str] = set()

    def whole(self, name: str) -> Node:
        """Return a stage laid over the stages it extends."""
        for stage in reversed(self.chain(name)):
            own = self.stages[stage]
            extends = own.get("extends")
            parent = (
                self.wholes.get(extends.value)
                if extends and isinstance(extends.value, str)
                else None
            )
            if parent is not None and extends is not None:
                if extends.value in self.broken:
                    self.broken.add(stage)
                own = _over(parent, own)
            self.wholes[stage] = own
        return self.wholes[name]

    def chain(self, name: str) -> list[str]:
        """Return a stage and those above it that are not merged yet, the nearest first."""
        chain: dict[str, None] = {}
        while name not in self.wholes:
            chain[name] = None
            extends = self.stages[name].get("extends")
            if extends is None:
                break
            problem = self.problem(name, extends, chain)
            if problem is not None:
                self.problems += problem
                self.broken |= chain.keys()
                break
            name = extends.value
        return list(chain)

    def problem(self, name: str, extends: Node, chain: Mapping[str, None]) -> list[Problem] | None:
        """Return what is wrong with what a stage extends, None if nothing is."""
        parent = extends.value
        notes = self.recipe.inherited(extends)
        if not isinstance(parent, str):
            return []  # told by the shape of the recipe
        if "{{" in parent:
            return [
                Problem(
                    mark=extends.mark,
                    message=f"'extends' of stage '{name}' cannot be a template",
                    rule="bad-extends",
                    hint=FIXED,
                    notes=notes,
                )
            ]
        if parent in chain:
            names = list(chain)
            circle = " -> ".join([*names[names.index(parent) :], parent])
            why = f"stages extend each other in a cycle: {circle}"
            hint = "remove this line" if parent == name else "remove one of these lines"
            return [
                Problem(mark=extends.mark, message=why, rule="stage-cycle", hint=hint, notes=notes)
            ]
        if parent not in self.stages:
            why = f"stage '{name}' extends '{parent}', which is not a stage"
            hint = offer(parent, Others(self.stages, name))
            files_are_missing = self.recipe.missing_files
            return (
                []
                if files_are_missing
                else [
                    Problem(
                        mark=extends.mark, message=why, rule="unknown-stage", hint=hint, notes=notes
                    )
                ]
            )
        return None


def _over(parent: Node, own: Node) -> Node:
    """Return a stage over the one it extends, whose description and parent are its own."""
    if not isinstance(own.value, dict) or not isinstance(parent.value, dict):
        return own
    bare = {key: child for key, child in own.value.items() if key != "extends"}
    rest = {k: v for k, v in parent.value.items() if k not in {"extends", "description"}}
    return merge(replace(parent, value=rest), replace(own, value=bare))
