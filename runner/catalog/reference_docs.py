"""The schemas of recipes, tests and tools in, the pages of docs/reference out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from runner.base.formatting import pretty_json
from runner.catalog.examples import examples, kinds
from runner.catalog.tools import Catalog, Tool, resolve

Json = dict[str, Any]
INDEX = "README.md"
_GENERATED = "Generated from `schema/`: change it there, then `make schema`."
_HEAD = f"""\
# Reference

Every key of a recipe and of its tests, and every parameter of every tool.
[The language](../language.md) explains them; `run-recipe tools TOOL` prints the parameters
of a tool in the terminal. Any value of `params` may be a template.

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
    index = {INDEX: _index(envelope, tests, catalog, tools)}
    return index | {f"{tool.name}.md": _page(tool) for tool in tools}


def _index(envelope: Json, tests: Json, catalog: Catalog, tools: Sequence[Tool]) -> str:
    stage, trainer = envelope["$defs"]["stage"], catalog.trainer
    keep = {"keep": trainer.schema["properties"]["keep"]}
    own = {**stage, "properties": stage["properties"] | keep}
    rows = [[f"[{tool.name}]({tool.name}.md)", tool.description] for tool in tools]
    case = tests["definitions"]["case"]
    return _text(
        _HEAD,
        "## A recipe",
        *_keys(envelope, envelope),
        "## A stage",
        "The keys of a stage in `stages`.",
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
        _table(["tool", "what it does"], rows),
    )  # fmt: skip


def _page(tool: Tool) -> str:
    needs = [f"It also needs {', '.join(f'`{one}`' for one in tool.needs)}."]
    return _text(
        f"# {tool.name}",
        tool.description,
        f"Its command is `{' '.join(tool.command)}`. {_GENERATED} [All tools]({INDEX}#the-tools).",
        *(needs if tool.needs else ()),
        "## Parameters",
        *_parameters(tool),
        *_outputs(tool),
        *(["## Metrics", *_metrics(tool)] if tool.metrics else ()),
        *_refusals(tool),
    )


def _keys(schema: Json, root: Json) -> Iterator[str]:
    """Yield the table of the keys of a mapping, each mapping's own after it."""
    rows = [
        [f"`{one.name}`", _kind(one.schema), _example(one.schema, root), _about(one.schema)]
        for one in _walk(schema, root)
    ]
    yield _table(["key", "type", "example", "what it is"], rows)


def _parameters(tool: Tool) -> Iterator[str]:
    """Yield the table of a tool's parameters, those inside a parameter after it."""
    rows = [
        [
            f"`{one.name}`",
            _kind(one.schema),
            "required" if one.required else _default(one.schema),
            _example(one.schema, tool.schema),
            _way(tool, one.outer),
            _about(one.schema),
        ]
        for one in _walk(tool.schema, tool.schema)
    ]
    yield _table(["parameter", "type", "default", "example", "passed as", "what it does"], rows)


class _Key(NamedTuple):
    """A key of a schema, dotted, the outermost key it is in, its own schema, whether it must be."""

    name: str
    outer: str
    schema: Json
    required: bool


def _walk(schema: Json, root: Json, above: str = "", outer: str = "") -> Iterator[_Key]:
    """Yield each key of a schema, those of a mapping after the mapping itself."""
    for name, raw in schema.get("properties", {}).items():
        key = _Key(f"{above}{name}", outer or name, resolve(raw, root), _needs(schema, name))
        yield key
        yield from _walk(key.schema, root, f"{key.name}.", key.outer)
        entry, many = _entries(key.schema)
        if isinstance(key.schema.get(many), dict) and "$ref" not in key.schema[many]:
            yield from _walk(key.schema[many], root, f"{key.name}{entry}.", key.outer)


def _needs(schema: Json, name: str) -> bool:
    return name in schema.get("required", ())


def _entries(schema: Json) -> tuple[str, str]:
    """Return what is in a key's name for each of its entries, and where their schema is."""
    return ("[]", "items") if "array" in kinds(schema) else (".NAME", "additionalProperties")


def _kind(schema: Json) -> str:
    """Return what values are allowed, in words."""
    if "const" in schema:
        return f"`{pretty_json(schema['const'])}`"
    choices = schema.get("enum")
    if choices:
        return ", ".join(f"`{_plain(one)}`" for one in choices)
    items = kinds(schema["items"]) if isinstance(schema.get("items"), dict) else []
    many = f"array of {' or '.join(items)}" if items else "array"
    words = " or ".join(many if one == "array" else one for one in kinds(schema)) or "any"
    bounds = [
        f"{word} {pretty_json(schema[key])}" for key, word in _BOUNDS.items() if key in schema
    ]
    return ", ".join([words, *bounds, *_size(schema)])


def _size(schema: Json) -> Iterator[str]:
    least, most = schema.get("minItems"), schema.get("maxItems")
    if least is not None and least == most:
        yield f"{least} of them"
    elif most is not None:
        yield f"{least or 0} to {most} of them"
    elif least and "array" in kinds(schema):
        yield f"at least {least}"


def _default(schema: Json) -> str:
    default = schema.get("default", _NO_DEFAULT)
    text = "" if default is _NO_DEFAULT else f"`{pretty_json(default)}`"
    before = schema.get("x-default-before", {})
    return text + "".join(
        f"; `{pretty_json(value)}` before mlx-lm {release}" for release, value in before.items()
    )


def _example(schema: Json, root: Json) -> str:
    values = examples(schema, root)
    return f"`{_plain(values[0])}`" if values else ""


def _plain(value: Any) -> str:
    """Return a value as a recipe says it on one line."""
    text = value if isinstance(value, str) else pretty_json(value, width=10_000)
    in_quotes = isinstance(value, str) and (value.startswith("{{") or "\n" in value)
    return pretty_json(value) if in_quotes or text == "" else text


def _about(schema: Json) -> str:
    """Return what a parameter does, and since which release it is there."""
    since = schema.get("x-since")
    text = str(schema.get("description", "")) + (f" Since mlx-lm {since}." if since else "")
    return _safe(text + _read_when(schema.get("x-read-when")))


def _read_when(ways: Sequence[Json] | None) -> str:
    """Return beside which values of others a parameter is read, '' if it always is."""
    if ways is None:
        return ""
    texts = [
        " and ".join(
            f"`{name}: {_plain(of[0])}`"
            if len(of) == 1
            else f"`{name}` {', '.join(f'`{_plain(one)}`' for one in of)}"
            for name, of in way.items()
        )
        for way in ways
    ]
    return f" Read only with {', or '.join(texts)}." if texts else " Never read."


def _way(tool: Tool, name: str) -> str:
    """Return how a parameter reaches the command."""
    parameter = tool.parameters[name]
    flag, file = parameter.flag, f"`{tool.config_flag}` file"
    off = f"; off: {file}" if tool.config_flag and parameter.in_config else ""
    ways = {
        "config": file,
        "fixed": f"nothing: `{flag}` accepts no value",
        "positional": "a positional argument, after the flags",
        "pair": f"`{flag}` or `{parameter.off}`",
        "switch": f"`{flag}`{off}",
        "json": f"`{flag}`, as JSON",
        "repeat": f"`{flag}`, once per entry",
    }
    return ways.get(parameter.emit, f"`{flag}`")


def _outputs(tool: Tool) -> Iterator[str]:
    """Yield what a later stage can read of a stage of this tool."""
    if not tool.outputs:
        return
    yield "## Outputs"
    yield "Another stage reads these as `{{ stages.NAME.OUTPUT }}`."
    rows = []
    for name, output in tool.outputs.items():
        where = f"`{output.path}`"
        if output.param:
            where = f"`{output.param}`; `{output.place}` in the stage's folder if omitted"
        rows.append([f"`{name}`", where, _when(output.when)])
    yield _table(["output", "where", "when"], rows)


def _metrics(tool: Tool, otherwise: str = "always") -> Iterator[str]:
    """Yield the figures that `expect` may read of a stage of this tool."""
    rows = [[f"`{name}`", _when(tool.measures(name), otherwise)] for name in tool.metrics]
    rows += [
        [f"`{lead}…`", f"ends with a name from the file in `{parameter}`"]
        for lead, parameter in tool.families.items()
    ]
    if rows:
        yield "`expect` reads these as `metrics.NAME`."
        yield _table(["metric", "when"], rows)


def _refusals(tool: Tool) -> Iterator[str]:
    """Yield what is refused of parameters together, and the names people write instead."""
    parts = (
        rule.get(word, {}) for rule in tool.schema.get("allOf", ()) for word in ("then", "else")
    )
    messages = [part["x-message"] for part in parts if "x-message" in part]
    if messages:
        yield "## Together"
        yield "Combinations that are refused: a stage that"
        yield "\n".join(f"- {_safe(one)}" for one in dict.fromkeys(messages))
    others = tool.schema.get("x-not", {})
    if others:
        yield "## Other names"
        yield _table(
            ["instead of", "use"], [[f"`{name}`", _safe(hint)] for name, hint in others.items()]
        )


def _when(when: Mapping[str, Any], otherwise: str = "always") -> str:
    terms = (
        f"`{name}` {', '.join(f'`{_plain(one)}`' for one in value)}"
        if isinstance(value, list)
        else f"`{name}: {_plain(value)}`"
        for name, value in when.items()
    )
    return ", ".join(terms) or otherwise


def _safe(text: str) -> str:
    return text.replace("<", "&lt;")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a column that is empty in every row is left out."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    columns = [at for at in range(len(head)) if any(row[at] for row in cells)]
    lines = [
        [head[at] for at in columns],
        ["---"] * len(columns),
        *([row[at] for at in columns] for row in cells),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(*parts: str) -> str:
    return "\n\n".join(parts) + "\n"
