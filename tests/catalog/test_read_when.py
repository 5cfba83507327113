"""What mlx-lm-lora's modes read is what its own code says: the tool's file is held to its source."""

import importlib.util
import itertools
from pathlib import Path

import pytest

from runner import workflow
from runner.catalog import load
from runner.recipe.load import Overrides
from runner.recipe.load import load as load_recipe
from tests.support import mode_reads

NAME = "mlx_lm_lora.train"
TOOL = load.catalog().get(NAME)
PHASES = {"train": {"train": True, "test": False}, "test": {"train": False, "test": True}}
# Its code reads them, and nothing comes of it: why.
DEAD = {
    # train_dpo is never handed args.loss_type, and its own is sigmoid: delta is dpop's alone.
    ("delta", "dpo", "train"),
    # Its arguments refuse it: a rule says that it fails.
    ("efficient_long_context", "dsla", "train"),
}
# Keys of its file that no recipe says: they are read by a test that fails before (a rule says so),
# or load rows of the hub.
UNSAID = {"end_answer_token", "min_p", "top_k", "top_p", "hf_dataset", "adapter_file"}


@pytest.fixture(scope="module")
def source():
    spec = importlib.util.find_spec("mlx_lm_lora")
    if spec is None or spec.origin is None:
        pytest.skip("needs mlx-lm-lora")
    return Path(spec.origin).parent


def phases_of(parameter, mode):
    """The phases in which the tool's file says that a mode reads a parameter, with the best luck.

    Other values than mode and phase are those that let it be read.
    """
    ways = parameter.read_when
    if ways is None:
        return {*PHASES}
    found = set()
    for (phase, flags), way in itertools.product(PHASES.items(), ways):
        known = {**flags, "train_mode": mode}
        if all(name not in known or known[name] in values for name, values in way.items()):
            found.add(phase)
    return found


@pytest.mark.slow
def test_each_mode_reads_what_the_file_says_and_nothing_else(source):
    reads = mode_reads.table(source)
    wrong = {}
    for name, parameter in TOOL.parameters.items():
        if name in {"model", "train", "test", "train_mode", "recurrence_chunk_size"}:
            continue  # read to choose the mode, or of every model that has recurrent layers
        for mode in mode_reads.Package(source).modes():
            own = {
                phase
                for phase in reads.get(name, {}).get(mode, set())
                if (name, mode, phase) not in DEAD
            }
            if own != phases_of(parameter, mode):
                wrong[name, mode] = (own, phases_of(parameter, mode))
    assert wrong == {}


@pytest.mark.slow
def test_whatever_the_package_reads_is_a_parameter(source):
    reads = mode_reads.table(source)
    assert set(reads) - set(TOOL.parameters) - UNSAID == {"train_mode"} - set(TOOL.parameters)


@pytest.mark.slow
def test_the_modes_are_the_packages_own(source):
    modes = mode_reads.Package(source).modes()
    assert TOOL.schema["properties"]["train_mode"]["enum"] == modes


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({"train_mode": "orpo"}, {"beta"}),
        ({"train_mode": "dpo"}, {"beta", "reference_model_path"}),
        (
            {"train_mode": "dpo", "test": True},
            {"beta", "reference_model_path", "dpo_cpo_loss_type"},
        ),
        ({"train_mode": "sft"}, {"sft_loss_type"}),
        ({"train_mode": "klpo", "klpo_kl_estimator": "topk"}, {"beta", "klpo_top_k"}),
    ],
)
def test_what_a_mode_reads(params, names):
    known = {**TOOL.defaults, "model": "m", "train": True, **params}
    asked = {"beta", "reference_model_path", "dpo_cpo_loss_type", "sft_loss_type", "klpo_top_k"}
    assert {name for name in asked if TOOL.parameters[name].is_read(known)} == names


def test_a_parameter_without_a_way_is_never_read():
    known = {**TOOL.defaults, "model": "m"}
    idle = {n for n, one in TOOL.parameters.items() if one.read_when == ()}
    assert idle == {"reward_scaling", "qat_mode", "qat_interval", "list_reward_functions"}
    assert not any(TOOL.parameters[name].is_read(known) for name in idle)


@pytest.mark.parametrize(
    ("mode", "metric", "measured"),
    [
        ("dpo", "test_accuracies", True),
        ("sft", "test_accuracies", False),
        ("grpo", "train_total_rewards_mean", True),
        ("klpo", "train_total_rewards_mean", False),
        ("ftpo", "tokens_per_second", False),
        ("ftpo", "train_loss", True),
    ],
)
def test_a_mode_measures_its_own_figures(mode, metric, measured):
    known = {"train": True, "test": True, "train_mode": mode}
    assert TOOL.is_measured(metric, known) is measured


def test_an_expectation_of_another_modes_figure_is_an_error():
    params = "model: m, data: d, train: true, test: true, train_mode: sft"
    text = f"stages: {{a: {{tool: {NAME}, params: {{{params}}}, expect: [metrics.test_accuracies > 0]}}}}"
    loaded = load_recipe("r.yaml", lambda _: f"version: 1\n{text}\n".encode(), Overrides())
    (problem,) = workflow.compile_recipe(loaded.recipe, {}).problems
    assert "stage 'a' does not measure 'test_accuracies'" in problem.message
    assert "test_loss" in problem.hint
