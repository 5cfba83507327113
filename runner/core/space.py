"""A stage -> what it will leave on the disk, where the shapes of its model are known."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runner.core.figure import size_of
from runner.core.rules import ModelFacts, View, trains
from runner.core.rules.chain import blocks, model_at, outcome

GROUP_BITS = 32  # of scale and bias, which a group of weights shares
GROUP = 64
FLOAT32, HALF = 4, 2
_SAVED = 3  # a state to go on from: the weights and Adam's two moments
_BYTES = {"float32": FLOAT32, "bfloat16": HALF, "float16": HALF}
_PAIR = 2


@dataclass(frozen=True, slots=True)
class Need:
    """What one stage writes: its largest output, bytes, and the arithmetic."""

    stage: str
    output: str
    size: int
    said: str

    def __str__(self) -> str:
        return f"{self.stage} writes {self.said}"


def need(view: View) -> Need | None:
    """Return what a stage will write; None where that is not known."""
    stage = view.stage
    output = next(iter(stage.outputs.values()), None)
    if output is None:
        return None
    if trains(stage):
        one = _trained(view, model_at(view, view.params["model"]))
        many = view.params["iters"] // view.params["save_every"] + 1
        saved = f" and a state of {size_of(_SAVED * one)}" if stage.continues else ""
        said = f"{many} x {size_of(one)} of weights{saved}"
        size = one * (many + (_SAVED if stage.continues else 0))
        return Need(stage.name, output, size, said) if one else None
    size = _model(outcome(view))
    return Need(stage.name, output, size, f"a model of {size_of(size)}") if size else None


def _trained(view: View, facts: ModelFacts) -> int:
    """Return the bytes of one checkpoint."""
    params = view.params
    inside = blocks(facts)
    count = params["num_layers"] if params["num_layers"] > 0 else facts.layers
    if not inside or not count:
        return 0
    count = min(count, facts.layers or count)
    if params["fine_tune_type"] == "full":
        return count * sum(map(math.prod, inside.values())) * _BYTES.get(str(facts.dtype), HALF)
    said: Mapping[str, Any] = params["lora_parameters"]
    adapted = _adapted(inside, said["keys"])
    return count * sum(_pair(shape, said["rank"]) for shape in adapted) * FLOAT32


def _adapted(
    inside: Mapping[str, tuple[int, ...]], keys: list[str] | None
) -> Iterator[tuple[int, ...]]:
    for name, shape in inside.items():
        if len(shape) >= _PAIR and (keys is None or name in keys):
            yield shape


def _pair(shape: tuple[int, ...], rank: int) -> int:
    """Return the numbers in the two matrices beside one; experts have a pair each."""
    *experts, wide, deep = shape
    return math.prod(experts) * rank * (wide + deep)


def _model(facts: ModelFacts) -> int:
    """Return the bytes of a model's weights, quantized or not."""
    plain = _BYTES.get(str(facts.dtype), HALF) * 8
    packed = facts.quantized_bits + GROUP_BITS / GROUP if facts.quantized_bits else plain
    bits = sum(
        math.prod(shape) * (packed if len(shape) >= _PAIR else plain)
        for shape in facts.weights.values()
    )
    return math.ceil(bits / 8)
