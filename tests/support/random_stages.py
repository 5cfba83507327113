"""Random values, parameters and stages of every tool, as hypothesis draws them."""

import re
from typing import Any

from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from runner.base.constants import RUN_DIR
from runner.catalog import load, validator
from runner.catalog.tools import Tool, applies, complete, resolve
from runner.catalog.validate import violations
from runner.plan.model import Stage

Json = dict[str, Any]
NAMES = load.installed_catalog().names
NASTY = [
    "-x", "--flag=1", "-1", "-", "---", "a b", " a ", "'", '"', "\\", "\\n", "a\nb", "\n", "\r\n", "\t", "😀",
    "1e-4", "1", "true", "no", "null", "~", "\u2028", "a\u2029b", "\u0085", "\ufeff", "\x7f", "\x1b[0m", "é",
    "$HOME", "`id`", "!x", "#c", "a: b", "- a", "{{ x }}", "@file", "=", "a=b", "<<", "[", "*a", "&a", "%", "", "2024-01-01",
]  # fmt: skip
# Left out: "--", of which argparse makes [] before Python 3.13, however it is given to a flag.
WORDS = st.one_of(
    st.sampled_from(NASTY),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
).filter(lambda text: text != "--")
FREE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)  # a recipe has no larger ones
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=5,
)
# Parameters a stage starts from beside the required ones; one of these lines each.
STARTS = {
    "hub.publish": [(), ("license_name", "license_link")],
    "mlx_lm.convert": [(), ("quantize",), ("quantize", "q_mode")],
    "mlx_lm.lora": [
        ("data", "train"),
        ("data", "train", "test"),
        ("data", "test", "adapter_path"),
        ("hf_dataset", "train"),
    ],
    "mlx_lm_lora.train": [("train",)],
}


def values(schema: Json, root: Json) -> st.SearchStrategy[Any]:
    """Return what a parameter takes."""
    schema = resolve(schema, root)
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    plain = {"null": st.none(), "boolean": st.booleans()}
    found = st.one_of(
        [plain[kind] if kind in plain else _kind(kind, schema, root) for kind in kinds]
    )
    checked = {**schema, "$defs": root.get("$defs", {})}
    return found.filter(lambda value: not validator.errors(checked, value))


def _kind(kind: str, schema: Json, root: Json) -> st.SearchStrategy[Any]:
    least, most = schema.get("minimum"), schema.get("maximum")
    match kind:
        case "integer":
            return _whole(least, most, schema.get("multipleOf", 1))
        case "number":
            low, high = schema.get("exclusiveMinimum", least), schema.get("exclusiveMaximum", most)
            return st.floats(
                low,
                high,
                exclude_min="exclusiveMinimum" in schema,
                exclude_max="exclusiveMaximum" in schema,
                allow_nan=False,
                allow_infinity=False,
            )
        case "string":
            return _text(schema.get("pattern"))
        case "array":
            return _several(schema, root)
        case _:
            if "properties" in schema:
                return mappings(schema, root)
            each = schema.get("additionalProperties")
            return st.dictionaries(WORDS, values(each, root) if each else FREE, max_size=3)


def _whole(least: int | None, most: int | None, step: int) -> st.SearchStrategy[int]:
    low = None if least is None else -(-least // step)
    high = None if most is None else most // step
    edges = [edge * step for edge in (low, high) if edge is not None] or [0]
    near = st.integers(low, high if low is None or high is not None else low + 5000)
    return st.sampled_from(edges) | near.map(lambda number: number * step)


def _text(pattern: str | None) -> st.SearchStrategy[str]:
    if pattern is None:
        return WORDS
    bare = re.fullmatch(r"[\\.\w]+[$]", pattern)
    if bare:
        return WORDS.map(lambda text: text + pattern[:-1].replace("\\", ""))
    return st.from_regex(pattern, fullmatch=True)


def _several(schema: Json, root: Json) -> st.SearchStrategy[list[Any]]:
    if "prefixItems" in schema:
        places = [values(place, root) for place in schema["prefixItems"]]
        least = schema.get("minItems", len(places))
        return st.integers(least, len(places)).flatmap(lambda n: st.tuples(*places[:n]).map(list))
    return st.lists(
        values(schema["items"], root),
        min_size=schema.get("minItems", 0),
        max_size=schema.get("maxItems", 3),
        unique=schema.get("uniqueItems", False),
    )


@st.composite
def mappings(draw: st.DrawFn, schema: Json, root: Json) -> Json:
    """Return a mapping inside a parameter; what one key says of another holds."""
    said = schema["properties"]
    names = list(schema.get("required", ()))
    names += draw(st.lists(st.sampled_from(list(said)), unique=True))
    drawn: Json = {}
    for name in dict.fromkeys(names):
        inside = resolve(said[name], root)
        for rule in schema.get("allOf", ()):
            if Draft202012Validator(rule["if"]).is_valid(drawn):
                inside = {**inside, **rule["then"]["properties"].get(name, {})}
        drawn[name] = draw(values(inside, root))
    return drawn


@st.composite
def stages(draw: st.DrawFn, tool: Tool) -> Stage:
    """Return a stage with every parameter said, as a plan holds it."""
    schema = tool.schema
    rules = Draft202012Validator({"allOf": schema.get("allOf", [])})
    drawn: Json = {}
    start = draw(st.sampled_from(STARTS.get(tool.name, [()])))
    for name in [name for name in tool.parameters if name in {*schema.get("required", ()), *start}]:
        said = schema["properties"][name]
        if name in start and said["type"] == "boolean":
            drawn[name] = True
        elif name == "hf_dataset":
            drawn[name] = draw(values({**said, "type": ["object", "array"]}, schema))
        elif name == "license":
            others = draw(values(said, schema).filter(lambda one: one != "other"))
            drawn[name] = "other" if "license_name" in start else others
        elif name == "license_name":
            drawn[name] = draw(values({**said, "type": "string"}, schema))
        else:
            drawn[name] = draw(values(said, schema))
    rest = [name for name in tool.parameters if name not in drawn]
    chosen = draw(st.permutations(rest))[: draw(st.integers(0, len(rest)))]
    waiting = {name: draw(values(schema["properties"][name], schema)) for name in chosen}
    for name, value in 3 * list(waiting.items()):  # some only hold beside others
        more = {**drawn, name: value}
        if name not in drawn and rules.is_valid(more):
            drawn = more
    for name in [name for name in drawn if "x-select" in schema["properties"][name]]:
        said = schema["properties"][name]
        sibling = schema["properties"][said["x-select"]]
        chosen = drawn.get(said["x-select"], sibling["default"])
        drawn[name] = {chosen: draw(values(said["properties"][chosen], schema))}
    for output in tool.outputs.values():  # as the runner does
        if output.param and output.param not in drawn and applies({"when": output.when}, drawn):
            drawn[output.param] = f"{RUN_DIR}/stage/{output.place}"
    assert violations(schema, drawn) == [], drawn
    params = complete(schema, drawn, schema)
    assert violations(schema, params) == [], params
    return Stage(name="stage", tool=tool.name, params=params, outputs={})
