"""Templates in, what they refer to out, and the order in which named values are computed.

The text of a template shows every name it can read, including those in branches not taken. In this
order, everything that a value reads is computed before it, however long the chain is.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct, field

from runner.plan.inheritance import Budget, Draft
from runner.plan.scope import Use
from runner.recipe.node import MISSING, Node
from runner.recipe.template import render
from runner.recipe.template.expressions import names
from runner.recipe.template.sandbox import TemplateError

PARAMS = "params"
MadeOf = tuple[str | Budget, ...]


class References:
    """Says which named values a node of a recipe refers to: vars, and parameters of stages."""

    def __init__(self, variables: Mapping[str, Node], drafts: Mapping[str, Draft]) -> None:
        self.variables, self.drafts = variables, drafts
        self._made_of: dict[int, tuple[Node, MadeOf]] = {}
        self._plain: dict[int, tuple[Node, Any, bool]] = {}

    def made_of(self, node: Node) -> MadeOf:
        """Return the templates and the budget in a node, nothing for one that is as it is written.

        Of a node that many stages inherit they are found once.
        """
        value = node.value
        if isinstance(value, str):
            return (value,) if "{" in value and render.is_template(value) else ()
        if isinstance(value, Budget):
            return (value,)
        if not isinstance(value, dict | list):
            return ()
        known = self._made_of.get(id(node))
        if known is None:  # the node is kept, too, so that no other one gets its id
            children = value.values() if isinstance(value, dict) else value
            parts = tuple(part for child in children for part in self.made_of(child))
            known = self._made_of[id(node)] = (node, parts)
        return known[1]

    def plain(self, node: Node) -> tuple[Any, bool]:
        """Return the value of a node that is as it is written, and whether all of it could be read.

        It is one value for all who inherit it.
        """
        if not isinstance(node.value, dict | list):
            return node.value, node.value is not MISSING
        known = self._plain.get(id(node))
        if known is None:
            known = self._plain[id(node)] = (node, node.plain(), not node.unreadable())
        return known[1:]

    def source(self, use: Use) -> tuple[Node | None, str]:
        """Return the node that says a named value, None for none, and the stage it belongs to."""
        if use[0] == "vars":
            node = Node(value=self.variables, file="", line=0, column=0)
            for word in use[1:]:
                node = node.value[word]
            return node, ""
        return self.drafts[use[1]].params.get(use[3]), use[1]

    def behind(self, use: Use) -> Iterator[Use]:
        """Yield the named values that a named value refers to."""
        node, stage = self.source(use)
        return iter(()) if node is None else self.of(node, stage)

    def of(self, node: Node, stage: str) -> Iterator[Use]:
        """Yield the named values that a node of a stage refers to, those made of templates."""
        for one in self.made_of(node):
            if isinstance(one, Budget):
                yield from self._of_budget(one, stage)
                continue
            for words in sorted(_reads(one)):
                yield from self._targets(words, stage)

    def in_expression(self, text: str, stage: str) -> Iterator[Use]:
        """Yield the named values that an expression refers to, as an expectation is one."""
        try:
            words_read = sorted(names(text))
        except TemplateError:
            return
        for words in words_read:
            yield from self._targets(words, stage)

    def _targets(self, words: Use, stage: str) -> Iterator[Use]:
        if words[0] == "vars":
            yield from self._variables(words)
        elif words[0] == "stage":
            yield from self._of_stage(stage, words[1:])
        elif words[0] == "stages":
            for name in words[1:2] or self.drafts:  # stages[vars.which] may be any of them
                yield from self._of_stage(name, words[2:])

    def _variables(self, words: Use) -> Iterator[Use]:
        """Yield the vars that a name stands for: one, or all those below a mapping."""
        waiting: list[tuple[Use, Mapping[str, Node]]] = []
        path: Use = ("vars",)
        section = self.variables
        for word in words[1:]:
            node = section.get(word)
            if node is None:
                return
            path = (*path, word)
            if not isinstance(node.value, dict):
                yield from [path] if self.made_of(node) else []
                return
            section = node.value
        waiting.append((path, section))
        while waiting:
            path, section = waiting.pop()
            for name, node in section.items():
                if isinstance(node.value, dict):
                    waiting.append(((*path, name), node.value))
                elif self.made_of(node):
                    yield (*path, name)

    def _of_stage(self, stage: str, words: Use) -> Iterator[Use]:
        """Yield the parameters behind a stage's parameter or output, or behind all of them."""
        draft = self.drafts.get(stage)
        if draft is None or draft.tool is None:
            return
        if words[:1] == (PARAMS,):
            yield from self._parameters(draft, words[1:2] or draft.params.value)
            return
        tool = draft.tool
        outputs = [tool.outputs[words[0]]] if words and words[0] in tool.outputs else []
        for output in outputs if words else tool.outputs.values():
            makers = [output] if output.param else tool.outputs.values()
            parts = (one.param for one in makers)
            yield from self._parameters(draft, (*output.when, *filter(None, parts)))

    def _parameters(self, draft: Draft, parameters: Iterable[str]) -> Iterator[Use]:
        for name in parameters:
            node = draft.params.get(name)
            if node is not None and self.made_of(node):
                yield ("stages", draft.name, PARAMS, name)

    def _of_budget(self, budget: Budget, stage: str) -> Iterator[Use]:
        """Yield what iterations are counted from: the stage's data, and the stages making data."""
        yield from self.of(budget.epochs, stage)
        yield from self._parameters(self.drafts[stage], Budget.reads)
        for draft in self.drafts.values():
            if draft.makes_data and draft.name != stage:
                yield from self._parameters(draft, draft.params.value)


class Order(Struct, frozen=True, kw_only=True):
    """Named values in the order to make them.

    Those of a cycle are left to the one that it begins with; `above` leads back from each to it.
    """

    values: "list[Use]"
    ends: Mapping[Use, Use]
    above: Mapping[Use, Use]

    def circle(self, start: Use) -> "list[Use]":
        """Return the values of a cycle that begins with `start`, empty if none does."""
        names, name = [], self.ends.get(start)
        while name is not None:
            names.append(name)
            name = None if name == start else self.above.get(name)
        return names[::-1]


class _Visit(Struct, kw_only=True):
    """A value whose references are followed; `lowest` is the depth its cycles lead back to."""

    use: Use
    depth: int
    references: Iterator[Use]
    lowest: int = field(default=1 << 60)


def in_order(roots: Iterable[Use], behind: Callable[[Use], Iterator[Use]]) -> Order:
    """Return everything that `roots` refer to, each value after what it refers to itself."""
    order: list[Use] = []
    depths: dict[Use, int] = {}  # of those on the way, -1 for those done
    ends: dict[Use, Use] = {}
    above: dict[Use, Use] = {}
    for root in roots:
        if root in depths:
            continue
        depths[root] = 0
        way = [_Visit(use=root, depth=0, references=behind(root))]
        while way:
            here = way[-1]
            following = next((one for one in here.references if depths.get(one) != -1), None)
            if following is None:
                way.pop()
                depths[here.use] = -1
                if here.lowest >= here.depth:
                    order.append(here.use)
                elif way:
                    way[-1].lowest = min(way[-1].lowest, here.lowest)
            elif following in depths:
                here.lowest = min(here.lowest, depths[following])
                ends[following] = here.use
            else:
                depths[following] = here.depth + 1
                above[following] = here.use
                way.append(
                    _Visit(use=following, depth=here.depth + 1, references=behind(following))
                )
    return Order(values=order, ends=ends, above=above)


def _reads(text: str) -> Iterable[Use]:
    try:
        return render.reads(text)
    except TemplateError:
        return ()
