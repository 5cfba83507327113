"""A model that a stage made: its shards, its numbers, and whether it has the requested bits."""

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runner.catalog.tools import Output, applies
from runner.system import files as disk
from runner.worker.observer import Observer, OutputError

Json = dict[str, Any]
_LEAD = 8
_MATRIX = 2
_WORD = 32


def header(file: Path) -> Json:
    """Return the tensors of a safetensors file by name; raise OutputError for one cut short."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        lead = stream.read(_LEAD)
        length = struct.unpack("<Q", lead)[0] if len(lead) == _LEAD else size
        if length + _LEAD > size:
            why = f"{file} is truncated"
            raise OutputError(why)
        tensors: Json = json.loads(stream.read(length))
    tensors.pop("__metadata__", None)
    ends = [entry["data_offsets"][1] for entry in tensors.values()]
    if max(ends, default=0) + _LEAD + length != size:
        why = f"{file} is truncated"
        raise OutputError(why)
    return tensors


def look(folder: Path, host: Observer, output: Output) -> None:
    """Look at a model a stage made. Raises OutputError."""
    files = shards(folder, output)
    tensors = {name: entry for file in files for name, entry in header(file).items()}
    for file in files:
        finite(file)
    rule = output.precision
    if rule.get("once") and applies(rule, host.params):
        _bits(folder, tensors, host, rule)
        _left_out(folder, tensors, host)


def shards(folder: Path, output: Output) -> list[Path]:
    """Return the files of a model's weights: no other may stand beside them (T81)."""
    index = disk.read_json(folder / "model.safetensors.index.json")
    there = {file.name: file for file in sorted(folder.glob("model*.safetensors"))}
    own = set(index["weight_map"].values()) if index else {"model.safetensors"} & there.keys()
    if index and (missing := sorted(own - there.keys())):
        why = f"{folder} has no {missing[0]}, which its index lists"
        raise OutputError(why)
    stale = sorted(there.keys() - own) if own else []
    if stale:
        why = (
            f"{folder} contains {', '.join(stale)} of another model next to the new one, and "
            "loading the folder loads both (T81): empty it and run again, or remove "
            f"{output.param}"
        )
        raise OutputError(why)
    return list(there.values())


def finite(file: Path) -> None:
    """Raise OutputError if a number of a file is nan or infinite; one tensor at a time."""
    import mlx.core as mx

    tensors: Any = mx.load(str(file))
    for name in list(tensors):
        tensor = tensors.pop(name)
        if mx.issubdtype(tensor.dtype, mx.floating) and not mx.all(mx.isfinite(tensor)).item():
            why = f"{file}: {name} is not finite"
            raise OutputError(why)
        del tensor
        mx.clear_cache()


def quantization(folder: Path) -> Json:
    """Return what a model's config.json says of its bits, empty if it is not quantized."""
    return (disk.read_json(folder / "config.json") or {}).get("quantization") or {}


def _bits(
    folder: Path, tensors: Mapping[str, Json], host: Observer, rule: Mapping[str, Any]
) -> None:
    """Check that layers have the bits that were asked for, counted off their shapes (T85)."""
    config, q_bits = quantization(folder), host.params[rule["bits"]]
    layers = dict(_layer_bits(tensors, config))
    if not layers:
        why = f"{folder}: no layer was quantized"
        raise OutputError(why)
    other = {name: bits for name, bits in layers.items() if bits != q_bits}
    if q_bits is not None and host.params.get(rule.get("mixture", "")) is None and other:
        name, bits = next(iter(other.items()))
        why = (
            f"{folder}: {len(other)} of {len(layers)} layers do not have the requested {q_bits} "
            f"bits: {name} has {bits:g}, because a quantized base model keeps its own (T85); "
            "start from the original model"
        )
        raise OutputError(why)


def _layer_bits(tensors: Mapping[str, Json], config: Json) -> Iterator[tuple[str, float]]:
    """Yield each quantized layer with the bits its shapes say."""
    for name, entry in tensors.items():
        module = name.removesuffix(".scales")
        if module != name and f"{module}.weight" in tensors:
            own = config.get(module)
            sizes = own if isinstance(own, dict) else config
            group = sizes.get("group_size") or config["group_size"]
            words = tensors[f"{module}.weight"]["shape"][-1]
            yield module, words * _WORD / (entry["shape"][-1] * group)


def _left_out(folder: Path, tensors: Mapping[str, Json], host: Observer) -> None:
    """Check that no layer stayed as it was because the groups do not divide it (T86)."""
    size = quantization(folder).get("group_size")
    modules = [name.removesuffix(".weight") for name in tensors if name.endswith(".weight")]
    matrices = [name for name in modules if len(tensors[f"{name}.weight"]["shape"]) >= _MATRIX]
    odd = [
        name
        for name in matrices
        if f"{name}.scales" not in tensors and tensors[f"{name}.weight"]["shape"][-1] % size
    ]
    if odd and "group-size-does-not-divide" not in host.stage.allow:
        width = tensors[f"{odd[0]}.weight"]["shape"][-1]
        why = (
            f"{folder}: {len(odd)} of {len(matrices)} layers were not quantized, although "
            f"according to its config.json: groups of {size} do not divide {odd[0]}, which is "
            f"{width} wide (T86); set a smaller q_group_size"
        )
        raise OutputError(why)
