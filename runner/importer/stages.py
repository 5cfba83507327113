"""A command's parameters in, a stage out: complete, pruned, and referring to earlier stages.

A value that mlx-lm would not read is dropped with a note; a default that a recipe must contain is
written out; a path that an earlier command wrote becomes a reference to its stage.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from runner.base.constants import normal, upward
from runner.base.formatting import pretty_json
from runner.base.problems import Mark, Problem
from runner.catalog import hints
from runner.catalog.tools import Tool, applies, complete
from runner.catalog.validate import Violation, dotted, violations
from runner.importer import commands
from runner.importer.arguments import IGNORED, NOT_FOLLOWED, REFUSED, ScriptValue
from runner.importer.variables import Variables, unfilled
from runner.plan.keys import sentence
from runner.recipe.node import MISSING


class StageDraft(Struct, kw_only=True):
    """A stage to be: what the command gives, and what it does not say or lost.

    `invalid` are the parameters that the tool stops at, which is reported; `unplaced` the words
    that may be options.
    """

    name: str
    tool: Tool
    mark: Mark
    values: dict[str, ScriptValue]
    comments: list[str] = field(default_factory=list)
    description: str = ""
    expect: list[str] = field(default_factory=list)
    around: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    notes: list[Problem] = field(default_factory=list)
    invalid: set[str] = field(default_factory=set)
    unplaced: list[str] = field(default_factory=list)


def fit(draft: StageDraft, variables: Variables) -> None:
    """Complete and prune the parameters of a stage, so that they match its tool's schema.

    A value that mlx-lm would not read is dropped with a note; a default that the recipe must
    contain is written out. What the schema still refuses is reported.
    """
    _whole(draft, variables)
    _length(draft)
    for _ in range(20):
        faults = violations(draft.tool.schema, plain(draft.values, missing=True))
        if not any(_mend(draft, one) for one in faults):
            draft.notes += _refusals(draft, faults)
            draft.invalid |= {str(one.path[0]) for one in faults if one.path}
            return


def plain(values: Mapping[str, ScriptValue], *, missing: bool = False) -> dict[str, Any]:
    """Return the bare values; those that the script does not say are MISSING, or left out."""
    if missing:
        return {name: _bare(one.value) for name, one in values.items()}
    return {name: one.value for name, one in values.items() if is_known(one)}


def is_known(value: ScriptValue) -> bool:
    """Return whether the script says a value, and all that is inside it."""
    return value.value is not MISSING and not unfilled(value.value)


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _bare(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_bare(child) for child in value]
    return MISSING if unfilled(value) else value


class StageOutputs:
    """What the stages before have made: each path the latest that made it, and the names taken."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.paths: set[str] = set()
        self.folders: dict[str, dict[str, str]] = {}
        self.numbers: dict[str, int] = {}

    def add(self, draft: StageDraft) -> None:
        """Remember a stage."""
        self.names.add(draft.name.casefold())
        self.paths |= {*draft.outputs.values()}
        for name, path in draft.outputs.items():
            kind, output = draft.tool.outputs[name].makes, f"stages.{draft.name}.{name}"
            kinds = self.folders.setdefault(normal(path), {})
            if kinds and not next(iter(kinds.values())).startswith(f"stages.{draft.name}."):
                kinds.clear()  # a later command wrote it anew
            kinds[kind] = output

    def free(self, word: str) -> str:
        """Return a name that no stage has: the word, or the word with a number."""
        name, number = word, self.numbers.get(word, 1)
        while name.casefold() in self.names:
            number += 1
            name = f"{word}_{number}"
        self.numbers[word] = max(1, number - 1)
        return name

    def reference(self, value: Any, kind: str | None = None) -> str | None:
        """Return how a recipe says a path that a stage made: itself, or the nearest around it.

        Of outputs that are in one place, it is the one of that kind.
        """
        if not isinstance(value, str) or not value:
            return None
        path = normal(value)
        for folder in upward(path):
            kinds = self.folders.get(folder, {})
            output = kinds.get(kind or "", next(iter(kinds.values()), None))
            if output is not None and not unfilled(path[len(folder) :]):
                return f"{{{{ {output} }}}}{path.removeprefix(folder)}"
        return None


def settle(draft: StageDraft, before: StageOutputs, variables: Variables) -> None:
    """Name a stage, refer to outputs of earlier stages, and leave its own paths to the runner."""
    tool = draft.tool
    full = complete(tool.schema, plain(draft.values), tool.schema)
    draft.name = draft.name or before.free(_name(draft, full))
    texts = {
        n: variables.text(g.signs) for n, g in draft.values.items() if g.signs and not is_known(g)
    }
    paths = full | texts
    outputs = commands.outputs(tool, paths)
    output_params = {tool.outputs[name].param for name in outputs}
    for name, parameter in tool.parameters.items():
        if parameter.input_kind(full) in {None, "hub"} or name in output_params:
            continue
        reference = before.reference(paths.get(name), parameter.input_kind(full))
        if reference is not None:
            mark = draft.values[name].mark if name in draft.values else draft.mark
            draft.values[name] = ScriptValue(value=paths[name], mark=mark, template=reference)
            draft.notes = [n for n in draft.notes if (n.mark, n.rule) != (mark, NOT_FOLLOWED)]
    for output in tool.outputs.values():
        unsaid = output.param is not None and output.param not in draft.values
        if (
            unsaid
            and full.get(output.param or "", "") is None
            and applies({"when": output.when}, full)
        ):
            draft.values[str(output.param)] = ScriptValue(
                value=None, mark=draft.mark
            )  # the tool makes none
    for name, path in outputs.items():
        draft.outputs[name] = path
        param = tool.outputs[name].param
        if param is None or param not in draft.values:
            continue
        if path == tool.outputs[name].within(draft.name):
            del draft.values[param]
        elif path in before.paths:
            value = draft.values.pop(param)
            why = f"{param}: {path} is also written by an earlier command; the recipe keeps both"
            draft.notes.append(
                Problem(mark=value.mark, message=why, rule=IGNORED, severity="warning")
            )
    before.add(draft)


_LONGEST = 60  # letters of a folder that a stage is called after; YAML has no key of 1,025


def _name(draft: StageDraft, full: Mapping[str, Any]) -> str:
    """Return a name for a stage: the folder it makes where that says something, else its work."""
    word = draft.tool.name.rpartition(".")[2]
    if draft.tool.trains:
        word = next((one for one in ("train", "test") if full.get(one)), word)
    for output in draft.tool.outputs.values():
        value = draft.values.get(output.param or "")
        if value is not None and word == "train" and isinstance(value.value, str):
            last = posixpath.basename(normal(value.value))
            stem = re.sub(r"\W+", "_", last).strip("_")
            tells = stem.lower() not in commands.SAYS_NOTHING and not stem[:1].isdigit()
            word = stem if tells and 0 < len(stem) <= _LONGEST else word
    return word


def _take(draft: StageDraft, name: str, default: Any) -> None:
    """Say mlx-lm's default of a parameter that nobody says."""
    draft.values[name] = ScriptValue(value=default, mark=draft.mark)
    why = f"{name} is not set: mlx-lm uses {pretty_json(default)}"
    draft.notes.append(
        Problem(mark=draft.mark, message=why, rule="default-taken", severity="warning")
    )


def _length(draft: StageDraft) -> None:
    """Say how long a training is where its command does not."""
    values = plain(draft.values)
    for name, parameter in draft.tool.parameters.items():
        length = parameter.schema.get("x-smoke", {})
        unsaid = name not in draft.values and not draft.unplaced
        said = parameter.default is not None  # else it is taken from elsewhere, as from epochs
        if unsaid and said and length.get("total") and applies(length, values):
            _take(draft, name, parameter.default)


def _whole(draft: StageDraft, variables: Variables) -> None:
    """Say what a mapping lacks that mlx-lm stops without: what is meant, else what to fill in."""
    full = complete(draft.tool.schema, plain(draft.values), draft.tool.schema)
    for name, value in [*draft.values.items()]:
        schema = draft.tool.schema["properties"].get(name, {})
        whole = schema.get("x-whole")
        if whole is None or not isinstance(value.value, dict):
            continue
        if any(applies({"when": values}, full) for values in whole.get("unless", ())):
            continue
        for key in (key for key in whole["keys"] if key not in value.value):
            _supply(draft, (name, key), schema, variables)


def _supply(
    draft: StageDraft, path: tuple[str, str], schema: Mapping[str, Any], variables: Variables
) -> None:
    """Say a key that mlx-lm stops without, where one beside it or its default means it."""
    name, key = path
    before = draft.values[name]
    why = f"mlx-lm fails at {name} without {key} (T14)"
    default = schema["properties"][key]["default"]
    quotients = {other: hints.quotient(schema, other, before.value) for other in before.value}
    other = next(
        (o for o, supply in quotients.items() if supply is not None and supply[0] == key), None
    )
    value = {k: child for k, child in before.value.items() if k != other}
    supply = quotients[other] if other is not None else None
    if supply is not None:
        quotient = f"{other} / {schema['x-quotient'][other]['by']}"
        value[key], hint = supply[1], f"the recipe sets {supply[1]}, which is {quotient}"
    elif not default:
        value[key], hint = default, f"the recipe sets {default}, mlx-lm's default"
    else:
        value[key] = variables.placeholder(key, "mlx-lm fails without it")
        hint = f"write {key} in the recipe; mlx-lm's default is {default}"
    rule, severity = (REFUSED, "error") if unfilled(value[key]) else (IGNORED, "warning")
    draft.notes.append(
        Problem(mark=before.mark, message=why, rule=rule, hint=hint, severity=severity)
    )
    draft.values[name] = replace(before, value=value)


def _refusals(draft: StageDraft, faults: Sequence[Violation]) -> Iterator[Problem]:
    """Yield what a schema refuses of a stage and is not told yet, at its place in the script."""
    for one in faults:
        name = str(one.path[0]) if one.path else ""
        lacking = not one.path and draft.unplaced
        if name not in draft.invalid and not lacking:
            value = draft.values.get(name)
            mark = value.place(one.path[1:]) if value is not None else draft.mark
            yield Problem(
                mark=mark, message=sentence(one, draft.tool.name), rule=one.rule, hint=one.hint
            )


def _mend(draft: StageDraft, fault: Violation) -> bool:
    """Drop what a violation is about, or say the default it asks for; say whether that is done."""
    tool, values = draft.tool, draft.values
    for name in fault.names:
        default = tool.schema["properties"].get(name, {}).get("default")
        lacks = name not in values and fault.rule in {"missing-key", "bad-value"}
        if default is not None and lacks and not draft.unplaced:
            _take(draft, name, default)
            return True
    if not fault.path or fault.path[0] not in values:
        return False
    name = str(fault.path[0])
    unread = (fault.rule == "unknown-key" and len(fault.path) > 1) or fault.rule == "not-read"
    if not unread and not _constant(tool, name):
        return False
    mark = values[name].place(fault.path[1:])
    value = values.pop(name).value if len(fault.path) == 1 else _without(values, fault.path)
    if value in ({}, [], None):
        return True  # nothing was said
    text = value if isinstance(value, str) else pretty_json(value)
    why = f"{dotted(fault.path)}: {text} was never read: {fault.message}"
    about = (dotted(fault.path),)
    draft.notes.append(
        Problem(
            mark=mark, message=why, rule=IGNORED, hint=fault.hint, severity="warning", about=about
        )
    )
    return True


def _without(values: dict[str, ScriptValue], path: tuple[Any, ...]) -> Any:
    """Remove what is at a path, and return it."""
    name, *inside, last = path

    def less(value: Any, steps: list[Any]) -> Any:
        if not steps:
            return {key: child for key, child in value.items() if key != last}
        if isinstance(value, list):
            return [less(v, steps[1:]) if at == steps[0] else v for at, v in enumerate(value)]
        return {k: less(v, steps[1:]) if k == steps[0] else v for k, v in value.items()}

    value = values[str(name)].value
    part = value
    for step in [*inside, last]:
        part = part[step]
    values[str(name)] = replace(values[str(name)], value=less(value, inside), signs=None)
    return part


def _constant(tool: Tool, name: str) -> bool:
    """Return whether a parameter may only ever be one value, or is one beside others."""
    rules = tool.schema.get("allOf", ())
    fixed = (rule.get("then", {}).get("properties", {}).get(name, {}) for rule in rules)
    return any("const" in part for part in (tool.schema["properties"].get(name, {}), *fixed))
