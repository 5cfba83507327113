"""A command's parameters in, a stage of a recipe out: complete, pruned, referring to earlier ones.

What mlx-lm would not read is dropped and noted; a default that a recipe must say is said; a path
that an earlier command made is a reference to its stage.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from runner.base.constants import normal, upward
from runner.base.formatting import laid_out
from runner.base.problems import Mark, Problem
from runner.catalog import hints
from runner.catalog.tools import Tool, applies, complete
from runner.catalog.validate import Violation, dotted, violations
from runner.importer import commands
from runner.importer.arguments import IGNORED, NOT_FOLLOWED, REFUSED, Given
from runner.importer.variables import Variables, unfilled
from runner.plan.keys import sentence
from runner.recipe.node import MISSING


class Adopted(Struct, kw_only=True):
    """A stage to be: what the command gives, and what it does not say or lost.

    `refused` are the parameters that the tool stops at, which is told; `unplaced` the words that
    may be options.
    """

    name: str
    tool: Tool
    mark: Mark
    given: dict[str, Given]
    comments: list[str] = field(default_factory=list)
    description: str = ""
    expect: list[str] = field(default_factory=list)
    around: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    notes: list[Problem] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    unplaced: list[str] = field(default_factory=list)


def fitted(adopted: Adopted, variables: Variables) -> None:
    """Complete and prune what a stage is given, so that its tool's schema takes it.

    What mlx-lm would not read is dropped and noted; a default that the recipe must say is said.
    What is left for the schema to refuse is told.
    """
    _whole(adopted, variables)
    _length(adopted)
    for _ in range(20):
        found = violations(adopted.tool.schema, plain(adopted.given, missing=True))
        if not any(_mend(adopted, one) for one in found):
            adopted.notes += _refusals(adopted, found)
            adopted.refused |= {str(one.path[0]) for one in found if one.path}
            return


def plain(given: Mapping[str, Given], *, missing: bool = False) -> dict[str, Any]:
    """Return the bare values; those that the script does not say are MISSING, or left out."""
    if missing:
        return {name: _bare(one.value) for name, one in given.items()}
    return {name: one.value for name, one in given.items() if said(one)}


def said(given: Given) -> bool:
    """Say whether the script says a value, and all that is inside it."""
    return given.value is not MISSING and not unfilled(given.value)


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _bare(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_bare(child) for child in value]
    return MISSING if unfilled(value) else value


class Made:
    """What the stages before have made: each path the latest that made it, and the names taken."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.paths: set[str] = set()
        self.folders: dict[str, str] = {}
        self.numbers: dict[str, int] = {}

    def add(self, adopted: Adopted) -> None:
        """Remember a stage."""
        self.names.add(adopted.name.casefold())
        self.paths |= {*adopted.outputs.values()}
        for name, path in adopted.outputs.items():
            self.folders[normal(path)] = f"stages.{adopted.name}.{name}"

    def free(self, word: str) -> str:
        """Return a name that no stage has: the word, or the word with a number."""
        name, number = word, self.numbers.get(word, 1)
        while name.casefold() in self.names:
            number += 1
            name = f"{word}_{number}"
        self.numbers[word] = max(1, number - 1)
        return name

    def reference(self, value: Any) -> str | None:
        """Return how a recipe says a path that a stage made: itself, or the nearest around it."""
        if not isinstance(value, str) or not value:
            return None
        path = normal(value)
        for folder in upward(path):
            said = self.folders.get(folder)
            if said is not None and not unfilled(path[len(folder) :]):
                return f"{{{{ {said} }}}}{path.removeprefix(folder)}"
        return None


def settle(adopted: Adopted, before: Made, variables: Variables) -> None:
    """Name a stage, refer to what earlier stages made, and leave its own places to the runner."""
    tool = adopted.tool
    full = complete(tool.schema, plain(adopted.given), tool.schema)
    adopted.name = adopted.name or before.free(_name(adopted, full))
    texts = {
        n: variables.text(g.signs) for n, g in adopted.given.items() if g.signs and not said(g)
    }
    paths = full | texts
    made = commands.outputs(tool, paths)
    written = {tool.outputs[name].param for name in made}
    for name, parameter in tool.parameters.items():
        if parameter.input_kind(full) in {None, "hub"} or name in written:
            continue
        reference = before.reference(paths.get(name))
        if reference is not None:
            mark = adopted.given[name].mark if name in adopted.given else adopted.mark
            adopted.given[name] = Given(value=paths[name], mark=mark, template=reference)
            adopted.notes = [n for n in adopted.notes if (n.mark, n.rule) != (mark, NOT_FOLLOWED)]
    for output in tool.outputs.values():
        unsaid = output.param is not None and output.param not in adopted.given
        if (
            unsaid
            and full.get(output.param or "", "") is None
            and applies({"when": output.when}, full)
        ):
            adopted.given[str(output.param)] = Given(
                value=None, mark=adopted.mark
            )  # the tool makes none
    for name, path in made.items():
        adopted.outputs[name] = path
        param = tool.outputs[name].param
        if param is None or param not in adopted.given:
            continue
        if path == tool.outputs[name].within(adopted.name):
            del adopted.given[param]
        elif path in before.paths:
            given = adopted.given.pop(param)
            why = f"{param}: {path} is written by an earlier command too; the recipe keeps both"
            adopted.notes.append(
                Problem(mark=given.mark, message=why, rule=IGNORED, severity="warning")
            )
    before.add(adopted)


_LONGEST = 60  # letters of a folder that a stage is called after; YAML has no key of 1,025


def _name(adopted: Adopted, full: Mapping[str, Any]) -> str:
    """Return a name for a stage: the folder it makes where that says something, else its work."""
    word = adopted.tool.name.rpartition(".")[2]
    if adopted.tool.watch == "watch_lora":
        word = next((one for one in ("train", "test") if full.get(one)), word)
    for output in adopted.tool.outputs.values():
        given = adopted.given.get(output.param or "")
        if given is not None and word == "train" and isinstance(given.value, str):
            last = posixpath.basename(normal(given.value))
            stem = re.sub(r"\W+", "_", last).strip("_")
            tells = stem.lower() not in commands.SAYS_NOTHING and not stem[:1].isdigit()
            word = stem if tells and 0 < len(stem) <= _LONGEST else word
    return word


def _take(adopted: Adopted, name: str, default: Any) -> None:
    """Say mlx-lm's default of a parameter that nobody says."""
    adopted.given[name] = Given(value=default, mark=adopted.mark)
    why = f"nobody says {name}: mlx-lm takes {laid_out(default)}"
    adopted.notes.append(
        Problem(mark=adopted.mark, message=why, rule="default-taken", severity="warning")
    )


def _length(adopted: Adopted) -> None:
    """Say how long a training is where its command does not."""
    given = plain(adopted.given)
    for name, parameter in adopted.tool.parameters.items():
        length = parameter.schema.get("x-smoke", {})
        unsaid = name not in adopted.given and not adopted.unplaced
        if unsaid and length.get("total") and applies(length, given):
            _take(adopted, name, parameter.default)


def _whole(adopted: Adopted, variables: Variables) -> None:
    """Say what a mapping lacks that mlx-lm stops without: what is meant, else what to fill in."""
    full = complete(adopted.tool.schema, plain(adopted.given), adopted.tool.schema)
    for name, given in [*adopted.given.items()]:
        schema = adopted.tool.schema["properties"].get(name, {})
        whole = schema.get("x-whole")
        if whole is None or not isinstance(given.value, dict):
            continue
        if any(applies({"when": values}, full) for values in whole.get("unless", ())):
            continue
        for key in (key for key in whole["keys"] if key not in given.value):
            _supply(adopted, (name, key), schema, variables)


def _supply(
    adopted: Adopted, path: tuple[str, str], schema: Mapping[str, Any], variables: Variables
) -> None:
    """Say a key that mlx-lm stops without, where one beside it or its default means it."""
    name, key = path
    given = adopted.given[name]
    why = f"mlx-lm stops at {name} without {key} (T14)"
    default = schema["properties"][key]["default"]
    meant = {other: hints.quotient(schema, other, given.value) for other in given.value}
    other = next((o for o, found in meant.items() if found is not None and found[0] == key), None)
    value = {k: child for k, child in given.value.items() if k != other}
    found = meant[other] if other is not None else None
    if found is not None:
        quotient = f"{other} / {schema['x-quotient'][other]['by']}"
        value[key], hint = found[1], f"the recipe says {found[1]}, which is {quotient}"
    elif not default:
        value[key], hint = default, f"the recipe says {default}, mlx-lm's own default"
    else:
        value[key] = variables.wanted(key, "mlx-lm stops without it")
        hint = f"write {key} in the recipe; mlx-lm's own default is {default}"
    rule, severity = (REFUSED, "error") if unfilled(value[key]) else (IGNORED, "warning")
    adopted.notes.append(
        Problem(mark=given.mark, message=why, rule=rule, hint=hint, severity=severity)
    )
    adopted.given[name] = replace(given, value=value)


def _refusals(adopted: Adopted, found: Sequence[Violation]) -> Iterator[Problem]:
    """Yield what a schema refuses of a stage and is not told yet, at its place in the script."""
    for one in found:
        name = str(one.path[0]) if one.path else ""
        lacking = not one.path and adopted.unplaced
        if name not in adopted.refused and not lacking:
            given = adopted.given.get(name)
            mark = given.place(one.path[1:]) if given is not None else adopted.mark
            yield Problem(
                mark=mark, message=sentence(one, adopted.tool.name), rule=one.rule, hint=one.hint
            )


def _mend(adopted: Adopted, found: Violation) -> bool:
    """Drop what a violation is about, or say the default it asks for; say whether that is done."""
    tool, given = adopted.tool, adopted.given
    for name in found.names:
        default = tool.schema["properties"].get(name, {}).get("default")
        lacks = name not in given and found.rule in {"missing-key", "bad-value"}
        if default is not None and lacks and not adopted.unplaced:
            _take(adopted, name, default)
            return True
    if not found.path or found.path[0] not in given:
        return False
    name = str(found.path[0])
    unread = (found.rule == "unknown-key" and len(found.path) > 1) or found.rule == "not-read"
    if not unread and not _constant(tool, name):
        return False
    mark = given[name].place(found.path[1:])
    value = given.pop(name).value if len(found.path) == 1 else _without(given, found.path)
    if value in ({}, [], None):
        return True  # nothing was said
    said = value if isinstance(value, str) else laid_out(value)
    why = f"{dotted(found.path)}: {said} was never read: {found.message}"
    about = (dotted(found.path),)
    adopted.notes.append(
        Problem(
            mark=mark, message=why, rule=IGNORED, hint=found.hint, severity="warning", about=about
        )
    )
    return True


def _without(given: dict[str, Given], path: tuple[Any, ...]) -> Any:
    """Remove what stands at a path, and return it."""
    name, *inside, last = path

    def less(value: Any, steps: list[Any]) -> Any:
        if not steps:
            return {key: child for key, child in value.items() if key != last}
        if isinstance(value, list):
            return [less(v, steps[1:]) if at == steps[0] else v for at, v in enumerate(value)]
        return {k: less(v, steps[1:]) if k == steps[0] else v for k, v in value.items()}

    value = given[str(name)].value
    found = value
    for step in [*inside, last]:
        found = found[step]
    given[str(name)] = replace(given[str(name)], value=less(value, inside), signs=None)
    return found


def _constant(tool: Tool, name: str) -> bool:
    """Say whether a parameter may only ever be one value, or is one beside others."""
    rules = tool.schema.get("allOf", ())
    fixed = (rule.get("then", {}).get("properties", {}).get(name, {}) for rule in rules)
    return any("const" in said for said in (tool.schema["properties"].get(name, {}), *fixed))
