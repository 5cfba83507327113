"""Jinja's tree of an expression and a scope in, a value out, within an allowance.

Jinja only parses. The tree is evaluated here, not by Python code that Jinja generates: this module
knows every step, counts it first, and operates only on YAML's values.
"""

import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from runner.base.problems import offer, suggest
from runner.recipe.template import operators
from runner.recipe.template.allowance import MAX_DEPTH, Allowance
from runner.recipe.template.filters import OMISSIONS, Library, omission, range_function
from runner.recipe.template.operators import kind
from runner.recipe.template.sandbox import Function, OperationError, Scope, TemplateError

FUNCTIONS = {"range": "range(3)", "dict": "{'NAME': 1}"}
SYNTAX = "template-syntax"
_SIGNS = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/", "FloorDiv": "//", "Mod": "%", "Pow": "**"}
_ELSE = "'A if B' has no value if B is false"


def walk(tree: Any) -> Iterator[Any]:
    """Yield every node of an expression, however deep it is."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += list(node.iter_child_nodes())


def judges(tree: Any) -> bool:
    """Return whether an expression is true or false, as far as its form tells."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        what = type(node).__name__
        if what in {"And", "Or"}:
            waiting += [node.left, node.right]
        elif what == "CondExpr":
            waiting += [node.expr1, node.expr2]
        elif what not in {"Compare", "Not", "Test", "Name", "Getattr", "Getitem", "Call", "Filter"}:
            return isinstance(getattr(node, "value", None), bool)
    return True


def check(tree: Any, names: Mapping[str, tuple[str, ...]]) -> None:
    """Raise TemplateError for what no recipe's expression has, also in a branch not taken.

    `names` are the filters and the tests there are.
    """
    for node in walk(tree):
        what = type(node).__name__
        if what in {"Filter", "Test"}:
            kind_of = what.lower()
            if node.name in OMISSIONS and node.name not in names[kind_of]:
                raise omission(node.name, kind_of)
            if node.name not in names[kind_of]:
                hint = suggest(
                    node.name, names[kind_of], "for whole numbers: int; for others: float, round"
                )
                raise OperationError(f"there is no {kind_of} '{node.name}'", hint, SYNTAX)
        if what == "CondExpr" and node.expr2 is None:
            raise OperationError(_ELSE, "write A if B else C", SYNTAX)
        if what in {"Filter", "Test", "Call"} and (node.dyn_args or node.dyn_kwargs):
            raise OperationError("'*' cannot unpack arguments here", "write them out", SYNTAX)
        if what not in _NODES:
            raise OperationError("this is not an expression that recipes support", "", SYNTAX)


class Evaluator:
    """Computes one expression."""

    def __init__(self, scope: Mapping[str, Any], allowance: Allowance) -> None:
        self._scope = scope
        self._allowance = allowance
        self._depth = 0

    @cached_property
    def _library(self) -> Library:
        return Library(self._allowance)

    def value(self, node: Any) -> Any:
        """Return the value of a node; raises TemplateError, TypeError, ArithmeticError, SpentError.

        A chain, as ``1 + 1 + …`` or ``a.b.c…``, is followed to its start and then computed link by
        link, so that only brackets in brackets go deep.
        """
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise OperationError(
                f"nested more than {MAX_DEPTH} levels deep", "put its parts into vars"
            )
        links = []
        while (before := _before(node)) is not None:
            links.append(node)
            node = before
        value = self._start(node)
        for link in reversed(links):
            self._allowance.work(2)
            value = getattr(self, f"_{type(link).__name__.lower()}", self._binary)(link, value)
        self._depth -= 1
        return value

    def _start(self, node: Any) -> Any:
        """Return the value of a node that no chain goes through."""
        self._allowance.work(2)
        return getattr(self, f"_{type(node).__name__.lower()}")(node)

    def operand(self, node: Any) -> Any:
        """Return a node's value; raises TemplateError where it is a group of values."""
        return _require_value(self.value(node))

    def _const(self, node: Any) -> Any:
        if isinstance(node.value, float) and math.isinf(node.value):
            raise OperationError("a number is too large")
        return self._allowance.charge(node.value)

    def _templatedata(self, node: Any) -> Any:
        return self._allowance.charge(node.data)

    def _name(self, node: Any) -> Any:
        name = node.name
        if name in self._scope:
            return self._scope[name]
        if name in FUNCTIONS:
            return self._functions()[name]
        raise undefined(name, self._scope)

    def _functions(self) -> Mapping[str, Function]:
        return {
            "range": Function("range", FUNCTIONS["range"], range_function(self._allowance)),
            "dict": Function("dict", FUNCTIONS["dict"], lambda **keywords: keywords),
        }

    def _list(self, node: Any) -> list[Any]:
        values: list[Any] = self._allowance.charge([self.operand(item) for item in node.items])
        return values

    _tuple = _list

    def _dict(self, node: Any) -> dict[str, Any]:
        mapping = {}
        for pair in node.items:
            key = self.operand(pair.key)
            if not isinstance(key, str):
                raise OperationError(f"a key must be text, not {kind(key)}", "put it in quotes")
            if key in mapping:
                raise OperationError(f"'{key}' is given twice", "remove one of them")
            mapping[key] = self.operand(pair.value)
        self._allowance.charge(mapping)
        return mapping

    def _concat(self, node: Any) -> str:
        words = [operators.text(self.operand(one)) for one in node.nodes]
        self._allowance.hold(sum(map(len, words)))
        return operators.join(words)

    def _condexpr(self, node: Any) -> Any:
        return self.value(node.expr1 if self.operand(node.test) else node.expr2)

    def _not(self, node: Any) -> bool:
        return not self.operand(node.node)

    def _neg(self, node: Any) -> Any:
        return -self.operand(node.node)

    def _pos(self, node: Any) -> Any:
        return +self.operand(node.node)

    def _and(self, node: Any, left: Any) -> Any:
        return self.operand(node.right) if _require_value(left) else left

    def _or(self, node: Any, left: Any) -> Any:
        return left if _require_value(left) else self.operand(node.right)

    def _binary(self, node: Any, left: Any) -> Any:
        right = self.operand(node.right)
        sign = _SIGNS[type(node).__name__]
        return operators.binary(sign, _require_value(left), right, self._allowance)

    def _compare(self, node: Any) -> bool:
        left = self.operand(node.expr)
        for link in node.ops:
            right = self.operand(link.expr)
            if not operators.compare(link.op, left, right, self._allowance):
                return False
            left = right
        return True

    def _filter(self, node: Any, value: Any) -> Any:
        arguments, keywords = self._arguments(node)
        library = self._library
        return library.call(
            node.name, library.filters, _require_value(value), *arguments, **keywords
        )

    def _test(self, node: Any, value: Any) -> Any:
        arguments, keywords = self._arguments(node)
        library = self._library
        return library.call(node.name, library.tests, _require_value(value), *arguments, **keywords)

    def _getattr(self, node: Any, owner: Any) -> Any:
        return attribute(owner, node.attr, ".".join(dotted(node.node)))

    def _getitem(self, node: Any, owner: Any) -> Any:
        if type(node.arg).__name__ == "Slice":
            return self._allowance.charge(
                operators.entry(_require_value(owner), self._slice(node.arg))
            )
        key = self.operand(node.arg)
        if isinstance(owner, Scope):
            return owner.lookup(str(key))
        return operators.entry(owner, key)

    def _slice(self, node: Any) -> slice:
        ends = [
            None if one is None else self.operand(one) for one in (node.start, node.stop, node.step)
        ]
        return slice(*ends)

    def _call(self, node: Any, owner: Any = None) -> Any:
        arguments, keywords = self._arguments(node)
        if type(node.node).__name__ == "Getattr":
            name = node.node.attr
            if isinstance(owner, Scope):
                owner = owner.lookup(name)
            elif not (isinstance(owner, Mapping) and name in owner):
                return self._library.method(owner, name, *arguments, **keywords)
            else:
                owner = owner[name]
        elif type(node.node).__name__ == "Name":
            owner = self._name(node.node)
        if not isinstance(owner, Function):
            raise OperationError(f"{kind(owner)} is not a function", "remove the ( )")
        return self._allowance.charge(_call_function(owner, arguments, keywords))

    def _arguments(self, node: Any) -> tuple[list[Any], dict[str, Any]]:
        keywords = {one.key: self.operand(one.value) for one in node.kwargs}
        return [self.operand(one) for one in node.args], keywords


def attribute(owner: Any, name: str, title: str) -> Any:
    """Return what a value or a group of values holds under a name; raises TemplateError."""
    if isinstance(owner, Scope):
        return owner.lookup(name)
    if isinstance(owner, Mapping):
        if name in owner:
            return owner[name]
        why = f"{title or 'the mapping'} has no '{name}'"
        raise TemplateError(why, offer(name, owner), "undefined")
    why = f"{title} is {kind(owner)} and has no '{name}'" if title else ""
    raise TemplateError(why or f"{kind(owner)} has no '{name}' here", rule="undefined")


def dotted(node: Any) -> tuple[str, ...]:
    """Return a chain of names and constant subscripts, empty for any other expression."""
    words: list[str] = []
    while type(node).__name__ in {"Getattr", "Getitem"}:
        if type(node).__name__ == "Getattr":
            words.append(node.attr)
        elif isinstance(word := getattr(node.arg, "value", None), str):
            words.append(word)
        else:
            words.clear()  # an entry of a list reads the list
        node = node.node
    return (node.name, *reversed(words)) if type(node).__name__ == "Name" else ()


def _call_function(function: Function, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    try:
        return function.call(*arguments, **keywords)
    except TypeError as error:
        why = f"{function.title}: {str(error).partition('() ')[2] or error}"
        raise OperationError(why, f"write {function.example}") from error


def _require_value(value: Any) -> Any:
    """Return a value that is one; raises TemplateError for a group of values or a function."""
    if isinstance(value, Scope):
        raise value.refusal()
    return value


def undefined(name: str, scope: Mapping[str, Any]) -> TemplateError:
    """Return the error of a name that templates do not have."""
    variables = scope.get("vars")
    names = variables.names() if isinstance(variables, Scope) else ()
    if name in FUNCTIONS:
        return TemplateError(f"{name} is a function", f"write {FUNCTIONS[name]}", "undefined")
    why = f"'{name}' is not defined in templates"
    if name in names:
        target = ("vars", name)
        return TemplateError(why, f"write vars.{name}", "undefined", target, ("name", name))
    hint = offer(name, sorted(scope))
    return TemplateError(why, hint, "undefined", about=("name", name))


def _before(node: Any) -> Any:
    """Return the node that a link of a chain goes on from, None for any other node."""
    what = type(node).__name__
    if what in _SIGNS or what in {"And", "Or"}:
        return node.left
    if what == "Call":
        return node.node.node if type(node.node).__name__ == "Getattr" else None
    return node.node if what in {"Filter", "Test", "Getattr", "Getitem"} else None


_NODES = {
    *_SIGNS, "And", "Or", "Not", "Neg", "Pos", "Const", "TemplateData", "Name", "List", "Tuple",
    "Dict", "Pair", "Keyword", "Concat", "CondExpr", "Compare", "Operand", "Filter", "Test",
    "Getattr", "Getitem", "Slice", "Call",
}  # fmt: skip
