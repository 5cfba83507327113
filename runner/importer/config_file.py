"""The text of a ``-c`` file in, the values that mlx-lm reads and everything it ignores out.

mlx-lm reads the file as YAML 1.1 (``yes`` is true) with numbers such as 1e-5, and uses a key only
if no flag sets it (T01 to T13).
"""

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml
from msgspec import Struct

from runner.base.problems import Mark, Problem, as_yaml, suggest
from runner.catalog.tools import Parameter, Tool
from runner.importer.arguments import IGNORED, NOT_FOLLOWED, REFUSED, ScriptValue
from runner.importer.bash import HALF
from runner.importer.variables import unfilled
from runner.recipe.node import MISSING, Node
from runner.recipe.yaml import Document, parse

# mlx-lm's own pattern, to the letter.
_FLOAT = re.compile(
    r"""^(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+]?[0-9]+)?
    |[-+]?(?:[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)
    |\.[0-9_]+(?:[eE][-+][0-9]+)?
    |[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*
    |[-+]?\.(?:inf|Inf|INF)
    |\.(?:nan|NaN|NAN))$""",
    re.VERBOSE,
)


_UNBOUNDED = frozenset({"alias-bomb", "alias-cycle", "too-deep", "file-too-large"})
_LARGEST = 1 << 64


def unsayable(value: Any) -> str:
    """Return what is in a value that no recipe can say and that mlx-lm cannot mean, "" for nothing.

    The value holds no cycle.
    """
    if isinstance(value, dict):
        return next(filter(None, map(unsayable, (*value, *value.values()))), "")
    if isinstance(value, list):
        return next(filter(None, map(unsayable, value)), "")
    if isinstance(value, str):
        return "half a character" if HALF.search(value) else ""
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"the number {as_yaml(value)}"
    if isinstance(value, int):
        return "" if abs(value) < _LARGEST else "a whole number of more than 64 bits"
    return "" if value is None else f"a {type(value).__name__}"


def sayable(value: Any) -> Any:
    """Return a value as near to it as a recipe can say it; a check refuses what is another then."""
    if isinstance(value, dict):
        return {str(sayable(key)): sayable(child) for key, child in value.items()}
    if isinstance(value, list):
        return [sayable(child) for child in value]
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode() if HALF.search(value) else value
    return value if value is None or isinstance(value, bool | int | float) else str(value)


class _Loader(yaml.SafeLoader):
    """PyYAML's loader as mlx-lm sets it up, without setting it up for the whole process (T25)."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


class File(Struct, frozen=True, kw_only=True):
    """A configuration file: its text, and the place where the text begins."""

    text: str
    start: Mark

    def mark(self, line: int, column: int) -> Mark:
        """Return a place in the text as a place in the file it is in."""
        return Mark(file=self.start.file, line=self.start.line + line - 1, column=column)


def settings(
    file: File, tool: Tool, flags: dict[str, ScriptValue]
) -> tuple[dict[str, ScriptValue], list[Problem]]:
    """Return the parameters a file gives beside those of its `flags`, and what it loses."""
    reader = _ConfigReader(file, tool, flags)
    values = dict(reader.values())
    return values, reader.problems


class _ConfigReader:
    def __init__(self, file: File, tool: Tool, flags: dict[str, ScriptValue]) -> None:
        self.file, self.tool, self.flags = file, tool, flags
        self.problems: list[Problem] = []

    def load(self, document: Document) -> Any:
        """Return what PyYAML makes of the file, MISSING if that is told to be an error."""
        problems = [one for one in document.problems if one.rule in _UNBOUNDED]
        why = ""
        if not problems:
            try:
                return yaml.load(self.file.text, _Loader)  # noqa: S506  (a SafeLoader of our own)
            except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
                problems, why = document.problems, f"mlx-lm fails on this file: {error}"
        for one in problems[:1]:
            self.tell(self.file.mark(one.mark.line, one.mark.column), one.message, REFUSED)
        if not problems:
            self.tell(self.file.start, why, REFUSED)
        return MISSING

    def values(self) -> Iterator[tuple[str, ScriptValue]]:
        document = parse(self.file.text, self.file.start.file)
        values = self.load(document)
        if values is MISSING:
            return
        if not isinstance(values, dict):
            why = "mlx-lm fails on a configuration file that is not a mapping (T11)"
            self.tell(self.file.start, why, REFUSED)
            return
        for one in document.problems:
            if one.rule == "duplicate-key":
                mark = self.file.mark(one.mark.line, one.mark.column)
                self.tell(mark, f"{one.message}: the last (T09)", IGNORED)
        nodes = document.root.value if document.root is not None else {}
        for key, value in values.items():
            node = nodes.get(str(key)) if isinstance(nodes, dict) else None
            if strange := unsayable([str(key), value]):
                why = f"{sayable(str(key))}: a recipe cannot contain {strange}"
                self.tell(self.place(node, key=True), why, REFUSED)
            name = sayable(str(key))
            script_value = self.value(name, sayable(value), node)
            if script_value is not None:
                yield name, script_value

    def value(self, key: str, value: Any, node: Node | None) -> ScriptValue | None:
        """Return what a key gives, None if mlx-lm passes over it."""
        mark = self.place(node, key=True)
        parameter = self.tool.parameters.get(key)
        if parameter is None and key == "config" and value is None:
            pass  # an adapter records that there was no file
        elif parameter is None:
            self.unknown(key, value, mark)
        elif not parameter.in_config:
            if value == parameter.default:
                return None
            why = f"mlx-lm reads {key} only from the command line (T01)"
            self.ignore(mark, key, value, why, f"mlx-lm used {as_yaml(parameter.default)}")
        elif key in self.flags:
            if self.flags[key].value != value:
                flag = f"{parameter.flag} on the command line wins"
                self.ignore(mark, key, value, flag)
        elif value is None:
            if parameter.default is not None:
                why = "an empty value means mlx-lm's default (T08)"
                self.ignore(mark, key, value, why, f"mlx-lm used {as_yaml(parameter.default)}")
        elif isinstance(value, str) and unfilled(value):
            return ScriptValue(value=MISSING, mark=self.place(node), signs=value, node=node)
        else:
            return ScriptValue(
                value=self.read(parameter, value, mark), mark=self.place(node), node=node
            )
        return None

    def unknown(self, key: str, value: Any, mark: Mark) -> None:
        parameters = self.tool.parameters
        hint = str(self.tool.schema.get("x-not", {}).get(key, ""))
        if key.replace("-", "_") in parameters:
            name = key.replace("-", "_")
            why, hint = "mlx-lm ignores keys with a hyphen (T05)", f"did you mean '{name}'?"
        elif key == "config":
            why = "a config file cannot name another one (T10)"
        else:
            why, hint = "mlx-lm has no such key (T04)", hint or suggest(key, parameters)
        self.ignore(mark, key, value, why, hint)

    def read(self, parameter: Parameter, value: Any, mark: Mark) -> Any:
        """Return a value as mlx-lm uses it; where it would stop, the value that is meant."""
        kinds = parameter.schema.get("type", "string")
        kinds = [kinds] if isinstance(kinds, str) else kinds
        name = parameter.name
        if "boolean" in kinds and not isinstance(value, bool):
            why = f"{name}: {as_yaml(value)} counts as {as_yaml(bool(value))} for mlx-lm (T13)"
            self.tell(mark, why, IGNORED, "is that intended?")
            return bool(value)
        if isinstance(value, bool) and "boolean" not in kinds and {"integer", "number"} & {*kinds}:
            why = f"{name}: {as_yaml(value)} counts as {int(value)} for mlx-lm (T13)"
            self.tell(mark, why, IGNORED, "is that intended?")
            return int(value)
        coerced = _coerce(value, kinds)
        if coerced is not None:
            why = f"mlx-lm fails at {name}: {as_yaml(value)}, which has the wrong type (T17)"
            self.tell(mark, why, IGNORED, f"the recipe sets {as_yaml(coerced)}")
            return coerced
        return value

    def ignore(self, mark: Mark, key: str, value: Any, why: str, hint: str = "") -> None:
        text = value if isinstance(value, str) else as_yaml(value)
        message = f"{key}: {text} was never read: {why}"
        one = Problem(
            mark=mark, message=message, rule=IGNORED, hint=hint, severity="warning", about=(key,)
        )
        self.problems.append(one)

    def tell(self, mark: Mark, why: str, rule: str, hint: str = "") -> None:
        severity = "warning" if rule == IGNORED else "error"
        self.problems.append(
            Problem(mark=mark, message=why, rule=rule, hint=hint, severity=severity)
        )

    def place(self, node: Node | None, *, key: bool = False) -> Mark:
        if node is None:
            return self.file.start
        mark = node.key_mark if key else node.mark
        return self.file.mark(mark.line, mark.column)


def unreadable(mark: Mark, name: str, error: OSError) -> Problem:
    """Return the problem of a configuration file that is not there."""
    why = f"cannot read {name}: {error.strerror or error}"
    hint = "its values are missing in the recipe: run import where the file exists"
    return Problem(mark=mark, message=why, rule=NOT_FOLLOWED, hint=hint)


def _coerce(value: Any, kinds: list[str]) -> Any:
    """Return the number that a value of the wrong type means, None if it is none or right."""
    wants = {"integer", "number"} & {*kinds}
    if not wants or "string" in kinds or type(value) is int:
        return None
    if type(value) is float and "number" in kinds:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if not math.isfinite(number):
        return None
    return int(number) if "integer" in kinds and number == int(number) else number
