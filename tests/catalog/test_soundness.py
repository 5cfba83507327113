"""The quick yes is jsonschema's own yes, and a no is never one."""

import json
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import exceptions

from runner.catalog import load, soundness, validator
from runner.catalog.soundness import Soundness
from runner.recipe.node import MISSING
from runner.system import files as disk

NAMES = st.sampled_from(["a", "b", "a\n", "1", ""])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.0, 1.0, 2.5, -0.0, 2**70, 1e300, math.nan, math.inf, -math.inf])
    | NAMES
)
CONSTANTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=4,
)
VALUES = st.recursive(
    SCALARS | st.just(MISSING) | st.just((1, 2)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)
TYPES = st.sampled_from(["string", "integer", "number", "boolean", "null", "object", "array"])
SIZES = st.integers(0, 3)
BOUNDS = st.integers(-3, 3) | st.sampled_from([0.5, 1.0])
REFERENCES = st.sampled_from(["#/$defs/a", "#/$defs/b", "#/$defs/a~1"])


def _schemas(inner):
    several = st.lists(inner, min_size=1, max_size=3)
    children = st.dictionaries(NAMES, inner, max_size=3)
    keywords = {
        "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
        "const": CONSTANTS,
        "enum": st.lists(CONSTANTS, min_size=1, max_size=3),
        "minimum": BOUNDS,
        "maximum": BOUNDS,
        "exclusiveMinimum": BOUNDS,
        "exclusiveMaximum": BOUNDS,
        "multipleOf": st.sampled_from([1, 2, 0.5]),
        "minLength": SIZES,
        "maxLength": SIZES,
        "minItems": SIZES,
        "maxItems": SIZES,
        "minProperties": SIZES,
        "maxProperties": SIZES,
        "uniqueItems": st.booleans(),
        "pattern": st.sampled_from(["^a$", "a", "[$]", r"\$", "^[ab]*$"]),
        "required": st.lists(NAMES, max_size=2),
        "properties": children,
        "additionalProperties": inner,
        "propertyNames": inner,
        "patternProperties": st.dictionaries(st.sampled_from(["^a", "b$"]), inner, max_size=1),
        "items": inner,
        "prefixItems": several,
        "allOf": several,
        "anyOf": several,
        "oneOf": several,
        "not": inner,
        "if": inner,
        "then": inner,
        "else": inner,
        "contains": inner,
        "$ref": REFERENCES,
        "x-hint": st.just("a hint"),
        "title": st.just("a title"),
    }
    some = st.lists(st.sampled_from(sorted(keywords)), max_size=4, unique=True)
    return some.flatmap(lambda names: st.fixed_dictionaries({one: keywords[one] for one in names}))


PARTS = st.recursive(st.booleans() | _schemas(st.booleans()), _schemas, max_leaves=6)
ENDS = st.fixed_dictionaries({}, optional={"type": TYPES, "minimum": BOUNDS, "const": SCALARS})
ROOTS = _schemas(PARTS).flatmap(
    lambda schema: st.fixed_dictionaries({"a": ENDS, "b": ENDS}).map(
        lambda ends: {**schema, "$defs": ends}
    )
)


def asked(schema, value):
    """Whether jsonschema, asked about everything, finds an error."""
    return bool(list(validator._strict()(schema).iter_errors(value)))


def answer(schema, value):
    """What this module says when it does not leave it to jsonschema, else None."""
    try:
        return Soundness(schema).check(schema)(value)
    except soundness._UnsureError:
        return None


@given(ROOTS, VALUES)
def test_of_random_schemas_jsonschema_says_the_same(schema, value):
    try:
        wrong = asked(schema, value)
    except (exceptions._WrappedReferencingError, ValueError):  # to nowhere; int(nan)
        assert answer(schema, value) is not True
        return
    assert answer(schema, value) in {None, not wrong}
    assert bool(validator.errors(schema, value)) is wrong


CATALOG = load.catalog()
SHIPPED = {
    "envelope": load.envelope(),
    "test": load.test_schema(),
    "launch": CATALOG.launcher.schema,
    "train": CATALOG.trainer.schema,
} | {name: CATALOG.get(name).schema for name in CATALOG.names}


NAMED = {"properties", "$defs", "definitions"}
LISTED = {"allOf", "anyOf", "prefixItems"}
INNER = {"items", "additionalProperties", "propertyNames", "not", "if", "then", "else"}


def parts(schema):
    """A schema and every schema inside it."""
    if isinstance(schema, bool):
        return
    yield schema
    for name, child in schema.items():
        inner = child.values() if name in NAMED else child if name in LISTED else ()
        for one in [child] if name in INNER else inner:
            yield from parts(one)


def constants(schema):
    """The values that a schema names, with a neighbour of each: what its rules ask about."""
    for part in parts(schema):
        for one in (part.get("const"), part.get("default"), *part.get("enum", ())):
            yield from (one, [one], {"a": one})
        for name in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"):
            if name in part:
                yield from (part[name], part[name] - 1, part[name] + 1, float(part[name]))
        yield from part.get("examples", ())


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
@given(data=st.data())
def test_of_every_schema_of_ours_jsonschema_says_the_same(name, data):
    schema = SHIPPED[name]
    some = st.sampled_from(list(constants(schema))) | VALUES
    known = list(schema["properties"])
    value = data.draw(st.dictionaries(st.sampled_from(known) | NAMES, some, max_size=6))
    for inner in schema.get("properties", {}).values():  # and one level further down
        if "properties" in inner and data.draw(st.booleans()):
            keys = st.sampled_from(list(inner["properties"]))
            value["inner"] = data.draw(st.dictionaries(keys, some, max_size=3))
    wrong = asked(schema, value)
    assert answer(schema, value) in {None, not wrong}
    assert bool(validator.errors(schema, value)) is wrong


@pytest.mark.parametrize("name", SHIPPED)
def test_nothing_in_our_schemas_is_left_to_jsonschema(name):
    schema = SHIPPED[name]
    judge = Soundness(schema)
    for part in parts(schema):
        for value in (None, True, 1, 0.5, "a", [], {}, ["a"], {"a": "a"}, MISSING):
            judge.check(part)(value)  # raises _UnsureError


def test_every_keyword_that_a_tool_file_may_have_is_known():
    meta = json.loads((disk.shipped("schema") / "tool.meta.json").read_text(encoding="utf-8"))
    for name in meta["$defs"]["schema"]["properties"]:
        assert name.startswith("x-") or name in soundness._SILENT | soundness._KEYWORDS.keys(), name


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [["recipes/security_sequential.yaml", "-n"], ["check", "recipes/basic.yaml"]]
)
def test_a_recipe_that_is_right_needs_no_jsonschema(words):
    code = f"""
import sys
from runner.cli.main import main
sys.argv = ["run-recipe", *{words!r}]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
assert "jsonschema" not in sys.modules
"""
    top = disk.shipped("schema").parent
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=top, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
