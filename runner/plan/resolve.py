"""A recipe's values filled in: templates, outputs of other stages, and what each value reads."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any

from msgspec import Struct, field

from runner.base.problems import Mark, Problem, as_yaml, offer, suggest
from runner.catalog.tools import Catalog, Output, Tool, applies, complete
from runner.plan.budget import Rows, iterations
from runner.plan.inheritance import Budget, Draft
from runner.plan.model import Plan, Stage
from runner.plan.references import Order, References, in_order
from runner.plan.scope import ToldError, Use, Vars, scope
from runner.recipe.load import Recipe
from runner.recipe.node import MISSING, Node, locate
from runner.recipe.size import count
from runner.recipe.template import render
from runner.recipe.template.allowance import Allowance
from runner.recipe.template.expressions import SPENT, evaluate, names, spend
from runner.recipe.template.sandbox import TemplateError

MAX_ROW, SHOWN = 40, 20
"""Values that need each other may be so many deep, and of a cycle so many are shown whole."""
_OWN = re.compile(r"\bstage\b")
_VARS = re.compile(r"\bvars((?:\.[A-Za-z_]\w*)+)")
_SCALARS = {bool, int, float}
Troubles = dict[Problem, frozenset[Mark]]
"""Problems, each with the places of the values that its template reads."""


class Filled(Struct, kw_only=True, eq=False):
    """A node filled in: its value, and what that was made of.

    `names` are the values its templates read, `mentions` the vars that they would read in branches
    not taken; `outputs` are those outputs of stages that stand anywhere behind it. `troubles` are
    the problems of its own templates. It is `whole` where nothing in it is MISSING.
    """

    value: Any = None
    whole: bool = True
    names: set[Use] = field(default_factory=set)
    mentions: set[Use] = field(default_factory=set)
    outputs: frozenset[Use] = frozenset()
    troubles: Troubles = field(default_factory=dict)

    @property
    def problems(self) -> list[Problem]:
        """The problems of its own templates."""
        return list(self.troubles)

    @property
    def reads(self) -> set[Use]:
        """The names that count as read, those of branches not taken among them."""
        return self.names | self.mentions

    def note(self, uses: Iterable[Use]) -> None:
        """Add names that are read."""
        new = set(uses)
        self.names |= new
        self.add_outputs(frozenset(use for use in new if _is_output(use)))

    def add(self, other: "Filled") -> None:
        """Add what a part of the value was made of."""
        self.names |= other.names
        self.mentions |= other.mentions
        self.whole = self.whole and other.whole
        self.troubles.update(other.troubles)
        self.add_outputs(other.outputs)

    def add_outputs(self, outputs: frozenset[Use]) -> None:
        """Add outputs; equal sets stay one, or a chain would take the square of its length."""
        if not outputs <= self.outputs:
            self.outputs = outputs if self.outputs <= outputs else self.outputs | outputs


def _is_output(use: Use) -> bool:
    """Return whether a name is an output of a stage, which must run first."""
    return use[0] == "made" or (use[0] == "stages" and use[2] != "params")


class Resolver:
    """Fills in one recipe: each named value once, in the order of what it reads.

    A value that cannot be made is MISSING. `rows` counts the rows of data on this disk: a budget
    asks for them.
    """

    def __init__(
        self,
        recipe: Recipe,
        catalog: Catalog,
        drafts: Mapping[str, Draft],
        environ: Mapping[str, str],
        rows: Rows | None = None,
    ) -> None:
        self.recipe = recipe
        self.catalog = catalog
        self.drafts = drafts
        self.environ = environ
        self.allowance = Allowance()
        self.values: dict[Use, Filled] = {}
        self._rows = rows
        self._references = References(recipe.section("vars"), drafts)
        self._made: dict[tuple[str, str], bool] = {}
        self._texts: dict[tuple[str, str], Filled] = {}
        self._spent = False
        self._stage = ""
        self._here: list[Filled] = []
        self._trail: dict[Use, None] = {}
        self._scope = scope(self)
        self._order: Order = in_order(self._roots(), self._references.behind)
        for use in self._order.values:
            with suppress(ToldError):
                self.named(use)

    def _roots(self) -> Iterator[Use]:
        """Yield the named values that are referred to from anywhere but from other ones."""
        of = self._references.of
        for name, draft in self.drafts.items():
            for key, node in draft.node.value.items() if isinstance(draft.node.value, dict) else ():
                if key == "expect":
                    for line in node.value if isinstance(node.value, list) else ():
                        text = line.value if isinstance(line.value, str) else ""
                        yield from self._references.in_expression(text, name)
                elif key != "params":
                    yield from of(node, name)
            yield from of(draft.params, name)
        for key in ("description", "track"):
            declared = self.recipe.tree.get(key)
            if declared is not None:
                yield from of(declared, "")

    @property
    def size(self) -> int:
        """How many values the recipe holds, with what its stages inherit."""
        nodes = [draft.node for draft in self.drafts.values()]
        return sum(map(count, (*nodes, *self.recipe.section("vars").values())))

    def fill(self, node: Node, stage: str) -> Filled:
        """Return a node with its templates filled in for a stage."""
        with self._filling(stage) as filled:
            if isinstance(node.value, dict):  # of what is in it much is shared, of itself nothing
                filled.value = {key: self._fill(child) for key, child in node.value.items()}
            else:
                filled.value = self._fill(node)
        return filled

    def read(self, words: Use, stage: str) -> Filled:
        """Return what a dotted name is in a stage; raises TemplateError where it is none."""
        with self._filling(stage) as filled:
            filled.value = evaluate(".".join(words), self._scope, self.allowance)
        return filled

    def behind(self, filled: Filled) -> Iterator[Use]:
        """Yield each name that is read anywhere behind a value, once."""
        past: set[Use] = set()
        waiting = sorted(filled.names)[::-1]
        while waiting:
            use = waiting.pop()
            if use in past:
                continue
            past.add(use)
            yield use
            if use in self.values:
                waiting += sorted(self.values[use].names - past, reverse=True)

    def spend(self, text: str) -> None:
        """Count the work of reading an expression that is computed later; raises TemplateError."""
        spend(text, self.allowance)

    def outputs(self, draft: Draft) -> dict[str, str]:
        """Return every output of a stage by name, as paths."""
        paths = {}
        for name, output in (draft.tool.outputs if draft.tool else {}).items():
            if self.makes(draft, output):
                with suppress(ToldError):  # its own value is told, and no path
                    paths[name] = self.output(draft.name, name)
        return {name: path for name, path in paths.items() if isinstance(path, str)}

    def makes(self, draft: Draft, output: Output) -> bool:
        """Return whether a stage makes an output, False if that cannot be known."""
        try:
            return self._makes(draft, output)
        except TemplateError:
            return False

    def place(self, draft: Draft, param: str) -> str | None:
        """Return where the runner puts an output the recipe does not name, None for the rest."""
        for output in draft.tool.outputs.values() if draft.tool else ():
            if output.param == param and output.place and self._makes(draft, output):
                return output.within(draft.name)
        return None

    def complete(self, draft: Draft, tool: Tool, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return every parameter of a stage's tool with its value, `params` being those it says."""
        makers = {
            output.param: output
            for output in tool.outputs.values()
            if output.param and output.param not in params
        }
        places = {
            name: place
            for name, output in makers.items()
            if self.makes(draft, output) and (place := self.place(draft, name)) is not None
        }
        return complete(tool.schema, {**params, **places}, tool.schema)

    def vars_of(self, texts: Iterable[str]) -> dict[str, Any]:
        """Return the vars that these expressions read, with their values."""
        read = {words[1] for text in texts for words in names(text) if words[0] == "vars"}
        variables: Vars = self._scope["vars"]
        return {name: render.plain(variables.lookup(name), self.allowance) for name in sorted(read)}

    def draft(self, name: str) -> Draft:
        """Return the stage called `name`; raises TemplateError if there is none."""
        if name in self.drafts:
            return self.drafts[name]
        if self.recipe.missing_files or not self.drafts:
            raise ToldError
        why = f"the recipe has no stage '{name}'"
        raise TemplateError(why, offer(name, self.drafts), "undefined")

    def output(self, stage: str, name: str) -> Any:
        """Return the path of a stage's output; raises TemplateError."""
        draft = self.draft(stage)
        if draft.tool is None:
            raise ToldError
        output = draft.tool.outputs.get(name)
        if output is None:
            raise _no_output(draft, name)
        if not self._makes(draft, output):
            condition = ", ".join(f"{k}: {as_yaml(v)}" for k, v in output.when.items())
            why = f"stage '{stage}' does not make '{name}'"
            raise TemplateError(why, f"add '{condition}' to get it", "undefined")
        self._note({("stages", stage, name), ("made", stage, name)})
        if output.param:
            return self.parameter(stage, output.param)
        params = {o.param for o in draft.tool.outputs.values() if o.param}
        values = {name: self.parameter(draft.name, name) for name in sorted(params)}
        return (output.path or "").format(**values)

    def parameter(self, stage: str, name: str) -> Any:
        """Return the value of a stage's parameter; raises TemplateError."""
        draft = self.draft(stage)
        if draft.tool is None:
            raise ToldError
        if name not in draft.tool.parameters:
            reason = draft.tool.schema.get("x-not", {}).get(name)
            hint = reason or suggest(name, draft.tool.parameters)
            raise TemplateError(f"{draft.tool.name} has no parameter '{name}'", hint, "undefined")
        declared = draft.params.get(name)
        self._note({("stages", stage, "params", name)})
        for output in draft.tool.outputs.values():
            if output.param == name and name not in output.when and self._makes(draft, output):
                self._note({("stages", stage, output.name)})
        if declared is None:
            place = self.place(draft, name)
            return draft.tool.defaults.get(name) if place is None else place
        return self.named(("stages", stage, "params", name))

    def variable(self, path: Use) -> Any:
        """Return the value of a var; raises ToldError where it has none."""
        self._note({("vars", *path)})
        return self.named(("vars", *path))

    def own(self) -> str:
        """Return the stage being filled in; raises TemplateError outside of one."""
        if not self._stage:
            why = "'stage' is the stage a value belongs to, but a var belongs to no stage"
            raise TemplateError(why, "write stages.NAME", "undefined")
        return self._stage

    def named(self, use: Use) -> Any:
        """Return a named value, made where it is not yet; raises ToldError where it has none.

        One that needs itself is a problem of the template that closes the cycle.
        """
        filled = self.values.get(use)
        if filled is None:
            node, stage = self._references.source(use)
            if node is None or not self._references.made_of(node):
                value, whole = (None, True) if node is None else self._references.plain(node)
                if not whole:
                    raise ToldError
                return value
            if use in self._trail:
                raise _circle([*self._trail][[*self._trail].index(use) :])
            if len(self._trail) >= MAX_ROW:  # they are in order: only a cycle goes so deep
                raise _large_circle(self._order.circle(next(iter(self._trail))) or self._trail)
            self._trail[use] = None
            filled = self.values[use] = self.fill(node, stage)
            del self._trail[use]
        if self._here:
            self._here[-1].add_outputs(filled.outputs)
        if not filled.whole:
            raise ToldError
        return filled.value

    def troubles(self, filled: Iterable[Filled]) -> Troubles:
        """Return the problems of values, and of everything behind them."""
        result: Troubles = {}
        waiting = list(filled)
        past: set[Use] = set()
        while waiting:
            here = waiting.pop()
            result.update(here.troubles)
            new = {use for use in here.names if use in self.values} - past
            past |= new
            waiting += [self.values[use] for use in new]
        return result

    def trouble(self, node: Node, error: TemplateError) -> Filled:
        """Return a template's error as a problem, with the files that inherit it.

        What a broken template reads counts as read: that is not a second mistake.
        """
        filled = Filled(value=MISSING, whole=False)
        if isinstance(node.value, str):
            filled.mentions |= mentions(node.value)
        if isinstance(error, ToldError) or (error.rule == SPENT and self._spent):
            return filled
        self._spent = self._spent or error.rule == SPENT
        notes = list(self.recipe.inherited(node))
        if error.near:
            filled.mentions.add(error.near)
            at = locate(self.recipe.tree, error.near)
            if error.rule != "undefined" and not isinstance(at.value, dict | list):
                notes.append((at.mark, f"{'.'.join(error.near)} is {as_yaml(at.value)} here"))
        hint = error.hint
        if error.rule == "template-cycle":
            hint = hint or self._of_itself(node)
        problem = Problem(
            mark=node.mark,
            message=str(error),
            rule=error.rule,
            hint=hint,
            notes=tuple(notes),
            about=error.about,
        )
        filled.troubles[problem] = frozenset(self._marks(node))
        return filled

    def _of_itself(self, node: Node) -> str:
        """Return how to fix it for a value that reads itself, or the mapping that it is in."""
        for words in sorted(render.reads(node.value)):
            owner = self._stage if words[0] == "stage" else words[1] if words[1:] else ""
            draft = self.drafts.get(owner)
            path = words[words.index("params") + 1 :] if draft and "params" in words else ()
            target = locate(draft.params, path) if draft and len(path) > 1 else node
            if not isinstance(target.value, dict | list) and not render.is_template(
                str(target.value)
            ):
                name = ".".join(words)
                value = as_yaml(target.value)
                return f"write {value} for {name}: nothing reads the value that contains it"
        return "write a value in its place"

    def _marks(self, node: Node) -> Iterator[Mark]:
        """Yield the places of the vars and parameters that a broken template reads."""
        try:
            read = render.reads(node.value) if isinstance(node.value, str) else frozenset()
        except TemplateError:
            return
        for words in read:
            source: Node | None = None
            if words[0] == "vars":
                source = locate(self.recipe.tree, words)
            elif "params" in words[1:3]:
                draft = self.drafts.get(self._stage if words[0] == "stage" else words[1])
                source = draft.params.get(words[-1]) if draft else None
            if source is not None and source is not node:
                yield source.mark

    def _makes(self, draft: Draft, output: Output) -> bool:
        if draft.tool is None or not output.when:
            return draft.tool is not None
        self._note([("stages", draft.name, "params", name) for name in output.when])
        known = self._made.get((draft.name, output.name))
        if known is None:
            values = {name: self.parameter(draft.name, name) for name in output.when}
            if any(
                type(values[name]) is not type(condition) for name, condition in output.when.items()
            ):
                raise ToldError  # a value of the wrong type says neither yes nor no
            known = applies({"when": output.when}, values)
            self._made[draft.name, output.name] = known
        return known

    @contextmanager
    def _filling(self, stage: str) -> Iterator[Filled]:
        """Note what is read meanwhile; ``stage`` in a template is this stage."""
        filled, before = Filled(), self._stage
        self._here.append(filled)
        self._stage = stage
        try:
            yield filled
        finally:
            self._stage = before
            self._here.pop()

    def _note(self, uses: Iterable[Use]) -> None:
        """Remember that the value now being filled in reads these."""
        if self._here:
            self._here[-1].note(uses)

    def _fill(self, node: Node) -> Any:
        value = node.value
        if value is None or type(value) in _SCALARS:
            return value
        if not self._references.made_of(node):
            value, whole = self._references.plain(node)
            self._here[-1].whole = self._here[-1].whole and whole
            return value
        if isinstance(value, dict):
            return {key: self._fill(child) for key, child in value.items()}
        if isinstance(value, list):
            return [self._fill(child) for child in value]
        return self._text(node) if isinstance(value, str) else self._count(value)

    def _text(self, node: Node) -> Any:
        """Return a text filled in; equal texts are filled in once, those of a stage once for it."""
        key = (node.value, self._stage if _OWN.search(node.value) else "")
        done = self._texts.get(key)
        try:
            if done is not None:
                render.again(done.value, self.allowance)
            else:
                done = self._rendered(node.value)
                self._texts[key] = done
        except TemplateError as error:
            done = self.trouble(node, error)
        self._here[-1].add(done)
        return done.value

    def _rendered(self, text: str) -> Filled:
        """Return a text filled in; what it reads until it fails is noted, too."""
        try:
            with self._filling(self._stage) as filled:
                filled.value = render.fill(text, self._scope, self.allowance)
                self._mention(text)
        except TemplateError:
            self._here[-1].add(filled)
            raise
        return filled

    def _mention(self, text: str) -> None:
        """Note the vars of branches not taken; raises TemplateError for an unknown one."""
        variables: Vars = self._scope["vars"]
        for words in render.reads(text):
            if words[0] == "vars":
                variables.check(words[1:])
                self._here[-1].mentions.add(words)

    def _count(self, budget: Budget) -> Any:
        """Return the iterations that a stage's budget comes to, MISSING if it comes to none."""
        iters = self._iterations(budget)
        if iters is None:
            self._here[-1].whole = False
        return MISSING if iters is None else iters

    def _iterations(self, budget: Budget) -> int | None:
        """Return the iterations of a budget, None if there are none; that is reported."""
        try:
            train, batch, data, hf_dataset = (
                self.parameter(self._stage, name) if name in budget.names else None
                for name in Budget.reads
            )
        except ToldError:
            return None
        epochs = self._fill(budget.epochs)
        if self._rows is None or not isinstance(data, str):
            return None
        rows = self._rows("" if hf_dataset else data, self._data)
        iters, problem = iterations(budget, epochs, train=train, batch=batch, data=rows)
        if problem is not None:
            self._here[-1].troubles[problem] = frozenset()
        return iters

    @cached_property
    def _data(self) -> Plan:
        """The stages that make data, as far as they are complete, to count their rows."""
        stages = []
        for draft in self.drafts.values():
            filled = self.fill(draft.params, draft.name) if draft.makes_data else None
            if draft.tool is not None and filled is not None and filled.whole:
                full = self.complete(draft, draft.tool, filled.value)
                stages.append(
                    Stage(
                        name=draft.name,
                        tool=draft.tool.name,
                        params=full,
                        outputs=self.outputs(draft),
                    )
                )
        return Plan(name=self.recipe.name, file=self.recipe.file, stages=tuple(stages))


def mentions(text: str) -> set[Use]:
    """Return the vars that a text mentions, whatever is wrong with it."""
    return {("vars", *match[1].split(".")[1:]) for match in _VARS.finditer(text)}


def _circle(values: Collection[Use]) -> TemplateError:
    """Return the error of values that need each other, the first of them again at the end."""
    if len(values) == 1:
        return TemplateError(f"{'.'.join(*values)} needs itself", "", "template-cycle")
    why = f"these values need each other: {_trail(values)}"
    return TemplateError(why, "write one of them as a value", "template-cycle")


def _large_circle(values: Collection[Use]) -> TemplateError:
    """Return the error of a cycle that is not followed to its end.

    A branch that is not taken may close it, so that nobody knows whether they need each other.
    """
    why = f"{len(values):,} values need each other: {_trail(values)}"
    return TemplateError(why, "write one of them as a value", "template-cycle")


def _trail(values: Collection[Use]) -> str:
    circle = [".".join(use) for use in values]
    trail = [*circle[:6], f"… ({len(circle) - 6} more)"] if len(circle) > SHOWN else circle
    return " -> ".join([*trail, circle[0]])


def _no_output(draft: Draft, name: str) -> TemplateError:
    tool = draft.tool
    candidates = [*(tool.outputs if tool else ()), "params"]
    if name in (tool.parameters if tool else ()):
        hint = f"a parameter is stages.{draft.name}.params.{name}"
    elif name == "metrics":
        hint = "metrics exist only in 'expect', after the stage has run"
    elif tool and name in tool.metrics:
        hint = f"a metric is stages.{draft.name}.metrics.{name}"
    else:
        hint = offer(name, candidates)
    what = tool.name if tool else "this stage"
    return TemplateError(f"{what} has no output '{name}'", hint, "undefined")
