"""What a schema refuses, held against jsonschema, whose meaning ours is."""

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.validators import extend

from runner.core import strict
from runner.core.tree import MISSING
from runner.edges import disk

SCHEMAS = {
    path.name: json.loads(path.read_text(encoding="utf-8"))
    for folder in ("", "tools")
    for path in (disk.shipped("schema") / folder).glob("*.json")
    if path.name not in {"tool.meta.json", "recipe.schema.json"}
}
CHECKER = Draft202012Validator.TYPE_CHECKER.redefine_many(
    {
        "integer": lambda _, value: type(value) is int,
        "number": lambda _, value: (
            type(value) is int or (type(value) is float and math.isfinite(value))
        ),
    }
)
ORACLE = extend(Draft202012Validator, type_checker=CHECKER)
PLAIN = [None, True, False, 0, 1, -1, 3, 10**20, 0.0, 1.0, 0.5, 1e-9, math.inf, math.nan, "", "a"]


def words(schema):
    """Every name and every value that a schema speaks of: what is worth trying."""
    if isinstance(schema, dict):
        for key, said in schema.items():
            yield key
            yield from words(said)
    elif isinstance(schema, list):
        for said in schema:
            yield from words(said)
    elif not isinstance(schema, bool):
        yield schema


def anything(rng, names, depth=3):
    kind = rng.randrange(6 if depth else 4)
    if kind == 5:
        return {rng.choice(names): anything(rng, names, depth - 1) for _ in range(rng.randrange(4))}
    if kind == 4:
        return [anything(rng, names, depth - 1) for _ in range(rng.randrange(4))]
    return rng.choice(names if kind == 3 else PLAIN)


def fitting(rng, schema, names):
    """A value of the form a schema asks for, with anything in some of its places."""
    if rng.random() < 0.3:
        return anything(rng, names)
    if "properties" in schema:
        chosen = [name for name in schema["properties"] if rng.random() < 0.4]
        return {name: fitting(rng, schema["properties"][name], names) for name in chosen}
    return schema.get("default", rng.choice(schema.get("enum", PLAIN)))


def plain(found):
    return sorted(
        (e.validator, tuple(e.absolute_path), tuple(e.absolute_schema_path), repr(e.instance))
        for e in found
    )


def ours(found):
    return sorted((e.keyword, e.path, e.schema_path, repr(e.value)) for e in found)


@pytest.mark.parametrize("name", SCHEMAS)
def test_it_refuses_what_jsonschema_refuses_at_the_same_places(name):
    root = SCHEMAS[name]
    parts = [{**said, "$defs": root["$defs"]} for said in root.get("$defs", {}).values()]
    for schema in (root, *parts):
        rng = random.Random(name)
        names = sorted({word for word in words(schema) if isinstance(word, str)})
        for _ in range(50):
            value = fitting(rng, schema, names)
            assert ours(strict.errors(schema, value)) == plain(ORACLE(schema).iter_errors(value))


KEYWORDS = [
    {"type": ["integer", "null"]},
    {"const": 1},
    {"const": [True, {"a": 1}]},
    {"enum": [0, "a", None, [1]]},
    {"minimum": 1},
    {"maximum": 0.5},
    {"exclusiveMinimum": 0},
    {"exclusiveMaximum": 1},
    {"multipleOf": 0.5},
    {"multipleOf": 3},
    {"minLength": 1},
    {"pattern": "^a"},
    {"minItems": 2},
    {"maxItems": 1},
    {"uniqueItems": True},
    {"uniqueItems": False},
    {"minProperties": 1},
    {"required": ["a", "b"]},
    {"properties": {"a": {"type": "string"}}, "additionalProperties": False},
    {"properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "integer"}},
    {"propertyNames": {"pattern": "^a$"}},
    {"items": {"type": "string"}},
    {"prefixItems": [{"type": "string"}, {"minimum": 1}], "items": {"type": "integer"}},
    {"allOf": [{"type": "integer"}, {"minimum": 1}]},
    {"anyOf": [{"type": "integer"}, {"const": "a"}]},
    {"not": {"type": "string"}},
    {"if": {"type": "integer"}, "then": {"minimum": 1}, "else": {"type": "string"}},
    {"if": {"type": "integer"}, "then": {"minimum": 1}},
    {"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}},
]
ANY = st.recursive(
    st.sampled_from(PLAIN),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("schema", KEYWORDS, ids=str)
@given(value=ANY)
def test_a_keyword_means_what_jsonschema_means(schema, value):
    assert ours(strict.errors(schema, value)) == plain(ORACLE(schema).iter_errors(value))


@pytest.mark.parametrize("schema", KEYWORDS, ids=str)
def test_a_missing_value_is_refused_by_nothing(schema):
    assert list(strict.errors(schema, MISSING)) == []


def test_a_missing_value_inside_another_is_there():
    schema = {"required": ["a"], "properties": {"a": {"type": "string"}}}
    assert list(strict.errors(schema, {"a": MISSING})) == []


def test_a_keyword_it_does_not_know_is_an_error():
    with pytest.raises(ValueError, match="'contains'"):
        strict.errors({"contains": {"type": "string"}}, [])
