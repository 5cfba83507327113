"""The editor's schema: made from the catalogue, fresh, and fit for the shipped recipes."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from runner.core.document import parse
from runner.core.editor import recipe_schema
from runner.core.invocation import laid_out
from runner.edges import collection, schemas

ROOT = Path(__file__).parent.parent
SCHEMA = ROOT / "schema" / "recipe.schema.json"


def test_the_schema_is_fresh():
    made = laid_out(recipe_schema(schemas.envelope(), schemas.catalog())) + "\n"
    assert SCHEMA.read_text(encoding="utf-8") == made, "run: make schema"


def test_the_schema_is_a_schema():
    Draft7Validator.check_schema(json.loads(SCHEMA.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def validator():
    return Draft7Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


SHIPPED = sorted(path for path in ROOT.glob("recipes/**/*.yaml") if collection.is_recipe(path))


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


def test_the_schema_of_test_files_fits_editors_and_the_shipped_ones():
    schema = json.loads((ROOT / "schema" / "test.schema.json").read_text(encoding="utf-8"))
    Draft7Validator.check_schema(schema)
    for path in ROOT.glob("recipes/**/*.test.yaml"):
        tree = parse(path.read_bytes(), path.name).root.plain()
        assert [error.message for error in Draft7Validator(schema).iter_errors(tree)] == []
