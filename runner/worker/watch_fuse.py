"""Checks what mlx_lm.fuse wrote: whether the adapter is still in the fused weights."""

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from runner.plan.model import bind
from runner.worker.observer import Observer, OutputError
from runner.worker.weights import quantization, shards

LOOKED_AT = 24
"""So many modules are compared, evenly spread over the model: each costs a matrix product."""

LEAST = 0.5
"""A smaller share of an adapter left in the fused weights is an adapter lost."""

DROWNED = 0.1
"""Rounding that moves the measured share further than this leaves nothing to be measured."""

_MANTISSA = {"bfloat16": 8, "float16": 11, "float32": 24}


def install(host: Observer) -> None:
    """Remember how mlx_lm.fuse loads base and adapter, and compare at the end."""
    fuse: Any = importlib.import_module("mlx_lm.fuse")
    if not hasattr(fuse, "load"):
        return
    original = fuse.load

    def load(*words: Any, **kwargs: Any) -> Any:
        again = partial(original, *words, **{**kwargs, "lazy": True})
        host.endings.append(partial(_compare, host, again))
        return original(*words, **kwargs)

    fuse.load = load


def _compare(host: Observer, load: Callable[[], Any]) -> None:
    """Measure how much of the adapter is in the fused weights. Raises OutputError (T80).

    Base and adapter are loaded again, lazily: one module at a time is in memory.
    """
    adapted = [(n, m) for n, m in load()[0].named_modules() if hasattr(m, "fuse")]
    folder = Path(bind(host.stage.outputs["model"], host.folder))
    fused = _FusedWeights(folder, host)
    sample = adapted[:: max(1, -(-len(adapted) // LOOKED_AT))]
    sums = [_sums(module, fused.weight(name)) for name, module in sample if fused.has(name)]
    if not sums:
        host.observed["adapter_kept"] = "not compared: the names of the weights differ"
        return
    added, overlap, noise, step, size = map(sum, zip(*sums, strict=True))
    ratio = share(added, overlap, noise, size)
    host.observed["adapter_kept"] = round(ratio, 4)
    host.observed["modules_compared"] = f"{len(sums)} of {len(adapted)}"
    if ratio < LEAST and not host.smoke:
        raise OutputError(_loss_text(folder, ratio, (added / size) ** 0.5, step / len(sums), host))


def share(added: float, overlap: float, noise: float, size: int) -> float:
    """Return how much of an adapter is in the fused weights, 0 to about 1.

    `added` is the square of what it adds, `overlap` that times what is there, summed over `size`
    weights; `noise` the square of their difference. The noise moves the share by about the root of
    noise / added / size by chance; where that is much, nothing of the adapter can be told from it.
    """
    if not added or (noise / added / size) ** 0.5 > DROWNED:
        return 0.0
    return overlap / added


def _loss_text(folder: Path, ratio: float, change: float, step: float, host: Observer) -> str:
    if not change:
        return f"{folder}: the adapter is all zeros, so the fused model equals the base model"
    part = "nothing" if round(ratio, 2) <= 0 else f"{ratio:.0%}"
    hint = "convert the base with dtype: float32 first"
    if not host.params["dequantize"]:
        hint = "set dequantize: true, and quantize the fused model in its own stage"
    return (
        f"{folder}: {part} of the adapter is left in the fused weights. It changes a weight by "
        f"{change:.2g}, and the weights are rounded to steps of {step:.2g}: most changes are "
        f"rounded away (T80); {hint}"
    )


def _sums(module: Any, fused: Any) -> tuple[float, float, float, float, int]:
    """Return, of one module, the sums that `share` takes, and the step its weights are rounded to.

    The step stands before the last of them.
    """
    import mlx.core as mx

    inner = module.linear if "linear" in module else module.embedding
    step = _step(inner)
    for name in ("weight", "scales", "biases"):
        if name in inner and mx.issubdtype(inner[name].dtype, mx.floating):
            inner[name] = inner[name].astype(mx.float32)
    base = plain(inner, inner).astype(mx.float32)
    added = module.fuse(True).weight.astype(mx.float32) - base
    remainder = fused.astype(mx.float32) - base
    whole: Any = mx.sum(added * added).item()
    rest: Any = mx.sum(added * remainder).item()
    noise: Any = mx.sum(mx.square(added - remainder)).item()
    module.clear()
    mx.clear_cache()
    return whole, rest, noise, step, added.size


def plain(layer: Mapping[str, Any], shape: Any) -> Any:
    """Return a layer's weights unpacked; `shape` has group_size, bits and mode where they are."""
    import mlx.core as mx

    if "scales" not in layer:
        return layer["weight"]
    return mx.dequantize(
        layer["weight"],
        layer["scales"],
        layer.get("biases"),
        group_size=shape.group_size,
        bits=shape.bits,
        mode=getattr(shape, "mode", "affine"),
    )


def _step(inner: Any) -> float:
    """Return how far apart two values of a layer's weights are: a scale, or a unit of its type."""
    import mlx.core as mx

    if "scales" in inner and mx.issubdtype(inner.scales.dtype, mx.floating):
        scale: Any = mx.mean(mx.abs(inner.scales.astype(mx.float32))).item()
        return float(scale)
    weight = inner.scales if "scales" in inner else inner.weight
    digits = _MANTISSA.get(str(weight.dtype).rpartition(".")[2], 8)
    size: Any = mx.sqrt(mx.mean(mx.square(weight.astype(mx.float32)))).item()
    return float(size) * 2.0**-digits


class _FusedWeights:
    """The weights of a fused model, read where they are asked for."""

    def __init__(self, folder: Path, host: Observer) -> None:
        import mlx.core as mx

        self.quantization = quantization(folder)
        self.tensors: dict[str, Any] = {}
        for file in shards(folder, host.tool.outputs["model"]):
            read: Any = mx.load(str(file))
            self.tensors.update(read)

    def has(self, module: str) -> bool:
        """Return whether a module's weights are here under its name."""
        return f"{module}.weight" in self.tensors

    def weight(self, module: str) -> Any:
        """Return a module's weights, unpacked."""
        names = ("weight", "scales", "biases")
        layer = {n: self.tensors.pop(f"{module}.{n}", None) for n in names}
        own = self.quantization.get(module)
        shape = type("Shape", (), {**self.quantization, **(own if isinstance(own, dict) else {})})
        return plain({n: tensor for n, tensor in layer.items() if tensor is not None}, shape)
