"""What the child reads off a trainer, on modules of MLX's own."""

import types

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def watch():
    pytest.importorskip("mlx.core")
    import mlx.core

    from runner.worker.watch_lora import Watch

    host = types.SimpleNamespace(
        params={"grad_checkpoint": True, "num_layers": 1, "lora_parameters": {"scale": 2.0}},
        effective={"grad_checkpoint": True},
        observed={},
    )
    return Watch(host, types.SimpleNamespace(mx=mlx.core))


def test_blocks_of_two_classes_are_not_all_checkpointed(watch):
    from mlx import nn

    watch._checkpointing(types.SimpleNamespace(layers=[nn.Linear(2, 2), nn.Linear(2, 2)]))
    assert watch.host.effective["grad_checkpoint"] is True
    watch._checkpointing(types.SimpleNamespace(layers=[nn.Linear(2, 2), nn.LayerNorm(2)]))
    assert watch.host.effective["grad_checkpoint"] == "only in some of LayerNorm, Linear"


def test_a_file_trained_at_another_scale_is_not_the_planned_one(watch, tmp_path):
    watch.host.params["fine_tune_type"] = "lora"
    file = tmp_path / "adapters.safetensors"
    assert watch._scale_problem(str(file)) == ""
    (tmp_path / "adapter_config.json").write_text('{"lora_parameters": {"scale": 20.0}}')
    assert (
        watch._scale_problem(str(file))
        == "the file was trained with scale 20.0, but this stage sets 2.0"
    )
