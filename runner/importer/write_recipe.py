"""Drafts of stages in, the text of a recipe out, in the script's order, with its variables.

Values that all stages of a tool share are written under ``defaults``.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from runner.base import visible
from runner.base.problems import Mark, Problem, sort_problems
from runner.catalog.tools import Tool, complete
from runner.importer.arguments import ScriptValue, convert
from runner.importer.script import Adoption
from runner.importer.stages import StageDraft, is_known, plain
from runner.importer.variables import Variable, Variables, unfilled
from runner.recipe.node import MISSING
from runner.recipe.template.render import literal
from runner.recipe.yaml_flow import flow
from runner.recipe.yaml_flow import key as quoted

WIDTH = 100
SHARED = 2
_UNPLACED = "Nothing reads these vars: write their values into the stages, and remove them."


def recipe_text(adoption: Adoption, schema: str = "") -> str:
    """Return the recipe; `schema` is where an editor finds its schema, relative to the recipe."""
    return "\n".join((*_Writer(adoption, schema).lines(), ""))


def yaml(value: Any, indent: int = 0, width: int = WIDTH) -> str:
    """Return a value as YAML, on one line where it fits, ready to stand after ``key:``."""
    flat = flow(value)
    if indent + len(flat) <= width or not value or not isinstance(value, dict | list):
        return f" {flat}"
    pad = "\n" + " " * indent
    if isinstance(value, dict):
        return "".join(f"{pad}{quoted(k)}:{yaml(v, indent + 2, width)}" for k, v in value.items())
    return "".join(f"{pad}-{yaml(item, indent + 2, width)}" for item in value)


class _Writer:
    def __init__(self, adoption: Adoption, schema: str) -> None:
        self.adoption = adoption
        self.schema = schema
        self.names = _Names(adoption.variables)
        self.by_stage = {stage.name: self.params(stage) for stage in adoption.stages}
        self.shared = dict(self.defaults())

    def lines(self) -> Iterator[str]:
        adoption = self.adoption
        if self.schema:
            yield f"# yaml-language-server: $schema={self.schema}"
        for line in adoption.comments:
            yield f"# {visible.line(line)}".rstrip()
        yield "version: 1"
        if adoption.name:
            yield f"name:{yaml(adoption.name)}"
        if adoption.description:
            yield f"description:{yaml(literal(adoption.description), 0, 10_000)}"
        yield from self.missing()
        unplaced = dict(self.unplaced())
        if self.names.vars or unplaced:
            yield from ("", "vars:")
            yield from (f"  {name}:{yaml(value, 4)}" for name, value in self.names.vars.items())
        if unplaced:
            yield f"  # {_UNPLACED}"
            yield from (f"  {name}:{yaml(value, 4)}" for name, value in unplaced.items())
        if self.shared:
            yield from ("", "defaults:")
            for tool, params in self.shared.items():
                yield f"  {tool}:"
                yield from (f"    {name}:{yaml(value, 6)}" for name, value in params.items())
        yield from ("", "stages:")
        for at, stage in enumerate(adoption.stages):
            yield from ([""] if at else [])
            yield from self.stage(stage)

    def missing(self) -> Iterator[str]:
        """Yield what of the script is not in the recipe."""
        if self.adoption.problems:
            yield from ("", "# Not imported, for you to add:")
            yield from _comments(self.adoption.problems, "")

    def unplaced(self) -> Iterator[tuple[str, str]]:
        """Yield vars that hold what may be options: nothing reads them, so that check says so."""
        for stage in self.adoption.stages:
            if stage.unplaced:
                name = f"{stage.name}_options"
                while name in self.names.vars:
                    name += "_"
                yield name, literal(" ".join(stage.unplaced))

    def stage(self, stage: StageDraft) -> Iterator[str]:
        for line in stage.comments:
            yield f"  # {visible.line(line)}".rstrip()
        yield f"  {quoted(stage.name)}:"
        yield f"    tool: {stage.tool.name}"
        if stage.description:
            yield f"    description:{yaml(literal(stage.description), 6, 10_000)}"
        for key, value in stage.around.items():
            yield f"    {key}:{yaml(self.names.inside(value, {}), 6)}"
        own = self.by_stage[stage.name]
        shared = self.shared.get(stage.tool.name, {})
        params = {name: value for name, value in own.items() if name not in shared}
        if params:
            yield "    params:"
            yield from (f"      {name}:{yaml(value, 8)}" for name, value in params.items())
        if stage.expect:
            yield f"    expect:{yaml(stage.expect, 6)}"
        yield from _comments(stage.notes, "    ")

    def params(self, stage: StageDraft) -> dict[str, Any]:
        """Return what a stage's parameters are in the recipe."""
        values = _terse(stage.values, stage.tool) if self.adoption.terse else stage.values
        return {
            name: self.names.expression(one, stage.tool.schema["properties"].get(name, {}))
            for name, one in values.items()
        }

    def defaults(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield by tool what all of its stages say alike."""
        tools: dict[str, list[dict[str, Any]]] = {}
        for stage in self.adoption.stages:
            tools.setdefault(stage.tool.name, []).append(self.by_stage[stage.name])
        for tool, (first, *others) in tools.items():
            same = {
                name: value
                for name, value in first.items()
                if others and all(name in o and _same(o[name], value) for o in others)
            }
            if len(same) >= SHARED:
                yield tool, same


class _Names:
    """The vars of a recipe: a script's variables that stand in for one value, where it is used."""

    def __init__(self, variables: Variables) -> None:
        self.variables = variables
        self.vars: dict[str, Any] = {}
        self.names: dict[str, str] = {}

    def expression(self, value: ScriptValue, schema: Mapping[str, Any]) -> Any:
        """Return what a recipe says for a value: a template, or the value."""
        if value.template is not None:
            return value.template
        parts = self.variables.parts(value.signs) if value.signs is not None else []
        if len(parts) == 1 and isinstance(parts[0], Variable):
            return self.whole(parts[0], schema, value)
        text = value.value is MISSING or isinstance(value.value, str)
        if text and any(isinstance(part, Variable) for part in parts):
            return "".join(map(self.piece, parts))
        return self.inside(value.value, schema)

    def inside(self, value: Any, schema: Mapping[str, Any]) -> Any:
        """Return a value with what only bash or the environment knows as templates."""
        if isinstance(value, dict):
            properties = schema.get("properties", {})
            return {
                key: self.inside(child, properties.get(key, {})) for key, child in value.items()
            }
        if isinstance(value, list):
            return [self.inside(child, schema.get("items", {})) for child in value]
        if isinstance(value, str) and unfilled(value):
            return self.expression(ScriptValue(value=MISSING, mark=_NOWHERE, signs=value), schema)
        return literal(value) if isinstance(value, str) else value

    def whole(self, variable: Variable, schema: Mapping[str, Any], value: ScriptValue) -> Any:
        """Return how a recipe says a value that is one variable."""
        if variable.value is None:
            return _environment(variable, schema, self.variables)
        expression = self.expression(
            ScriptValue(value=value.value, mark=value.mark, signs=variable.value), schema
        )
        if not self.once(variable):
            return expression
        name = self.name(variable.name)
        first = self.vars.setdefault(name, expression)
        return f"{{{{ vars.{name} }}}}" if _same(first, expression) else expression

    def piece(self, part: str | Variable) -> str:
        """Return how a recipe says a part of a text."""
        if isinstance(part, str):
            # A dollar before {{ is refused, as it is GitHub's.
            return f"{literal(part[:-1])}{{{{ '$' }}}}" if part[-1:] == "$" else literal(part)
        if part.value is None:
            return str(_environment(part, _TEXT, self.variables))
        text = "".join(map(self.piece, self.variables.parts(part.value)))
        if not self.once(part):
            return text
        name = self.name(part.name)
        first = self.vars.setdefault(name, text)
        return f"{{{{ vars.{name} }}}}" if str(first) == text else text

    def once(self, variable: Variable) -> bool:
        """Return whether a variable is one value in the whole script."""
        return len(self.variables.assignments.get(variable.name, ())) == 1

    def name(self, word: str) -> str:
        if word not in self.names:
            lower = word.lower()
            self.names[word] = word if lower in self.names.values() else lower
        return self.names[word]


_NOWHERE = Mark(file="", line=1, column=1)
_TEXT: Mapping[str, Any] = {"type": "string"}


def _environment(variable: Variable, schema: Mapping[str, Any], variables: Variables) -> Any:
    """Return a variable of the environment as a template of the parameter's type."""
    kinds = schema.get("type", "string")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if variable.default is None:
        turned = " | int" if "integer" in kinds else " | float" if "number" in kinds else ""
        return f"{{{{ env('{variable.key}'){turned} }}}}"
    text = variables.text(variable.default)
    try:
        value = convert(text, schema)
    except ValueError:
        value = text
    default = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and not set(value) & {"'", "\\", "\n"}:
        default = f"'{value}'"
    return f"{{{{ env('{variable.key}', {default}) }}}}"


def _terse(values: Mapping[str, ScriptValue], tool: Tool) -> dict[str, ScriptValue]:
    """Return what is not a default of the tool, and what must be said: where it writes, too."""
    must = {*tool.schema.get("required", ()), *(output.param for output in tool.outputs.values())}
    whole = complete(tool.schema, plain(values), tool.schema)
    terse = {}
    for name, one in values.items():
        less = {other: g for other, g in values.items() if other != name}
        default = complete(tool.schema, plain(less), tool.schema)
        needed = name in must or name not in default or not is_known(one)
        if needed or one.template is not None or not _same(whole.get(name), default[name]):
            terse[name] = one
    return terse


def _comments(problems: Iterable[Problem], pad: str) -> Iterator[str]:
    for one in sort_problems(problems):
        text = " ".join(f"{one.message}; {one.hint}".rstrip("; ").split())
        yield f"{pad}# {visible.line(one.mark.file)}:{one.mark.line}: {visible.line(text)}"


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)
