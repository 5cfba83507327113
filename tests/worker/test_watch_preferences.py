"""What the observer of mlx-lm-lora notes, without a training."""

from dataclasses import dataclass

import pytest

from runner.catalog import load
from runner.catalog.tools import complete
from runner.plan.model import Stage
from runner.runs.audit import ASIDE
from runner.worker import watch_preferences
from runner.worker.observer import DriftError, Observer

NAME = "mlx_lm_lora.train"
TOOL = load.catalog().get(NAME)


def watch(folder, **params):
    given = {"model": "m", "data": "d", "train": True, "adapter_path": "a", **params}
    full = complete(TOOL.schema, given, TOOL.schema)
    host = Observer(str(folder), Stage(name="s", tool=NAME, params=full, outputs={}), TOOL)
    (folder / "s").mkdir()
    host.parsed = dict(full)
    return watch_preferences.PreferenceWatch(host, None)


@dataclass
class Arguments:
    beta: float = 0.1
    delta: float = 50.0


def test_a_field_is_noted_when_it_is_read_and_not_when_it_is_handed_over():
    log = set()
    told = watch_preferences.telling(Arguments(beta=0.3), log)
    assert (isinstance(told, Arguments), log) == (True, set())
    assert told.beta == 0.3
    assert log == {"beta"}


def test_a_file_of_rewards_that_does_not_load_is_not_as_planned(tmp_path):
    params = {"train_mode": "grpo", "reward_functions_file": "r.py", "reward_functions": "x"}
    one = watch(tmp_path, **params)
    assert one.load_reward_functions_from_file(lambda _: True)("r.py") is True
    with pytest.raises(DriftError):
        one.load_reward_functions_from_file(lambda _: None)("r.py")


def test_fields_are_said_as_the_recipe_says_them(tmp_path):
    one = watch(tmp_path, train_mode="klpo", klpo_kl_estimator="topk", reward_weights="[1.0, 2]")
    fields = {"top_k": 3, "steps_per_save": 7, "reward_weights": [1.0, 2.0], "mc_samples": 9}
    assert one._values(fields) == {
        "klpo_top_k": 3,
        "save_every": 7,
        "reward_weights": "[1.0, 2]",
    }, "mc_samples is of another estimator"


def test_iterations_that_come_from_epochs_are_no_difference(tmp_path):
    one = watch(tmp_path, epochs=2)
    assert one._values({"iters": 12}) == {"epochs": 2}
    assert one.host.observed["iters"] == 12


@pytest.mark.parametrize("metal", [True, False])
def test_a_limit_of_memory_is_said_where_there_is_no_metal(tmp_path, metal):
    class Core:
        @staticmethod
        def device_info():
            return {"max_recommended_working_set_size": 5} if metal else {"architecture": "x"}

    host = watch(tmp_path).host
    watch_preferences._without_metal(host, Core)
    assert Core.device_info()["max_recommended_working_set_size"] == (5 if metal else 0)
    assert (ASIDE in host.observed) is not metal
