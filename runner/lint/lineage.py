"""A path of a plan in, what is known of it out: the adapter, model or data set that lies there."""

import posixpath
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any, TypeVar

from msgspec.structs import replace

from runner.base.constants import normal
from runner.data.replay import nearest
from runner.lint.facts import Adapter, DataSet, ModelFacts
from runner.lint.rule import View, trains
from runner.plan.model import Plan, Stage

T = TypeVar("T")
_SOURCES = {
    "mlx_lm.convert": ("hf_path",),
    "mlx_lm.fuse": ("model",),
    "mlx_lm.dwq": ("quantized_model", "model"),
    "mlx_lm.awq": ("model",),
    "mlx_lm.gptq": ("model",),
    "mlx_lm.dynamic_quant": ("model",),
    "hf.download": ("repo_id",),
}
# The tools whose rows are as many as those of a parameter, or can be counted from them.
_ROWS_OF = {"data.mix": "primary", "data.sort": "data", "data.format": "data"}
# Bits that do not divide 32: mlx_lm.tuner.dora counts 32 // bits weights in a word.
UNEVEN = frozenset({3, 5, 6})
# Group size and bits of a quantization mode: mlx_lm.utils.quantize_model.
MODES = {"affine": (64, 4), "mxfp4": (32, 4), "nvfp4": (16, 4), "mxfp8": (32, 8)}
_BITS = re.compile(
    r"(?i)(?:^|[-_.])(?:(?:int|q)?(\d)-?bits?|(mxfp4|nvfp4)|(mxfp8|fp8))(?=\Z|[-_.])"
)
_DRESS = re.compile(
    r"(?i)[-_.]?(?:(?:int|q)?\d-?bits?|mxfp\d|nvfp4|fp8|bf16|bfloat16|fp16|float16|fp32|float32"
    r"|mlx|dwq|awq|gptq)(?=\Z|[-_.])"
)


def adapter_of(stage: Stage) -> Adapter:
    """Return the adapter that a training makes."""
    params = stage.params
    shape = params["lora_parameters"]
    full = params["fine_tune_type"] == "full"
    keys = shape["keys"]
    return Adapter(
        fine_tune_type=params["fine_tune_type"],
        rank=None if full else shape["rank"],
        scale=None if full else shape["scale"],
        keys=None if full or keys is None else tuple(keys),
        num_layers=params["num_layers"],
        base=params["model"],
        source=f"stage '{stage.name}'",
        seed=params["seed"],
        data=None if params["hf_dataset"] else params["data"],
    )


def adapter_at(view: View, path: str | None) -> Adapter | None:
    """Return the adapter in a folder, or of the folder a file lies in; None where nothing says."""
    maker = view.maker(path)
    if maker is not None:
        return adapter_of(maker) if trains(maker) else None
    return _at(view.facts.adapters, path)


@lru_cache(maxsize=64)
def model_at(view: View, path: str) -> ModelFacts:
    """Return what is known of a model: from files, from the stage that makes it, or its name."""
    makers, path = _up(view.maker, path, _source)
    facts = _first(view, path)
    for maker in reversed(makers):
        facts = _model_after(facts, maker)
    return facts


def _first(view: View, path: str) -> ModelFacts:
    """Return what is known of a model that no stage makes of another one."""
    maker = view.maker(path)
    if maker is not None and maker.tool == "model.tiny":
        layers = maker.params["num_layers"]
        return ModelFacts(
            path=path, model_type="llama", layers=layers, dtype="float32", chat_template=True
        )
    if maker is not None and _source(maker) is None:
        return ModelFacts(path=path)
    by_name = ModelFacts(path=path, quantized_bits=_bits_in_name(path), because="its name says so")
    return _at(view.facts.models, path) or by_name


def _up(
    maker_of: Callable[[str], Stage | None], path: str, source: Callable[[Stage], str | None]
) -> tuple[list[Stage], str]:
    """Return the stages that make a path of another, the last one first, and what they begin with.

    `source` is the path a stage makes its own of, None where it makes it of none.
    """
    makers: dict[str, Stage] = {}
    while (maker := maker_of(path)) is not None and maker.name not in makers:
        below = source(maker)
        if below is None:
            break
        makers[maker.name] = maker
        path = below
    return [*makers.values()], path


def outcome(view: View) -> ModelFacts:
    """Return what is known of the model that a stage makes."""
    source = _source(view.stage)
    return _model_after(model_at(view, source), view.stage) if source else ModelFacts(path="")


def origin(view: View, path: str) -> tuple[str, str]:
    """Return the model beneath the quantizations of a path, and the path's own precision.

    Two models of one origin have the same layers; hub ids are compared without owner and suffix.
    """
    facts = model_at(view, path)
    precision = f"{facts.quantized_bits} bits" if facts.quantized_bits else "full precision"
    names: set[str] = set()
    while (maker := view.maker(path)) is not None and maker.name not in names:
        names.add(maker.name)
        below = None if maker.tool == "mlx_lm.fuse" else _source(maker)
        if below is None:
            return normal(path), precision
        path = below
    hub = path.count("/") == 1 and path[0] not in "./~"
    name = _DRESS.sub("", path.rpartition("/")[2]).casefold() if hub else normal(path)
    return name, precision


@lru_cache(maxsize=64)
def data_at(view: View, path: str) -> DataSet | None:
    """Return what is known of a data folder, also of one whose rows a stage of the plan counts."""
    return data_behind(path, view.maker, lambda first: _at(view.facts.data, first))


def data_behind(
    path: str,
    maker_of: Callable[[str], Stage | None],
    look: Callable[[str], DataSet | None],
) -> DataSet | None:
    """Return what is known of a data folder; `look` says it of one that no stage makes."""
    makers, first = _up(maker_of, path, _rows_of)
    data = None if maker_of(first) else look(first)
    for maker in reversed(makers):
        data = _data_after(data, maker) if data and "train" in data.rows else None
    return replace(data, path=path) if data and makers else data


def _rows_of(maker: Stage) -> str | None:
    """Return the data that a stage makes its own of, None where it counts no rows."""
    name = _ROWS_OF.get(maker.tool)
    return str(maker.params[name]) if name else None


def _data_after(first: DataSet, maker: Stage) -> DataSet:
    rows, keys = first.rows, first.keys
    if maker.tool == "data.mix":
        replay = nearest(rows["train"], Fraction(str(maker.params["ratio"])))
        rows = {**rows, "train": rows["train"] + replay}
    elif maker.tool == "data.format":
        keys = dict.fromkeys(rows, _written_keys(maker.params))
    return replace(first, rows=rows, keys=keys, others=())


def _written_keys(params: Mapping[str, Any]) -> frozenset[str]:
    """Return the keys of the rows that a data.format writes."""
    names = {
        "chat": ("chat",),
        "completions": ("prompt", "completion"),
        "instruction": ("instruction", "response"),
        "text": ("text",),
    }
    return frozenset(params[f"{name}_feature"] for name in names[params["to"]])


def mix_of(view: View, path: str) -> Stage | None:
    """Return the data.mix of the plan that the rows of a data folder come from."""
    makers, _ = _up(view.maker, path, _rows_of)
    return next((maker for maker in makers if maker.tool == "data.mix"), None)


def data_of(view: View) -> DataSet | None:
    """Return the data set a stage of mlx_lm.lora reads, None where it is not known."""
    return None if view.params["hf_dataset"] else data_at(view, view.params["data"])


def beneath(plan: Plan, path: str) -> str:
    """Return the model from outside of the plan that a path is made of: it has its tokenizer."""
    names: set[str] = set()
    while (maker := plan.maker(path)) is not None and maker.name not in names:
        names.add(maker.name)
        path = _source(maker) or path
    return path


def sensitivities_stage(view: View, path: str | None) -> Stage | None:
    """Return the earlier stage of mlx_lm.dynamic_quant that leaves this file of sensitivities.

    mlx-lm puts it into the working directory, named after the model; no parameter says where.
    """
    for stage in view.plan.of_tool("mlx_lm.dynamic_quant") if path else ():
        if view.plan.place(stage) >= view.plan.place(view.stage):
            return None
        own = stage.params["sensitivities"] is None
        if own and normal(str(path)) == _sensitivities(stage.params["model"]):
            return stage
    return None


def _sensitivities(model: str) -> str:
    return f"{model.replace('/', '_')}_sensitivities.json"


def layout(data: DataSet, split: str, params: Mapping[str, Any]) -> str:
    """Return the format mlx-lm reads a split in, by its first row; "" where there is none."""
    keys = data.keys.get(split, frozenset())
    if params["prompt_feature"] in keys and params["completion_feature"] in keys:
        return "completions"
    if params["chat_feature"] in keys:
        return "chat"
    return "text" if params["text_feature"] in keys else ""


def blocks(facts: ModelFacts) -> Mapping[str, tuple[int, ...]]:
    """Return the modules inside a model's blocks: shapes by path inside a block."""
    inside = {}
    for path, shape in facts.weights.items():
        words = path.split(".")
        at = next((i for i, word in enumerate(words) if word.isdigit()), None)
        if at is not None and at + 1 < len(words):
            inside[".".join(words[at + 1 :])] = shape
    return inside


def _at(facts: Mapping[str, T], path: str | None) -> T | None:
    """Return what is known under a path, or under the folder it lies in."""
    if not path:
        return None
    key = normal(path)
    return facts.get(key) or facts.get(posixpath.dirname(key))


def _bits_in_name(path: str) -> int | None:
    """Return the bits a model's name speaks of, as in ``OLMo-2-1B-4bit``."""
    match = _BITS.search(path.rstrip("/").rpartition("/")[2])
    if not match:
        return None
    return int(match[1]) if match[1] else 4 if match[2] else 8


def _model_after(below: ModelFacts, maker: Stage) -> ModelFacts:
    params = maker.params
    why = f"stage '{maker.name}' makes it so"
    match maker.tool:
        case "mlx_lm.convert":
            return _conversion(below, params, why)
        case "mlx_lm.fuse" if params["dequantize"]:
            return replace(below, quantized_bits=None)
        case "mlx_lm.awq" | "mlx_lm.gptq":
            return replace(below, quantized_bits=params["bits"], because=why)
        case "mlx_lm.dwq" if not params["quantized_model"]:
            return replace(below, quantized_bits=params["bits"], because=why)
        case "mlx_lm.dynamic_quant":
            return replace(below, quantized_bits=params["low_bits"], because=why)
    return below


def _conversion(below: ModelFacts, params: Mapping[str, Any], why: str) -> ModelFacts:
    below = replace(below, dtype=params["dtype"] or below.dtype)
    if params["dequantize"]:
        return replace(below, quantized_bits=None)
    if not params["quantize"] or below.quantized_bits:
        return below
    return replace(below, quantized_bits=_bits_of_convert(params), because=why)


def _bits_of_convert(params: Mapping[str, Any]) -> int:
    """Return the bits a conversion asks for; of a mixture those that DoRA cannot take, if any."""
    if params["quant_predicate"]:
        mixed = [int(word) for word in params["quant_predicate"].split("_") if word.isdigit()]
        return next((bits for bits in mixed if bits in UNEVEN), mixed[0])
    return int(params["q_bits"] or MODES[params["q_mode"]][1])


def _source(maker: Stage) -> str | None:
    """Return the model that a stage makes its own of, None where it makes none."""
    names = _SOURCES.get(maker.tool, ())
    return next((maker.params[name] for name in names if maker.params[name]), None)
