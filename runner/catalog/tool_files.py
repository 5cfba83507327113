"""The ``tools:`` of a recipe in, the schemas of its tools and all their problems out.

A tool's file is JSON or YAML, as schema/tool.meta.json defines it. No code of a tool is imported.
"""

import posixpath
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from runner.base.problems import Mark, Problem, as_yaml
from runner.catalog.tools import OWN, Tool, complete
from runner.catalog.validate import violations
from runner.recipe.node import Node, locate
from runner.recipe.yaml import parse

Json = dict[str, Any]
Read = Callable[[str], bytes]
Path = tuple[str | int, ...]
NAME = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*\Z")
# A repeated group that repeats something inside takes exponential time for some texts.
_NESTED = re.compile(r"\([^()]*[*+{][^()]*\)[*+{]")
_MOST = 3
MAX_SIZE = 400_000  # characters of all files: the largest that is shipped has 20,000


class ToolFiles(Struct, frozen=True, kw_only=True):
    """The schemas of a recipe's tools by name, the texts of their files, and what is wrong."""

    tools: Mapping[str, Json] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def read(tree: Node | None, open_file: Read, meta: Json, shipped: Collection[str]) -> ToolFiles:
    """Return the tools that a recipe's files name; `open_file` raises OSError.

    `meta` is the schema of such a file, `shipped` the names that are taken.
    """
    section = tree.get("tools") if tree is not None else None
    entries = section.value if section is not None and isinstance(section.value, dict) else {}
    tools: dict[str, Json] = {}
    sources: dict[str, str] = {}
    problems: list[Problem] = []
    size = 0
    for name, node in entries.items():
        if node.tag == "reset" or not isinstance(node.value, str) or not node.value:
            continue  # its shape is told with that of the recipe
        problem = _name_problem(name, node, shipped) or _second(name, node)
        if problem is not None:
            problems.append(problem)
            continue
        path = place(node)
        try:
            document = parse(open_file(path), path)
        except OSError as error:
            hint = "paths of 'tools' are relative to the file that contains them"
            why = f"cannot read {path}: {error.strerror or error}"
            problems.append(Problem(mark=node.mark, message=why, rule="bad-tool-file", hint=hint))
            continue
        sources[path] = document.text
        size += len(document.text)
        if size > MAX_SIZE:
            why = f"the tool files contain more than {MAX_SIZE:,} characters in total"
            problems.append(Problem(mark=node.mark, message=why, rule="bad-tool-file"))
            break
        note = ((node.mark, f"'{name}' is this file"),)
        wrong = [_told(one, note) for one in document.problems]
        if not wrong and document.root is not None:
            wrong = [
                Problem(
                    mark=locate(document.root, at).mark,
                    message=message,
                    rule="bad-tool-file",
                    notes=note,
                    hint="docs/adding-a-tool.md says what each key is for",
                )
                for at, message in faults(name, document.root.plain(), meta)
            ][:_MOST]
        if wrong or document.root is None:
            empty = Problem(mark=node.mark, message=f"{path} is empty", rule="bad-tool-file")
            problems += wrong or [empty]
        else:
            tools[name] = document.root.plain()
    return ToolFiles(tools=tools, sources=sources, problems=tuple(problems))


def place(node: Node) -> str:
    """Return the path of a tool's file, which is relative to the recipe's file that names it."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(node.file), node.value))


def _told(problem: Problem, note: tuple[tuple[Mark, str], ...]) -> Problem:

    return replace(problem, notes=(*problem.notes, *note))


def _name_problem(name: str, node: Node, shipped: Collection[str]) -> Problem | None:
    why = hint = ""
    if not NAME.match(name):
        why = f"'{name}' is not a tool name: write two words joined by a dot, as mine.score"
        hint = "use lowercase letters, digits and '_'"
    elif name in shipped:
        why, hint = f"a shipped tool is already called '{name}'", "give it another name"
    elif "{{" in node.value:
        why = "'tools' is read before templates are filled in"
        hint = "write the file name out"
    else:
        return None
    return Problem(mark=node.key_mark, message=why, rule="bad-tool", hint=hint)


def _second(name: str, node: Node) -> Problem | None:
    """Return the problem of a name that two files give to two tools."""
    others = (one for one in node.losers() if isinstance(one.value, str))
    other = next((one for one in others if place(one) != place(node)), None)
    if other is None:
        return None
    return Problem(
        mark=node.mark,
        message=f"'{name}' is {place(node)} here, and {place(other)} in {other.mark}",
        rule="bad-tool",
        hint="give one of them another name",
        notes=((other.mark, f"'{name}' is this file there"),),
    )


def faults(name: str, schema: Any, meta: Json, *, own: bool = False) -> Iterator[tuple[Path, str]]:
    """Yield what is wrong with a tool's file, each with the place in it.

    With `own` it is a file of schema/tools, which may say more than a user's.
    """
    from jsonschema import Draft202012Validator  # 95 ms, only where a recipe has tools

    shape = [*Draft202012Validator(meta).iter_errors(schema)]
    for error in shape:
        words = ".".join(map(str, error.absolute_path))
        yield tuple(error.absolute_path), f"{words}: {error.message}" if words else error.message
    if shape:
        return
    if schema["title"] != name:
        yield ("title",), f"title is {as_yaml(schema['title'])}, and the recipe calls it '{name}'"
    foreign = [] if own else [*_foreign(schema)]
    yield from foreign
    if not foreign:
        yield from _names(schema)
        yield from _values(schema)


def _foreign(schema: Json) -> Iterator[tuple[Path, str]]:
    """Yield what only a file of schema/tools may say: it is about code of run-recipe."""
    head = schema["x-tool"]
    for key in ("observer", "rules", "rows"):
        if key in head:
            yield ("x-tool", key), f"'{key}' is about run-recipe's own code: leave it out"
    if head.get("distribution") == OWN:
        yield ("x-tool", "distribution"), f"only its own tools come with {OWN}"
    if head.get("trains", {}).get("loop"):
        yield ("x-tool", "trains"), "'loop' is about run-recipe's own code: leave it out"
    for at, part in _parts(schema, ()):
        if _NESTED.search(str(part.get("pattern", ""))) or len(str(part.get("pattern", ""))) > 200:  # noqa: PLR2004
            yield (*at, "pattern"), "a pattern that repeats what repeats takes for ever"
    for key, part in schema.get("$defs", {}).items():
        if any("$ref" in one for _, one in _parts(part, ())):
            yield ("$defs", key), "a part that others refer to refers to none itself"


def _names(schema: Json) -> Iterator[tuple[Path, str]]:
    """Yield each parameter that the head names, and that is not there."""
    properties, head = schema["properties"], schema["x-tool"]
    tool = Tool(name=schema["title"], schema=schema)
    used: list[tuple[Path, str]] = []
    for key, value in head.get("trains", {}).items():
        at: Path = ("x-tool", "trains", key)
        used += [(at, one) for one in value] if key == "when" else []
        used += [(at, value)] if isinstance(value, str) else []
    for name, output in tool.outputs.items():
        at = ("x-tool", "outputs", name)
        named = {output.param, output.replay, output.layout, *output.of, *output.when} - {None}
        named |= {place.partition(".")[0] for place in output.shape.values()}
        for key, value in output.precision.items():
            named |= {value} if isinstance(value, str) else {*value} if key != "once" else set()
        used += [(at, str(one)) for one in sorted(map(str, named))]
        used += [(at, one) for one in _holes(output.path or "") if one not in tool.outputs]
    for metric, when in head.get("metrics_when", {}).items():
        used += [(("x-tool", "metrics_when", metric), one) for one in when]
    used += [(("x-tool", "metric_families"), one) for one in tool.families.values()]
    used += [(("x-tool", "report"), one) for one in _holes(tool.report or "")]
    for role, value in tool.chat.items():
        used += [(("x-tool", "chat", role), value)] if isinstance(value, str) else []
    used += [(("required",), one) for one in schema.get("required", ())]
    for name, child in properties.items():
        used += _named_by(child, ("properties", name))
    for at, name in used:
        if name not in properties:
            yield at, f"{'.'.join(map(str, at))} names '{name}', which is no parameter"


def _named_by(child: Json, at: Path) -> Iterator[tuple[Path, str]]:
    """Yield the parameters that the annotations of one name."""
    for key in ("x-input", "x-smoke", "x-trust"):
        rule = child.get(key, {})
        yield from (((*at, key), one) for one in (*rule.get("when", ()), *rule.get("sends", ())))
    for key in ("x-gives-way", "x-select"):
        if key in child:
            yield (*at, key), child[key]
    ways = child.get("x-read-when", ())
    yield from (((*at, "x-read-when"), one) for way in ways for one in way)


def _holes(text: str) -> list[str]:
    return re.findall(r"[{](\w+)[}]", text)


def _values(schema: Json) -> Iterator[tuple[Path, str]]:
    """Yield each parameter that would have no value in a plan, or a wrong one."""
    outputs = schema["x-tool"]["outputs"].values()
    placed = {one.get("param") for one in outputs if one.get("place") and not one.get("when")}
    certain = placed | {*schema.get("required", ())}
    flags: dict[str, str] = {}
    for name, child in schema["properties"].items():
        at: Path = ("properties", name)
        if "default" not in child and name not in certain:
            yield at, f"{name} has no default: give it one, name it in 'required', or place it"
        elif "default" in child:
            whole = {**child, "$defs": schema.get("$defs", {})}
            for one in violations(whole, child["default"]):
                yield (*at, "default"), f"the default of {name} {one.message}"
        flag = child["x-arg"].get("flag", "")
        if flag and flags.setdefault(flag, name) != name:
            yield at, f"{name} has the flag {flag} of {flags[flag]}"
    complete(schema, {}, schema)


def _parts(value: Any, at: Path) -> Iterator[tuple[Path, Json]]:
    """Yield every mapping inside a schema, with its place."""
    waiting = [(at, value)]
    while waiting:
        here, one = waiting.pop()
        if isinstance(one, dict):
            yield here, one
            waiting += [((*here, key), child) for key, child in one.items()]
        elif isinstance(one, list):
            waiting += [((*here, number), child) for number, child in enumerate(one)]
