"""A recipe's values filled in: templates, outputs of other stages, and what each value reads."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from msgspec import Struct, field

from runner.base.problems import Mark, Problem, as_yaml, offer, suggest
from runner.catalog.tools import Catalog, Output, applies
from runner.plan.inheritance import Draft, TooLargeError, drafts
from runner.plan.scope import ToldError, Use, Vars, scope
from runner.recipe.load import Recipe
from runner.recipe.node import MISSING, Missing, Node, locate
from runner.recipe.size import count
from runner.recipe.template import render
from runner.recipe.template.allowance import Allowance
from runner.recipe.template.expressions import SPENT, evaluate, names, spend
from runner.recipe.template.sandbox import TemplateError

T = TypeVar("T")
MAX_ROW = 20
_OWN = re.compile(r"\bstage\b")
_VARS = re.compile(r"\bvars((?:\.[A-Za-z_]\w*)+)")


class _DeeperError(Exception):
    """A value needs more values in a row than the stack should hold: make this one first.

    `depth` is how many are being made already, each for the next one.
    """

    def __init__(self, path: Use, node: Node, stage: str, depth: int) -> None:
        super().__init__(path)
        self.path, self.node, self.stage, self.depth = path, node, stage, depth


class Reads(Struct, kw_only=True, eq=False):
    """What a value reads: the names it says itself, and what the values behind them read.

    `outputs` are the outputs of stages among all of these. A value far up a chain shares what those
    below it read, or a chain would take the square of its length.
    """

    names: set[Use] = field(default_factory=set)
    inside: "list[Reads]" = field(default_factory=list)
    outputs: frozenset[Use] = frozenset()

    def note(self, uses: Iterable[Use]) -> None:
        """Add names that the value says itself."""
        new = set(uses)
        self.names |= new
        outputs = {use for use in new if _makes(use)} - self.outputs
        if outputs:
            self.outputs |= outputs

    def share(self, other: "Reads") -> None:
        """Add a value behind one of its names, with all that it reads."""
        if other.names or other.inside:
            self.inside.append(other)
        if not other.outputs <= self.outputs:
            self.outputs = (
                other.outputs if self.outputs <= other.outputs else self.outputs | other.outputs
            )

    def everything(self) -> Iterator[Use]:
        """Yield each name that is read anywhere behind the value, once."""
        past: set[Use] = set()
        visited = {id(self)}
        waiting = [self]
        while waiting:
            here = waiting.pop()
            yield from sorted(here.names - past)
            past |= here.names
            waiting += [one for one in here.inside if id(one) not in visited]
            visited.update(map(id, here.inside))


def _makes(use: Use) -> bool:
    """Say whether a name is an output of a stage, which must run first."""
    return use[0] == "made" or (use[0] == "stages" and use[2] != "params")


class Resolver:
    """Fills in one recipe; problems are collected, and values that cannot be made are MISSING.

    One that is `full` holds too much, and has that problem and no stages.
    """

    def __init__(self, recipe: Recipe, catalog: Catalog, environ: Mapping[str, str]) -> None:
        self.recipe = recipe
        self.catalog = catalog
        self.environ = environ
        self.problems: list[Problem] = []
        self.allowance = Allowance()
        self.reads: set[Use] = set()
        self.full = False
        self.drafts: dict[str, Draft] = {}
        try:
            self.drafts = drafts(recipe, catalog, self.problems)
        except TooLargeError as error:
            self.full = True
            self.problems = [error.problem]
        self._uses: list[Reads] = []
        self._texts: dict[tuple[str, str], tuple[Any, Reads]] = {}
        self._values: dict[Use, tuple[Any, Reads]] = {}
        self._stage = ""
        self._trail: dict[str, None] = {}
        self._row = 0
        self._outermost = True
        self._spent = False
        self._read: dict[Problem, frozenset[Mark]] = {}
        self._scope = scope(self)

    @property
    def size(self) -> int:
        """How many values the recipe holds, with what its stages inherit."""
        nodes = [draft.node for draft in self.drafts.values()]
        return sum(map(count, (*nodes, *self.recipe.section("vars").values())))

    def fill(self, node: Node, stage: str) -> tuple[Any, Reads]:
        """Return a node's value with its templates filled in for a stage, and what they read."""
        return self._record(lambda: self._fill(node), stage)

    def read(self, words: Use, stage: str) -> Reads:
        """Return what a dotted name reads in a stage; raises TemplateError where it is none."""
        return self._record(lambda: evaluate(".".join(words), self._scope, self.allowance), stage)[
            1
        ]

    def spend(self, text: str) -> None:
        """Count the work of reading an expression that is computed later; raises TemplateError."""
        spend(text, self.allowance)

    def outputs(self, draft: Draft) -> dict[str, str]:
        """Return every output of a stage by name, as paths."""
        paths = {}
        for name, output in (draft.tool.outputs if draft.tool else {}).items():
            if self.makes(draft, output):
                with suppress(ToldError):  # its own value is told, and no path
                    paths[name] = self._run(partial(self.output, draft.name, name))
        return {name: path for name, path in paths.items() if isinstance(path, str)}

    def makes(self, draft: Draft, output: Output) -> bool:
        """Say whether a stage makes an output, False where that cannot be known."""
        try:
            return self._run(lambda: self._makes(draft, output))
        except TemplateError:
            return False

    def place(self, draft: Draft, param: str) -> str | None:
        """Return where the runner puts an output the recipe does not name, None for the rest."""
        for output in draft.tool.outputs.values() if draft.tool else ():
            if output.param == param and output.place and self._makes(draft, output):
                return output.within(draft.name)
        return None

    def vars_of(self, texts: Iterable[str]) -> dict[str, Any]:
        """Return the vars that these expressions read, with their values."""
        read = {words[1] for text in texts for words in names(text) if words[0] == "vars"}
        return {name: self._run(partial(self._var, name)) for name in sorted(read)}

    def draft(self, name: str) -> Draft:
        """Return the stage called `name`; raises TemplateError where there is none."""
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
            why = f"stage '{stage}' makes no '{name}'"
            raise TemplateError(why, f"it would with '{condition}'", "undefined")
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
        return self._once(("stages", stage, "params", name), declared, stage)

    def variable(self, path: Use, node: Node) -> Any:
        """Return the value of a var, filled in once."""
        self._note({("vars", *path)})
        return self._once(("vars", *path), node, "")

    def own(self) -> str:
        """Return the stage being filled in; raises TemplateError outside of one."""
        if not self._stage:
            why = "'stage' is the stage a value belongs to, and a var belongs to none"
            raise TemplateError(why, "write stages.NAME", "undefined")
        return self._stage

    def tell(self, node: Node, error: TemplateError) -> None:
        """Keep a template's error as a problem, with the files that inherit it.

        What a broken template reads counts as read: that is not a second mistake.
        """
        if isinstance(node.value, str):
            self.mention(node.value)
        if isinstance(error, ToldError) or (error.rule == SPENT and self._spent):
            return
        self._spent = self._spent or error.rule == SPENT
        notes = list(self.recipe.inherited(node))
        if error.near:
            self.reads.add(error.near)
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
        if problem not in self._read:
            self._read[problem] = frozenset(self._marks(node))
            self.problems.append(problem)

    def first(self, others: Iterable[Problem]) -> list[Problem]:
        """Return the problems, without those that only follow from a value told in `others`.

        What computes with a value of the wrong type fails, too: that is not a second mistake.
        """
        errors = [one for one in others if one.severity == "error"]
        marks = {mark for one in errors for mark in (one.mark, *(mark for mark, _ in one.notes))}
        return [one for one in self.problems if not self._read.get(one, frozenset()) & marks]

    def _of_itself(self, node: Node) -> str:
        """Return the way out for a value that reads itself, or the mapping that it stands in."""
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
                return f"write {value} for {name}: no value reads what it is part of"
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

    def mention(self, text: str) -> None:
        """Count every var that a text mentions as read."""
        self.reads |= {("vars", *match[1].split(".")[1:]) for match in _VARS.finditer(text)}

    def _var(self, name: str) -> Any:
        return render.plain(self._scope["vars"].lookup(name), self.allowance)

    def _makes(self, draft: Draft, output: Output) -> bool:
        if draft.tool is None:
            return False
        values = {name: self.parameter(draft.name, name) for name in output.when}
        if any(
            type(values[name]) is not type(condition) for name, condition in output.when.items()
        ):
            raise ToldError  # a value of the wrong type says neither yes nor no
        return applies({"when": output.when}, values)

    def _record(self, work: Callable[[], T], stage: str) -> tuple[T, Reads]:
        """Do `work` for a stage, however long its chain is; return its result and what it reads."""
        return self._run(lambda: self._noting(work, stage))

    def _noting(self, work: Callable[[], T], stage: str) -> tuple[T, Reads]:
        """Do `work` where ``stage`` in a template is this stage; return its result and reads."""
        uses, before = Reads(), self._stage
        self._uses.append(uses)
        self._stage = stage
        try:
            return work(), uses
        finally:
            self._stage = before
            self._uses.pop()
            self._share(uses)

    def _run(self, work: Callable[[], T]) -> T:
        """Do `work`; a value at the end of a long row is made first, so that any row will do."""
        if not self._outermost:
            return work()
        self._outermost = False
        waiting: list[_DeeperError] = []
        try:
            while True:
                late = waiting[-1] if waiting else None
                while len(self._trail) > (late.depth if late else 0):
                    self._trail.popitem()
                self._row = 0
                try:
                    if late is None:
                        return work()
                    self._once(late.path, late.node, late.stage)
                    waiting.pop()
                except _DeeperError as deeper:
                    waiting.append(deeper)
                except TemplateError:
                    if late is None:
                        raise
                    waiting.pop()
        finally:
            self._outermost = True
            self._trail = {}

    def _once(self, path: Use, node: Node, stage: str) -> Any:
        """Fill in a named value once; a value that needs itself is a problem with its circle."""
        if path not in self._values:
            name = ".".join(path)
            if name in self._trail:
                raise self._circle(name)
            if self._row >= MAX_ROW:
                raise _DeeperError(path, node, stage, len(self._trail))
            self._trail[name] = None
            self._row += 1
            try:
                value, uses = self._noting(lambda: self._fill(node), stage)
            except _DeeperError:
                raise  # they are still being made, and a circle through them is one
            except TemplateError:
                self._trail.popitem()
                raise
            finally:
                self._row -= 1
            self._trail.popitem()
            self._values[path] = (value, uses)
        value, reads = self._values[path]
        self._share(reads)
        if incomplete(value):
            raise ToldError
        return value

    def _circle(self, name: str) -> TemplateError:
        names = list(self._trail)
        names = names[names.index(name) :]
        trail = [*names[:6], f"… ({len(names) - 6} more)"] if len(names) > MAX_ROW else names
        circle = " -> ".join([*trail, name])
        if len(names) == 1:
            return TemplateError(f"{name} needs itself", "", "template-cycle")
        why = f"these values need each other: {circle}"
        return TemplateError(why, "write one of them as a value", "template-cycle")

    def _fill(self, node: Node) -> Any:
        value = node.value
        if isinstance(value, str):
            return self._text(node) if render.is_template(value) else value
        if isinstance(value, dict):
            return {key: self._fill(child) for key, child in value.items()}
        if isinstance(value, list):
            return [self._fill(child) for child in value]
        return value

    def _text(self, node: Node) -> Any:
        """Return a text filled in; equal texts are filled in once, those of a stage once for it."""
        key = (node.value, self._stage if _OWN.search(node.value) else "")
        try:
            if key in self._texts:
                render.again(self._texts[key][0], self.allowance)
            else:
                self._texts[key] = self._noting(lambda: self._rendered(node.value), self._stage)
        except TemplateError as error:
            self.tell(node, error)
            return MISSING
        value, reads = self._texts[key]
        self._share(reads)
        return value

    def _rendered(self, text: str) -> Any:
        value = render.fill(text, self._scope, self.allowance)
        self._branches(text)
        return value

    def _branches(self, text: str) -> None:
        """Count the vars of branches not taken as read; raises TemplateError for an unknown one."""
        variables: Vars = self._scope["vars"]
        for words in render.reads(text):
            if words[0] == "vars":
                variables.check(words[1:])
                self._note({words})

    def _note(self, uses: Iterable[Use]) -> None:
        """Remember uses for the value now being filled in, and so for those that read it."""
        names = set(uses)
        self.reads |= names
        if self._uses:
            self._uses[-1].note(names)

    def _share(self, reads: Reads) -> None:
        """Remember what a value that was made before reads, for the one now being filled in."""
        if self._uses:
            self._uses[-1].share(reads)


def incomplete(value: Any) -> bool:
    """Say whether a value could not be made, or something in it."""
    if isinstance(value, dict):
        return any(map(incomplete, value.values()))
    if isinstance(value, list):
        return any(map(incomplete, value))
    return isinstance(value, Missing)


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
