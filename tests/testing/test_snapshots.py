"""The generated commands of every shipped recipe, locked in recipes/__snapshots__ by our own plugin.

pytest --recipes holds them against the recipes; here they are held against what they are for.
"""

from pathlib import Path

import pytest

from runner import workflow
from runner.catalog import load
from runner.catalog.tools import Tool
from runner.command.script import script
from runner.recipe import find

RECIPES = Path(__file__).parent.parent.parent / "recipes"
LOCKED = RECIPES / "__snapshots__"


@pytest.fixture
def generated(monkeypatch):
    """The script of a recipe, as ``run-recipe RECIPE --dry-run`` prints it from the checkout."""
    monkeypatch.chdir(RECIPES.parent)

    def make(name, *, smoke=False):
        recipe = workflow.load(f"recipes/{name}.yaml", environ={})
        plan = workflow.plan(workflow.compile_recipe(recipe, {}), recipe, smoke=smoke)
        return script(plan, load.catalog())

    return make


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in RECIPES.glob("*.yaml") if find.is_recipe(path))
)
def test_what_is_locked_is_what_a_dry_run_prints(name, generated):
    assert (LOCKED / f"{name}.sh").read_text(encoding="utf-8") == generated(name)


def test_the_smoke_commands_are_locked_too(generated):
    locked = (LOCKED / "security_sequential[smoke].sh").read_text(encoding="utf-8")
    assert locked == generated("security_sequential", smoke=True)


# What the project that this one replaces configured, and what of it must stand in the commands.
TABLE = {
    "analysis": (
        "--learning-rate=5e-06", "--batch-size=1", "--iters=800", "--optimizer=adamw",
        "--fine-tune-type=lora", '"rank": 16', '"scale": 2.0', '"dropout": 0.1', "--num-layers=-1",
        "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
        "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", '"warmup": 150',
        '"name": "cosine_decay", "arguments": [5e-06, 650, 0.0]', "--save-every=200",
        "--steps-per-eval=100", "--grad-checkpoint", "--seed=1",
    ),
    "codefix": (
        "--learning-rate=1e-06", "--batch-size=1", "--iters=1200", "--optimizer=adamw",
        "--fine-tune-type=lora", '"rank": 16', '"scale": 2.0', '"dropout": 0.1', "--num-layers=-1",
        "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
        "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", '"warmup": 150',
        '"name": "cosine_decay", "arguments": [1e-06, 1050, 0.0]', "--save-every=200",
        "--steps-per-eval=100", "--grad-checkpoint", "--seed=2",
        '--resume-adapter-file="$RUN_DIR/analysis/adapters/adapters.safetensors"',
        '--data="$RUN_DIR/replay/data"',
    ),
    "replay": ("--ratio=0.15", "--replay=recipes/data/security/analysis"),
    "base": ("--quantize", "--q-bits=4", "--hf-path=allenai/OLMo-2-0425-1B-Instruct"),
    "fuse": ("--dequantize", '--adapter-path="$RUN_DIR/codefix/adapters"'),
}  # fmt: skip


@pytest.mark.parametrize("stage", TABLE)
def test_every_configured_value_reaches_the_command(stage, generated):
    text = generated("security_sequential")
    part = text.partition(f"\n# {stage}: ")[2].partition("\n\n#")[0]
    assert [value for value in TABLE[stage] if value not in part] == []


RECIPE_LINES = ("seed: 2", "q_group_size: 64", "resume_adapter_file")


@pytest.mark.parametrize("line", RECIPE_LINES)
def test_a_parameter_deleted_from_the_recipe_changes_the_commands(line, generated, tmp_path):
    text = (RECIPES / "security_sequential.yaml").read_text(encoding="utf-8")
    kept = "\n".join(row for row in text.splitlines() if line not in row)
    assert kept != text
    (tmp_path / "security_sequential.yaml").write_text(kept, encoding="utf-8")
    (tmp_path / "base").symlink_to(RECIPES / "base")
    recipe = workflow.load(str(tmp_path / "security_sequential.yaml"), environ={})
    plan = workflow.plan(workflow.compile_recipe(recipe, {}), recipe)
    changed = script(plan, load.catalog()).replace(str(tmp_path), "recipes")
    assert changed != generated("security_sequential")


@pytest.mark.parametrize("parameter", ["max_seq_length", "lora_parameters", "grad_checkpoint"])
def test_a_parameter_deleted_from_the_catalogue_is_an_error(parameter, generated, monkeypatch):
    tool = load.catalog().get("mlx_lm.lora")
    less = {k: v for k, v in tool.schema["properties"].items() if k != parameter}
    lacking = Tool(name=tool.name, schema={**tool.schema, "properties": less})
    monkeypatch.setitem(load.catalog()._tools, tool.name, lacking)
    with pytest.raises(workflow.InvalidRecipeError, match=f"no parameter '{parameter}'"):
        generated("security_sequential")


@pytest.mark.parametrize("emit", ["value", "switch", "config"])
def test_a_kind_of_parameter_that_is_not_emitted_changes_the_commands(emit, generated, monkeypatch):
    from runner.command import argv

    whole = generated("security_sequential")
    words, in_config = argv._words, argv._in_config
    monkeypatch.setattr(argv, "_words", lambda p, v: () if p.emit == emit else words(p, v))
    monkeypatch.setattr(argv, "_in_config", lambda p, v, t: in_config(p, v, t) and p.emit != emit)
    assert generated("security_sequential") != whole
