"""The strict validator: its types, its patterns, and what jsonschema is not asked."""

import json
import math

import pytest
from jsonschema import validators

from runner.catalog import validator
from runner.recipe.node import MISSING
from runner.system import files as disk

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"count": {"type": "integer"}, "rate": {"type": "number", "minimum": 0}},
}


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ({"count": 2}, True),
        ({"count": 2.0}, False),
        ({"count": True}, False),
        ({"rate": 2}, True),
        ({"rate": 0.5}, True),
        ({"rate": -1}, False),
        ({"rate": math.nan}, False),
        ({"rate": math.inf}, False),
        ({"rate": True}, False),
        ({"rate": MISSING, "count": MISSING}, True),
        ({"other": 1}, False),
    ],
)
def test_numbers_are_finite_and_whole_numbers_whole(value, good):
    assert (validator.errors(SCHEMA, value) == []) is good


def test_jsonschema_looks_only_at_the_property_that_is_wrong(monkeypatch):
    looked = []
    check = validator._strict().VALIDATORS["type"]
    strict = validators.extend(
        validator._strict(),
        {"type": lambda *words: looked.append(words[2]) or check(*words)},
    )
    monkeypatch.setattr(validator, "_strict", lambda: strict)
    schema = {"properties": {name: {"type": "integer"} for name in "abc"}}
    (error,) = validator.errors(schema, {"a": 1, "b": "two", "c": 3})
    assert list(error.absolute_path) == ["b"]
    assert looked == ["two"]
    assert validator.errors(schema, {"a": 1, "b": 2, "c": 3}) == []
    assert looked == ["two"]


def patterns(schema):
    """Yield every pattern of a schema."""
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        schema = list(schema.values())
    for inside in schema if isinstance(schema, list) else ():
        yield from patterns(inside)


def test_no_pattern_of_ours_takes_a_newline_for_the_end():
    """Python's ``$`` is also before a last newline: a name, a flag and a repository could hold one."""
    files = [path for path in disk.shipped("schema").rglob("*.json") if "$" in path.read_text()]
    found = {one for path in files for one in patterns(json.loads(path.read_text()))}
    ended = [one for one in found if one.endswith("$") and not one.endswith("|^(null)?$")]
    assert len(ended) > 10
    for pattern in ended:
        schema = {"type": "string", "pattern": pattern}
        for text in (
            "a",
            "a_",
            "--a",
            "a.b",
            "a/b",
            "{a}/b",
            "x.safetensors",
            "1.2",
            "Ab.",
            "wandb",
        ):
            assert validator.errors(schema, f"{text}\n"), (pattern, text)


@pytest.mark.parametrize(
    "pattern, text, good",
    [
        ("^a$", "a", True),
        ("^a$", "a\n", False),
        (r"^a\$", "a$b", True),
        ("^[$]b$", "$b", True),
        ("^[$]b$", "$b\n", False),
        ("x", "axb", True),
    ],
)
def test_a_pattern_is_meant_as_json_schema_means_it(pattern, text, good):
    assert (validator.errors({"pattern": pattern}, text) == []) is good
