"""A stage's outputs: they exist, can be read, are finite and trained, and belong to the stage."""

from pathlib import Path
from typing import Any

from runner.plan.model import bind
from runner.system import files as disk
from runner.worker import weights
from runner.worker.observer import Observer, OutputError

WEIGHTS = "adapters.safetensors"
TRAINABLE = "trainable_parameters"
REWARDS = "reward_functions"
"""Under this key of what was observed: that a training learns from rewards, and whose."""


def check(host: Observer) -> None:
    """Look at every output of a stage. Raises OutputError."""
    for name, output in host.stage.outputs.items():
        path = Path(bind(output, host.folder))
        if not path.exists():
            why = f"{name}: {path} was not created"
            raise OutputError(why)
        files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
        for file in files:
            if file.suffix == ".safetensors":
                weights.header(file)
        kind = host.tool.outputs[name]
        if kind.makes == "model":
            weights.look(path, host, kind)
        elif kind.makes == "adapter":
            _adapter(path / WEIGHTS, host)
    for ending in host.endings:
        ending()
    host.end()


def _adapter(file: Path, host: Observer) -> None:
    """Check that an adapter's tensors are finite, and that training changed them (T44, T71)."""
    import mlx.core as mx

    if not file.exists():
        why = f"{file} was not made"
        raise OutputError(why)
    weights.finite(file)
    tensors: Any = mx.load(str(file))
    grown = [tensor for name, tensor in tensors.items() if name.endswith("lora_b")]
    idle = grown and not any(mx.any(tensor != 0).item() for tensor in grown)
    rewarded = host.observed.get(REWARDS)
    if idle and not (rewarded and host.smoke):  # a tiny model's answers are all rewarded alike
        why = f"{file}: every lora_b is still zero, so nothing was trained"
        if rewarded:
            why += ": no answer was rewarded more than the others to its prompt"
        raise OutputError(why)
    size, trainable = sum(t.size for t in tensors.values()), host.observed.get(TRAINABLE)
    if trainable is not None and size != trainable:
        why = f"{file} contains {size:,} numbers, but {trainable:,} were trained"
        raise OutputError(why)
    _check_rank(file, tensors)
    host.observed["adapter_tensors"] = len(tensors)


def _check_rank(file: Path, tensors: Any) -> None:
    """Check that adapter_config.json is of these tensors: what is read later goes by it (T59)."""
    config = disk.read_json(file.parent / "adapter_config.json") or {}
    rank = (config.get("lora_parameters") or {}).get("rank")
    for name, tensor in tensors.items():
        if name.endswith("lora_b") and rank is not None and rank not in tensor.shape:
            why = f"{file}: {name} is {tensor.shape}, but adapter_config.json says rank {rank}"
            raise OutputError(why)
