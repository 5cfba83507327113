"""The editor's schema: made from the catalogue, fresh, and fit for the shipped recipes."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from runner.base.formatting import pretty_json
from runner.catalog import load
from runner.catalog.editor_schema import recipe_schema
from runner.recipe import find
from runner.recipe.yaml import parse

ROOT = Path(__file__).parent.parent.parent
SCHEMA = ROOT / "schema" / "recipe.schema.json"


def test_the_schema_is_fresh():
    made = pretty_json(recipe_schema(load.envelope(), load.catalog())) + "\n"
    assert SCHEMA.read_text(encoding="utf-8") == made, "run: make schema"


def test_the_schema_is_a_schema():
    Draft7Validator.check_schema(json.loads(SCHEMA.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def validator():
    return Draft7Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


SHIPPED = sorted(path for path in ROOT.glob("recipes/**/*.yaml") if find.is_recipe(path))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_recipe_fits_it(path, validator):
    tree = parse(path.read_bytes(), path.name).root.plain()
    assert [error.message for error in validator.iter_errors(tree)] == []


@pytest.mark.parametrize(
    "params", [{"learning_rat": 1}, {"iters": "many"}, {"optimizer": "adamW"}, {"iters": 0}]
)
def test_a_mistake_in_params_is_an_error_in_the_editor(params, validator):
    recipe = {"version": 1, "stages": {"a": {"tool": "mlx_lm.lora", "params": params}}}
    assert list(validator.iter_errors(recipe))


INHERITED = [
    ({"itters": 3}, "itters"),
    ({"lora_parameters": {"rnak": 8}}, "rnak"),
    ({"iters": "many"}, "many"),
    ({"iters": 3, "model": "m", "primary": "data"}, None),  # of several tools: no more is known
    ({"iters": "{{ vars.n }}", "seed": None, "to": "chat"}, None),
]


@pytest.mark.parametrize("params, wrong", INHERITED)
@pytest.mark.parametrize("profile", [False, True])
def test_a_stage_that_inherits_its_tool_has_only_parameters_that_some_tool_has(
    params, wrong, profile, validator
):
    stages = {"codefix": {"extends": "analysis", "params": params}}
    recipe = {"profiles": {"quick": {"stages": stages}}} if profile else {"stages": stages}
    found = [error.message for error in validator.iter_errors({"version": 1, **recipe})]
    assert bool(found) is bool(wrong)


def test_a_stage_that_says_its_tool_is_held_to_that_one(validator):
    recipe = {"stages": {"a": {"tool": "mlx_lm.lora", "params": {"primary": "data"}}}}
    assert list(validator.iter_errors(recipe))


@pytest.mark.parametrize(
    "launch, right", [({"hosts": 2}, True), ({"hosts": ["a", "b"]}, True), ({"host": 2}, False)]
)
def test_launch_is_completed_and_checked(launch, right, validator):
    recipe = {"stages": {"a": {"tool": "mlx_lm.lora", "launch": launch}}}
    assert validator.is_valid(recipe) is right


def test_a_template_may_stand_anywhere(validator):
    params = {"iters": "{{ vars.n }}", "lora_parameters": {"rank": "{{ vars.r }}"}}
    recipe = {"version": 1, "stages": {"a": {"tool": "mlx_lm.lora", "params": params}}}
    assert list(validator.iter_errors(recipe)) == []


def test_a_parameter_says_its_default_and_an_example():
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    known = schema["definitions"]["mlx_lm.lora"]["properties"]
    assert known["iters"]["description"] == "Batches to train on. Default: 1000."
    assert known["lr_schedule"]["examples"] == [{"name": "cosine_decay", "arguments": [1e-5, 1000]}]
    assert known["resume_adapter_file"]["examples"] == ["{{ stages.train.adapter_file }}"]


def described(schema):
    """Every property of a schema that says what it is, with its name."""
    for name, said in schema.get("properties", {}).items():
        if "$ref" not in said or "description" in said:
            yield name, said
        for inside in (said, *said.get("anyOf", ())):
            yield from described(inside)
    for many in ("additionalProperties", "items"):
        if isinstance(schema.get(many), dict):
            yield from described(schema[many])


@pytest.mark.parametrize("file", ["recipe", "test"])
def test_every_property_says_what_it_is_and_shows_an_example_that_fits(file):
    schema = json.loads((ROOT / "schema" / f"{file}.schema.json").read_text(encoding="utf-8"))
    known = [found for one in (schema, *schema["definitions"].values()) for found in described(one)]
    assert [name for name, said in known if not said.get("description")] == []
    assert [name for name, said in known if not said.get("examples")] == []
    for name, said in known:
        judge = Draft7Validator({**said, "definitions": schema["definitions"]})
        assert [one for one in said["examples"] if not judge.is_valid(one)] == [], name


def test_it_stays_small():
    assert SCHEMA.stat().st_size < 230_000


def test_the_schema_of_test_files_fits_editors_and_the_shipped_ones():
    schema = json.loads((ROOT / "schema" / "test.schema.json").read_text(encoding="utf-8"))
    Draft7Validator.check_schema(schema)
    for path in ROOT.glob("recipes/**/*.test.yaml"):
        tree = parse(path.read_bytes(), path.name).root.plain()
        assert [error.message for error in Draft7Validator(schema).iter_errors(tree)] == []
