"""The strict validator: its types, and what it remembers of values that were sound."""

import json
import math

import pytest

from runner.cache.folder import VARIABLE
from runner.catalog import validator, verdicts
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
    for _ in range(2):  # the second time from memory
        assert (validator.errors(SCHEMA, value) == []) is good


def test_what_was_sound_is_not_judged_again_and_what_was_not_is(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(validator, "_sound", set())
    validator.new_marks()
    with verdicts.memory():
        assert validator.errors(SCHEMA, {"count": 77}) == []
        assert validator.errors(SCHEMA, {"count": "77"}) != []
    (file,) = (tmp_path / "cache").iterdir()
    assert len(file.read_text().split()) == 1
    monkeypatch.setattr(validator, "_sound", set())
    verdicts._remember.cache_clear()
    monkeypatch.setattr(validator, "_validator", lambda held: pytest.fail("judged again"))
    with verdicts.memory():
        assert validator.errors(SCHEMA, {"count": 77}) == []
        for schema, value in ((SCHEMA, {"count": 78}), ({**SCHEMA, "title": "x"}, {"count": 77})):
            with pytest.raises(pytest.fail.Exception, match="judged again"):
                validator.errors(schema, value)


@pytest.mark.parametrize("harm", ["a file", "bytes", "none"])
def test_a_cache_that_cannot_be_used_is_done_without(harm, monkeypatch, tmp_path):
    folder = tmp_path / "cache"
    monkeypatch.setenv(VARIABLE, "" if harm == "none" else str(folder))
    if harm == "a file":
        folder.write_text("")
    elif harm == "bytes":
        folder.mkdir()
        verdicts._file().write_bytes(b"\xff\xfe")
    verdicts._remember.cache_clear()
    with verdicts.memory():
        assert validator.errors(SCHEMA, {"count": 1000}) == []
    assert harm != "none" or not folder.exists()


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
