"""A tool's main in, its parser and the parsed arguments out; main's work does not run.

A main is read, not called: its statements are executed up to its parser, each call is inspected
first, and only calls that build a parser are made. If any other call comes before the parser, its
effects are unknown, and the tool cannot be checked.
"""

import argparse
import ast
import builtins
import dataclasses
import functools
import importlib
import inspect
import linecache
import textwrap
import types
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, cast

from msgspec import Struct

from runner.catalog.tools import Tool

if TYPE_CHECKING:
    import click

_CHECK = "__run_recipe_allowed__"
_PARSE = frozenset(
    {"parse_args", "parse_known_args", "parse_intermixed_args", "parse_known_intermixed_args"}
)
# These call nothing that they are given: what they are given is looked at, too.
_PLAIN = frozenset(
    getattr(builtins, name)
    for name in (
        *("abs", "all", "any", "bool", "dict", "enumerate", "float", "format", "frozenset"),
        *("getattr", "hasattr", "int", "isinstance", "iter", "len", "list", "max", "min", "next"),
        "range",
        *("repr", "reversed", "round", "set", "setattr", "sorted", "str", "sum", "tuple", "vars"),
        "zip",
    )
)
_VALUES = (str, bytes, list, tuple, dict, set, frozenset)
_READERS = frozenset({"json", "tomllib", "yaml"})
_PRINTERS = ("rich", "logging")


class ReachedError(BaseException):
    """What was looked for is reached: the parser, or the call that is handed what it made."""

    def __init__(self, value: Any) -> None:
        super().__init__("reached")
        self.value = value


def parser_of(tool: Tool) -> argparse.ArgumentParser:
    """Return the parser a tool's main makes.

    Raises ImportError, and LookupError if it cannot be reached without running anything else.
    """
    parser = _Reading().reach(_main(tool))
    return cast("argparse.ArgumentParser", parser)


def merged_values(tool: Tool, words: Sequence[str]) -> Mapping[str, Any]:
    """Return what a main hands on of its words and its configuration file, by its own names.

    Raises as `parser_of`, and SystemExit where the parser refuses the words.
    """
    return cast("Mapping[str, Any]", _Merging(words).reach(_main(tool)))


def command_of(tool: Tool) -> "click.Command | None":
    """Return the click command behind a tool's command words, None for a tool without click."""
    module, function = tool.main
    main = getattr(importlib.import_module(module), function)
    if hasattr(main, "make_context"):
        return cast("click.Command", main)
    command: Any = getattr(importlib.import_module(module), "app", None)
    if not hasattr(command, "commands"):  # typer's, of older hubs, has none
        return None
    for word in tool.command[1:]:
        command = command.commands[word]
        if hasattr(command, "materialize"):
            command = command.materialize()
    return cast("click.Command", command)


def _main(tool: Tool) -> Callable[..., Any]:
    module, function = tool.main
    main: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return main


class _Reading:
    """Executes functions with each of their calls looked at, until a parser parses."""

    def __init__(self) -> None:
        self.obstacle: str = ""

    def reach(self, main: Callable[..., Any]) -> Any:
        """Return what is reached. Raises LookupError."""
        name = f"{main.__module__}.{main.__name__}"
        try:
            self._watch(main)()
        except ReachedError as goal:
            return goal.value
        except (LookupError, OSError, RecursionError, TypeError, ValueError) as error:
            why = self.obstacle or f"{name} cannot be read up to its parser: {error}"
            raise LookupError(why) from error
        raise LookupError(f"{name} creates no argparse parser")

    def substitute(self, target: Any) -> Any:
        """Return what is called instead. Raises LookupError for what may do anything."""
        owner = getattr(target, "__self__", None)
        module = str(getattr(target, "__module__", None) or "")
        if module == "argparse" and isinstance(target, types.MethodType | type):
            return self.parses(target) if target.__name__ in _PARSE else target
        if target in _PLAIN or (_is_method(target) and type(owner) in _VALUES):
            return functools.partial(_call, target)
        if target is print or module.partition(".")[0] in _PRINTERS:
            return _silent
        if _is_record(target):
            return target if not hasattr(target, "__post_init__") else self.refuse(target)
        if isinstance(target, types.FunctionType):
            read = (
                target.__globals__.get(_CHECK) == self.substitute
            )  # defined in one that is watched
            return target if read else self._watch(target)
        return self.refuse(target)

    def parses(self, target: Any) -> Any:
        """End at the call that parses the words."""
        raise ReachedError(target.__self__)

    def refuse(self, target: Any) -> NoReturn:
        """Remember what is in the way. Raises LookupError."""
        name = getattr(target, "__qualname__", type(target).__name__)
        module = getattr(target, "__module__", None)
        whole = f"{module}.{name}" if module and module != "builtins" else name
        self.obstacle = self.obstacle or f"it calls {whole} before it parses its arguments"
        raise LookupError(self.obstacle)

    def _watch(self, function: Any) -> Callable[..., Any]:
        """Return a function that does the same, and has each of its calls looked at."""
        if not isinstance(function, types.FunctionType):
            self.refuse(function)
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        except (OSError, TypeError, SyntaxError):
            self.refuse(function)
        node = tree.body[0]
        if not isinstance(node, ast.FunctionDef) or node.decorator_list:
            self.refuse(function)
        node.args.defaults = []
        node.args.kw_defaults = [None] * len(node.args.kwonlyargs)
        if not _matches_source(function.__code__):
            self.refuse(function)
        _Calls().visit(tree)
        result = _define(function, node, {_CHECK: self.substitute})
        result.__defaults__ = function.__defaults__
        result.__kwdefaults__ = function.__kwdefaults__
        return result


def _define(
    function: types.FunctionType, node: ast.FunctionDef, more: Mapping[str, Any]
) -> types.FunctionType:
    """Return the function that a text defines, with the names around another one, and `more`."""
    free = function.__code__.co_freevars
    around = ast.parse(f"def __around__({', '.join(free)}):\n    return None").body[0]
    assert isinstance(around, ast.FunctionDef)  # noqa: S101  (as it is written above)
    around.body = [node, ast.Return(ast.Name(node.name, ast.Load()))]
    whole = ast.fix_missing_locations(ast.Module([around], []))
    future = function.__code__.co_flags & _FUTURE
    space = {**function.__globals__, **more}
    exec(compile(whole, "<read>", "exec", flags=future, dont_inherit=True), space)  # noqa: S102  (a definition)
    result: types.FunctionType = space["__around__"](
        *(cell.cell_contents for cell in function.__closure__ or ())
    )
    return result


def _matches_source(code: types.CodeType) -> bool:
    """Return whether a function that is loaded is the one that is in its file."""
    lines = linecache.getlines(code.co_filename)
    shapes = _shapes("".join(lines), code.co_filename)
    return shapes.get((code.co_qualname, code.co_firstlineno)) == _shape(code)


@functools.cache
def _shapes(text: str, file: str) -> Mapping[tuple[str, int], Any]:
    shapes, rest = {}, [compile(text, file, "exec", dont_inherit=True)]
    while rest:
        code = rest.pop()
        shapes[code.co_qualname, code.co_firstlineno] = _shape(code)
        rest += [one for one in code.co_consts if isinstance(one, types.CodeType)]
    return shapes


def _shape(code: types.CodeType) -> tuple[Any, ...]:
    """Return what a function does, wherever it stands: equal shapes do the same."""
    constants = [
        (type(one), _shape(one) if hasattr(one, "co_code") else one) for one in code.co_consts
    ]
    return code.co_code, code.co_names, code.co_varnames, code.co_freevars, constants


class _Merging(_Reading):
    """Goes on behind the parser as far as its result is merged with a file.

    Only what reads the file and puts values together is called there; other calls are left out, and
    the first that is handed the values ends it.
    """

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__()
        self.words = words
        self.parsed: argparse.Namespace | None = None

    def parses(self, target: Any) -> Any:
        """Parse the words, and go on."""
        return lambda *_, **__: self._keep_namespace(target(list(self.words)))

    def _keep_namespace(self, result: Any) -> Any:
        self.parsed = result[0] if isinstance(result, tuple) else result
        return result

    def reach(self, main: Callable[..., Any]) -> Any:
        """Return the merged values: those handed on, or what they are when the main has ended."""
        try:
            return super().reach(main)
        except LookupError:
            if self.parsed is None or self.obstacle:
                raise
            return vars(self.parsed)

    def substitute(self, target: Any) -> Any:
        """Return what is called instead."""
        if self.parsed is None:
            return super().substitute(target)
        module = str(getattr(target, "__module__", None) or "").partition(".")[0]
        if target in {open, types.SimpleNamespace, argparse.Namespace} or module in _READERS:
            return target
        if target in _PLAIN or (_is_method(target) and type(target.__self__) in _VALUES):
            return functools.partial(_call, target)
        return _hand_on


class _Calls(ast.NodeTransformer):
    """Has each call looked at before it is made."""

    def visit_Call(self, node: ast.Call) -> ast.Call:
        """Return the call of what `substitute` returns for what is called."""
        self.generic_visit(node)
        check = ast.Name(_CHECK, ast.Load())
        return ast.Call(ast.Call(check, [node.func], []), node.args, node.keywords)


_FUTURE = 0x1000000  # CO_FUTURE_ANNOTATIONS, from __future__ import annotations


def _is_record(target: Any) -> bool:
    """Return whether a call makes a record: a class whose own code only keeps what it is handed."""
    return isinstance(target, type) and (
        dataclasses.is_dataclass(target) or issubclass(target, Struct)
    )


def _is_method(target: Any) -> bool:
    return isinstance(target, types.BuiltinMethodType)


def _hand_on(*values: Any, **kwargs: Any) -> None:
    """End where the merged values are handed on; a call that is not handed them is left out."""
    for value in (*values, *kwargs.values()):
        if isinstance(value, types.SimpleNamespace | argparse.Namespace):
            raise ReachedError(dict(vars(value)))


def _silent(*_: Any, **__: Any) -> None:
    """Print nothing: only the parser is wanted."""


def _call(target: Any, *values: Any, **kwargs: Any) -> Any:
    """Call what is plain with values; a function among them would be called unseen."""
    if any(isinstance(one, types.FunctionType) for one in (*values, *kwargs.values())):
        raise LookupError(f"{target.__name__} is given a function before the arguments are parsed")
    return target(*values, **kwargs)
