"""docs/reference: made from the schemas, fresh, and whole; docs/language.md leaves no key out."""

import json
import re
from pathlib import Path

import pytest

from runner.catalog import load
from runner.catalog.examples import examples
from runner.catalog.reference_docs import INDEX, pages
from runner.cli.verbs import cli

DOCS = Path(__file__).parent.parent.parent / "docs"
MADE = pages(load.envelope(), load.test_schema(), load.catalog())
TOOLS = load.catalog().names


def rows(page):
    """The cells of each row of a page, by the name in the first."""
    lines = [line.strip("| ") for line in MADE[page].splitlines() if line.startswith("| `")]
    cells = [re.split(r" (?<!\\)\| ", line) for line in lines]
    return {row[0].strip("`"): row[1:] for row in reversed(cells)}  # a parameter, not an output


def test_the_reference_is_fresh():
    kept = {path.name: path.read_text(encoding="utf-8") for path in DOCS.glob("reference/*")}
    assert kept == MADE, "run: make schema"


def test_the_verb_writes_it(tmp_path):
    cli.main(["schema", "--reference", str(tmp_path / "new")], standalone_mode=False)
    written = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.glob("new/*")}
    assert written == MADE


def keys(schema, above=""):
    for name, said in schema.get("properties", {}).items():
        yield f"{above}{name}"
        yield from keys(said, f"{above}{name}.")


def test_every_key_of_a_recipe_and_of_a_stage_is_in_the_index():
    known = rows(INDEX)
    envelope, tests = load.envelope(), load.test_schema()
    for schema in (envelope, envelope["$defs"]["stage"], tests, tests["definitions"]["case"]):
        assert [name for name in keys(schema) if name not in known] == []
    for tool in (load.catalog().launcher, load.catalog().trainer):
        assert [name for name in tool.parameters if name not in known] == []


@pytest.mark.parametrize("name", TOOLS)
def test_every_parameter_output_and_metric_is_on_its_tools_page(name):
    tool, known = load.catalog().get(name), rows(f"{name}.md")
    assert [one for one in keys(tool.schema) if one not in known] == []
    assert [one for one in (*tool.outputs, *tool.metrics) if one not in known] == []
    assert f"[{name}]({name}.md)" in MADE[INDEX]
    for parameter in tool.parameters.values():
        assert parameter.flag is None or parameter.emit == "positional" or any(
            parameter.flag in cell for cell in known[parameter.name]
        )  # fmt: skip


@pytest.mark.parametrize(
    "page, name, cells",
    [
        ("mlx_lm.lora.md", "iters", ["integer, at least 1", "`1000`", "`--iters`"]),
        ("mlx_lm.lora.md", "model", ["string", "required"]),
        ("mlx_lm.lora.md", "lora_parameters.dropout", ["number, at least 0, below 1", "`--config` file"]),
        ("mlx_lm.lora.md", "trust_remote_code", ["Run code that comes with the model. Since mlx-lm 0.32.0."]),
        ("mlx_lm.lora.md", "mask_prompt", ["`--mask-prompt`; off: `--config` file"]),
        ("mlx_lm.convert.md", "q_mode", ["`affine`, `mxfp4`, `nvfp4`, `mxfp8`"]),
        ("mlx_lm.lora.md", "adapter_file", ["`{adapter_path}/adapters.safetensors`", "`train: true`"]),
        ("mlx_lm.cache_prompt.md", "eos_token", [r"`<\|im_end\|>`"]),
    ],
)  # fmt: skip
def test_a_parameter_says_its_type_default_bounds_way_and_release(page, name, cells):
    assert [cell for cell in cells if cell not in rows(page)[name]] == []


def test_a_default_that_was_another_says_so():
    for name in TOOLS:
        for parameter in load.catalog().get(name).parameters.values():
            for release in parameter.schema.get("x-default-before", {}):
                assert f"before mlx-lm {release}" in rows(f"{name}.md")[parameter.name][1]


@pytest.mark.parametrize("name", [*TOOLS, "launcher", "trainer"])
def test_every_parameter_has_an_example_that_its_schema_allows(name):
    from jsonschema import Draft202012Validator

    catalog = load.catalog()
    tool = catalog.get(name) or getattr(catalog, name)
    for parameter in tool.parameters.values():
        shown = examples(parameter.schema, tool.schema)
        assert shown, f"write examples for {parameter.name}"
        schema = {**parameter.schema, "$defs": tool.schema.get("$defs", {})}
        for one in shown:
            alone = one == 2 and parameter.name == "hosts"  # a number of ranks on this machine
            assert alone or "{{" in json.dumps(one) or Draft202012Validator(schema).is_valid(one)


@pytest.mark.parametrize(
    "schema, shown",
    [
        ({"type": "integer", "default": 8, "examples": [16]}, [16]),
        ({"enum": ["lora", "dora"], "default": "lora"}, ["dora"]),
        ({"enum": [None, 2, 4], "default": None}, [2]),
        ({"type": "boolean", "default": True}, [False]),
        ({"type": "object", "default": {}, "x-hint": "write shape: {rank: 8}"}, [{"rank": 8}]),
        ({"type": ["integer", "null"], "default": None, "minimum": 5}, [5]),
        ({"type": "number", "exclusiveMaximum": 1, "minimum": 0}, [0.5]),
        ({"type": ["string", "null"], "default": None}, []),
    ],
)
def test_an_example_is_made_of_what_the_schema_says(schema, shown):
    assert examples(schema, schema) == shown


def test_the_page_of_the_language_mentions_every_key():
    said = (DOCS / "language.md").read_text(encoding="utf-8")
    envelope = load.envelope()
    whole = {"version", *envelope["properties"], *envelope["$defs"]["stage"]["properties"]}
    assert [key for key in sorted(whole) if f"`{key}`" not in said] == []
