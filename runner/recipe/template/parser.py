"""An expression's text in, its tree out, or None if only Jinja can read it.

Importing Jinja and parsing one expression with it takes a sixth of the time needed to show a plan,
and most expressions consist of names, numbers, texts, operators and filters. Those are parsed here,
by Jinja's own grammar, into nodes with the same names and fields. Everything else (tests, slices,
mappings, escapes), and every mistake, is left to Jinja. A property test checks that both agree.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from runner.base.patterns import pattern

_TOKEN = pattern(
    r"""[ \t\n]*(?:([A-Za-z_]\w*)                                          # a name
    |((?:0|[1-9]\d{0,17})(?:\.\d{1,17})?(?:[eE][-+]?\d{1,3})?(?![\w.]))    # a number
    |('[ -&(-\[\]-~]*'|"[ !\#-\[\]-~]*")                                   # a text without escapes
    |(//|\*\*|[=!<>]=|[-+*/%~<>()\[\],.|=])
    )[ \t\n]*""",
    re.ASCII | re.VERBOSE,
)
_MOST_NESTED = 30  # brackets, signs and conditions in one expression
_NESTING = frozenset({"(", "[", "-", "+", "not", "if"})
_WORDS = frozenset({"and", "or", "not", "if", "else", "in", "is"})
_CONSTANTS: Mapping[str, Any] = {
    "true": True, "True": True, "false": False, "False": False, "none": None, "None": None,
}  # fmt: skip
_COMPARISONS = {
    "==": "eq", "!=": "ne", "<": "lt", "<=": "lteq", ">": "gt", ">=": "gteq", "in": "in",
}  # fmt: skip


class Tree:
    """A node as Jinja's: its class has Jinja's name, and its fields theirs."""

    fields: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *values: Any) -> None:
        for name, value in zip(self.fields, values, strict=True):
            setattr(self, name, value)

    def iter_child_nodes(self) -> Iterator["Tree"]:
        """Yield the nodes right below this one."""
        for name in self.fields:
            value = getattr(self, name)
            for one in value if isinstance(value, list) else (value,):
                if isinstance(one, Tree):
                    yield one


def _node(name: str, *fields: str) -> type[Tree]:
    return type(name, (Tree,), {"fields": fields})


def _binary(name: str) -> type[Tree]:
    return _node(name, "left", "right")


_AND, _OR, _POW = _binary("And"), _binary("Or"), _binary("Pow")
_SUMS = {"+": _binary("Add"), "-": _binary("Sub")}
_PRODUCTS = {
    "*": _binary("Mul"), "/": _binary("Div"), "//": _binary("FloorDiv"), "%": _binary("Mod"),
}  # fmt: skip
_NOT, _NEG, _POS = _node("Not", "node"), _node("Neg", "node"), _node("Pos", "node")
_CONST, _NAME, _LIST = _node("Const", "value"), _node("Name", "name"), _node("List", "items")
_CONCAT, _CONDITION = _node("Concat", "nodes"), _node("CondExpr", "test", "expr1", "expr2")
_COMPARE, _OPERAND = _node("Compare", "expr", "ops"), _node("Operand", "op", "expr")
_GETATTR, _GETITEM = _node("Getattr", "node", "attr"), _node("Getitem", "node", "arg")
_CALL = _node("Call", "node", "args", "kwargs", "dyn_args", "dyn_kwargs")
_FILTER = _node("Filter", "node", "name", "args", "kwargs", "dyn_args", "dyn_kwargs")
_KEYWORD = _node("Keyword", "key", "value")


class _ElseError(Exception):
    """Only Jinja knows."""


def parse(expression: str) -> Tree | None:
    """Return the tree of an expression, None if Jinja has to read it."""
    if expression[:1] in {"-", "+"}:  # {{- and {{+ are Jinja's own
        return None
    try:
        return _ExpressionParser(list(_tokens(expression))).whole()
    except _ElseError:
        return None


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Yield each token and its kind: "name", "number", "text", or the sign or word itself."""
    at = nested = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _ElseError
        name, number, quoted, sign = match.groups()
        kind = sign or (name if name in _WORDS else name and "name") or (number and "number")
        nested += kind in _NESTING
        if nested > _MOST_NESTED:
            raise _ElseError
        yield kind or "text", name or number or quoted or sign
        at = match.end()
    yield "", ""


class _ExpressionParser:
    """Reads tokens from left to right; each method reads what binds as tightly as its name says."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0

    def whole(self) -> Tree:
        tree = self._condition()
        self._expect("")
        return tree

    def _kind(self, ahead: int = 0) -> str:
        return self._tokens[min(self._at + ahead, len(self._tokens) - 1)][0]

    def _skip(self, kind: str) -> bool:
        found = self._kind() == kind
        self._at += found
        return found

    def _expect(self, kind: str) -> str:
        if self._kind() != kind:
            raise _ElseError
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _chain(self, inner: Callable[[], Tree], nodes: Mapping[str, type[Tree]]) -> Tree:
        left = inner()
        while (node := nodes.get(self._kind())) is not None:
            self._at += 1
            left = node(left, inner())
        return left

    def _condition(self) -> Tree:
        tree = self._or()
        while self._skip("if"):
            test = self._or()
            self._expect("else")
            tree = _CONDITION(test, tree, self._condition())
        return tree

    def _or(self) -> Tree:
        return self._chain(self._and, {"or": _OR})

    def _and(self) -> Tree:
        return self._chain(self._not, {"and": _AND})

    def _not(self) -> Tree:
        return _NOT(self._not()) if self._skip("not") else self._comparison()

    def _comparison(self) -> Tree:
        left = self._sum()
        links = []
        while True:
            negated = self._kind() == "not" and self._kind(1) == "in"
            self._at += negated
            sign = _COMPARISONS.get(self._kind())
            if sign is None:
                break
            self._at += 1
            links.append(_OPERAND("not" * negated + sign, self._sum()))
        return _COMPARE(left, links) if links else left

    def _sum(self) -> Tree:
        return self._chain(self._text, _SUMS)

    def _text(self) -> Tree:
        words = [self._product()]
        while self._skip("~"):
            words.append(self._product())
        return words[0] if len(words) == 1 else _CONCAT(words)

    def _product(self) -> Tree:
        return self._chain(self._power, _PRODUCTS)

    def _power(self) -> Tree:
        return self._chain(self._filtered, {"**": _POW})

    def _filtered(self) -> Tree:
        tree = self._signed()
        while self._skip("|"):
            name = self._expect("name")
            arguments = self._arguments() if self._skip("(") else ([], [])
            if self._kind() in {".", "("}:
                raise _ElseError
            tree = _FILTER(tree, name, *arguments, None, None)
        return tree

    def _signed(self) -> Tree:
        for sign, node in (("-", _NEG), ("+", _POS)):
            if self._skip(sign):
                return self._linked(node(self._signed()))
        return self._linked(self._primary())

    def _linked(self, tree: Tree) -> Tree:
        while True:
            if self._skip("."):
                tree = _GETATTR(tree, self._word())
            elif self._skip("["):
                tree = _GETITEM(tree, self._condition())
                self._expect("]")
            elif self._skip("("):
                tree = _CALL(tree, *self._arguments(), None, None)
            else:
                return tree

    def _word(self) -> str:
        """Return the name behind a dot, where a word that means something else is one, too."""
        kind, text = self._tokens[self._at]
        if kind != "name" and kind not in _WORDS:
            raise _ElseError
        self._at += 1
        return text

    def _primary(self) -> Tree:
        kind, text = self._tokens[self._at]
        self._at += 1
        match kind:
            case "name":
                return _CONST(_CONSTANTS[text]) if text in _CONSTANTS else _NAME(text)
            case "number":
                return _CONST(int(text) if text.isdecimal() else float(text))
            case "text" if self._kind() != "text":
                return _CONST(text[1:-1])
            case "(":
                tree = self._condition()
                self._expect(")")
                return tree
            case "[":
                return _LIST(list(self._entries("]")))
        raise _ElseError

    def _entries(self, end: str) -> Iterator[Tree]:
        while not self._skip(end):
            yield self._condition()
            if self._kind() != end:
                self._expect(",")

    def _arguments(self) -> tuple[list[Tree], list[Tree]]:
        plain: list[Tree] = []
        named: list[Tree] = []
        while not self._skip(")"):
            if self._kind(1) == "=":
                named.append(_KEYWORD(self._argument(), self._condition()))
            elif named:
                raise _ElseError
            else:
                plain.append(self._condition())
            if self._kind() != ")":
                self._expect(",")
        return plain, named

    def _argument(self) -> str:
        name = self._expect("name")
        self._expect("=")
        return name
