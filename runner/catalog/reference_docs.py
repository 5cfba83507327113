"""The schemas of recipes, of their tests and of the tools in, the pages of docs/reference out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from runner.base.formatting import laid_out
from runner.catalog.examples import examples, kinds
from runner.catalog.tools import Catalog, Tool, resolve

Json = dict[str, Any]
INDEX = "README.md"
_GENERATED = "Generated from `schema/`: change it there, then `make schema`."
_HEAD = f"""\
# Reference

Every key of a recipe and of its tests, and every parameter of every tool.
[The language](../language.md) explains them; `run-recipe tools TOOL` tells a tool's in the
terminal. A template may stand wherever a value of `params` may.

{_GENERATED}"""
_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
    "multipleOf": "a multiple of",
}
_NO_DEFAULT = object()


def pages(envelope: Json, tests: Json, catalog: Catalog) -> dict[str, str]:
    """Return the text of each page by its file's name: the index, and one for each tool."""
    tools = [tool for name in catalog.names if (tool := catalog.get(name))]
    made = {INDEX: _index(envelope, tests, catalog, tools)}
    return made | {f"{tool.name}.md": _page(tool) for tool in tools}


def _index(envelope: Json, tests: Json, catalog: Catalog, tools: Sequence[Tool]) -> str:
    stage, trainer = envelope["$defs"]["stage"], catalog.trainer
    keep = {"keep": trainer.schema["properties"]["keep"]}
    own = {**stage, "properties": stage["properties"] | keep}
    listed = [[f"[{tool.name}]({tool.name}.md)", tool.description] for tool in tools]
    case = tests["definitions"]["case"]
    return _text(
        _HEAD,
        "## A recipe",
        *_keys(envelope, envelope),
        "## A stage",
        "What stands under a name in `stages`.",
        *_keys(own, envelope),
        "### launch",
        catalog.launcher.description + " `hosts: N` stands for N ranks on this machine.",
        *_parameters(catalog.launcher),
        "### keep and watch",
        trainer.description,
        *_parameters(trainer),
        *_metrics(trainer, "`watch`"),
        "## A test file",
        tests["description"],
        *_keys(tests, tests),
        "### A case",
        case["description"],
        *_keys(case, tests),
        "## The tools",
        _table(["tool", "what it does"], listed),
    )  # fmt: skip


def _page(tool: Tool) -> str:
    """Return the page of a tool."""
    needs = [f"It needs {', '.join(f'`{one}`' for one in tool.needs)} beside mlx-lm."]
    return _text(
        f"# {tool.name}",
        tool.description,
        f"Its command is `{' '.join(tool.command)}`. {_GENERATED} [All tools]({INDEX}#the-tools).",
        *(needs if tool.needs else ()),
        "## Parameters",
        *_parameters(tool),
        *_outputs(tool),
        *(["## Metrics", *_metrics(tool)] if tool.metrics else ()),
        *_refused(tool),
    )


def _keys(schema: Json, root: Json) -> Iterator[str]:
    """Yield the table of the keys of a mapping, each mapping's own after it."""
    rows = [
        [f"`{one.name}`", _kind(one.said), _example(one.said, root), _about(one.said)]
        for one in _walked(schema, root)
    ]
    yield _table(["key", "type", "example", "what it is"], rows)


def _parameters(tool: Tool) -> Iterator[str]:
    """Yield the table of a tool's parameters, those inside a parameter after it."""
    rows = [
        [
            f"`{one.name}`",
            _kind(one.said),
            "required" if one.needed else _default(one.said),
            _example(one.said, tool.schema),
            _way(tool, one.outer),
            _about(one.said),
        ]
        for one in _walked(tool.schema, tool.schema)
    ]
    yield _table(["parameter", "type", "default", "example", "travels as", "what it does"], rows)


class _Key(NamedTuple):
    """A key of a schema, dotted, the outermost key it is in, its own schema, whether it must be."""

    name: str
    outer: str
    said: Json
    needed: bool


def _walked(schema: Json, root: Json, above: str = "", outer: str = "") -> Iterator[_Key]:
    """Yield each key of a schema, those of a mapping after the mapping itself."""
    for name, raw in schema.get("properties", {}).items():
        key = _Key(f"{above}{name}", outer or name, resolve(raw, root), _needs(schema, name))
        yield key
        yield from _walked(key.said, root, f"{key.name}.", key.outer)
        entry, many = _entries(key.said)
        if isinstance(key.said.get(many), dict) and "$ref" not in key.said[many]:
            yield from _walked(key.said[many], root, f"{key.name}{entry}.", key.outer)


def _needs(schema: Json, name: str) -> bool:
    return name in schema.get("required", ())


def _entries(said: Json) -> tuple[str, str]:
    """Return what stands in a key's name for each of its entries, and where their schema is."""
    return ("[]", "items") if "array" in kinds(said) else (".NAME", "additionalProperties")


def _kind(said: Json) -> str:
    """Return what values are allowed, in words."""
    if "const" in said:
        return f"`{laid_out(said['const'])}`"
    choices = said.get("enum")
    if choices:
        return ", ".join(f"`{_plain(one)}`" for one in choices)
    items = kinds(said["items"]) if isinstance(said.get("items"), dict) else []
    many = f"array of {' or '.join(items)}" if items else "array"
    words = " or ".join(many if one == "array" else one for one in kinds(said)) or "any"
    bounds = [f"{word} {laid_out(said[key])}" for key, word in _BOUNDS.items() if key in said]
    return ", ".join([words, *bounds, *_size(said)])


def _size(said: Json) -> Iterator[str]:
    least, most = said.get("minItems"), said.get("maxItems")
    if least is not None and least == most:
        yield f"{least} of them"
    elif most is not None:
        yield f"{least or 0} to {most} of them"
    elif least and "array" in kinds(said):
        yield f"at least {least}"


def _default(said: Json) -> str:
    default = said.get("default", _NO_DEFAULT)
    told = "" if default is _NO_DEFAULT else f"`{laid_out(default)}`"
    before = said.get("x-default-before", {})
    return told + "".join(
        f"; `{laid_out(value)}` before mlx-lm {release}" for release, value in before.items()
    )


def _example(said: Json, root: Json) -> str:
    shown = examples(said, root)
    return f"`{_plain(shown[0])}`" if shown else ""


def _plain(value: Any) -> str:
    """Return a value as a recipe says it on one line."""
    said = value if isinstance(value, str) else laid_out(value, width=10_000)
    quoted = isinstance(value, str) and (value.startswith("{{") or "\n" in value)
    return laid_out(value) if quoted or said == "" else said


def _about(said: Json) -> str:
    """Return what a parameter does, and since which release it is there."""
    since = said.get("x-since")
    told = str(said.get("description", "")) + (f" Since mlx-lm {since}." if since else "")
    return _safe(told)


def _way(tool: Tool, name: str) -> str:
    """Return how a parameter reaches the command."""
    parameter = tool.parameters[name]
    flag, file = parameter.flag, f"`{tool.config_flag}` file"
    off = f"; off: {file}" if tool.config_flag and parameter.in_config else ""
    ways = {
        "config": file,
        "positional": "a word after the flags",
        "pair": f"`{flag}` or `{parameter.off}`",
        "switch": f"`{flag}`{off}",
        "json": f"`{flag}`, as JSON",
        "repeat": f"`{flag}`, once for each",
    }
    return ways.get(parameter.emit, f"`{flag}`")


def _outputs(tool: Tool) -> Iterator[str]:
    """Yield what a later stage can read of a stage of this tool."""
    if not tool.outputs:
        return
    yield "## Outputs"
    yield "What another stage reads as `{{ stages.NAME.OUTPUT }}`."
    rows = []
    for name, made in tool.outputs.items():
        where = f"`{made.path}`"
        if made.param:
            where = f"`{made.param}`; `{made.place}` in the stage's folder where it is left out"
        rows.append([f"`{name}`", where, _when(made.when)])
    yield _table(["output", "where", "when"], rows)


def _metrics(tool: Tool, otherwise: str = "always") -> Iterator[str]:
    """Yield the figures that `expect` may read of a stage of this tool."""
    rows = [[f"`{name}`", _when(tool.measures(name), otherwise)] for name in tool.metrics]
    rows += [
        [f"`{lead}…`", f"ends with a name from the file in `{parameter}`"]
        for lead, parameter in tool.families.items()
    ]
    if rows:
        yield "What `expect` reads as `metrics.NAME`."
        yield _table(["metric", "when"], rows)


def _refused(tool: Tool) -> Iterator[str]:
    """Yield what is refused of parameters together, and the names people write instead."""
    parts = (
        rule.get(word, {}) for rule in tool.schema.get("allOf", ()) for word in ("then", "else")
    )
    told = [part["x-message"] for part in parts if "x-message" in part]
    if told:
        yield "## Together"
        yield "What is refused of values that are right by themselves: a stage that"
        yield "\n".join(f"- {_safe(one)}" for one in dict.fromkeys(told))
    others = tool.schema.get("x-not", {})
    if others:
        yield "## Other names"
        yield _table(["not", "but"], [[f"`{name}`", _safe(said)] for name, said in others.items()])


def _when(said: Mapping[str, Any], otherwise: str = "always") -> str:
    told = (f"`{name}: {_plain(value)}`" for name, value in said.items())
    return ", ".join(told) or otherwise


def _safe(text: str) -> str:
    return text.replace("<", "&lt;")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a column that is empty in every row is left out."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    kept = [at for at in range(len(head)) if any(row[at] for row in cells)]
    lines = [
        [head[at] for at in kept],
        ["---"] * len(kept),
        *([row[at] for at in kept] for row in cells),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(*parts: str) -> str:
    return "\n\n".join(parts) + "\n"
