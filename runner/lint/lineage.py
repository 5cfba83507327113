"""A path of a plan in, what is known of it out: the adapter, model or data set that lies there."""

import posixpath
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any, TypeVar

from msgspec.structs import replace

from runner.base.constants import normal
from runner.base.patterns import pattern
from runner.catalog.tools import Catalog, Output, Tool, applies
from runner.data.replay import nearest
from runner.lint.facts import Adapter, DataSet, ModelFacts
from runner.lint.rule import View, adapter_output
from runner.plan.hub_names import bare
from runner.plan.model import Plan, Stage
from runner.plan.smoke import MODEL_TOOL

T = TypeVar("T")
_SENSITIVITIES = "_sensitivities.json"
# Bits that do not divide 32: mlx_lm.tuner.dora counts 32 // bits weights in a word.
UNEVEN = frozenset({3, 5, 6})
# Group size and bits of a quantization mode: mlx_lm.utils.quantize_model.
MODES = {"affine": (64, 4), "mxfp4": (32, 4), "nvfp4": (16, 4), "mxfp8": (32, 8)}
_BITS = pattern(r"(?i)(?:^|[-_.])(?:(?:int|q)?(\d)-?bits?|(mxfp4|nvfp4)|(mxfp8|fp8))(?=\Z|[-_.])")
_DRESS = pattern(
    r"(?i)[-_.]?(?:(?:int|q)?\d-?bits?|mxfp\d|nvfp4|fp8|bf16|bfloat16|fp16|float16|fp32|float32"
    r"|mlx|dwq|awq|gptq)(?=\Z|[-_.])"
)


def adapter_of(stage: Stage, tool: Tool, output: Output) -> Adapter:
    """Return the adapter that a training makes, as far as its parameters say it."""
    shape = {fact: _inside(stage.params, place) for fact, place in output.shape.items()}
    keys = shape.get("keys")
    adapter = Adapter(
        fine_tune_type=shape["fine_tune_type"],
        rank=shape.get("rank"),
        scale=shape.get("scale"),
        keys=None if keys is None else tuple(keys),
        num_layers=shape["num_layers"],
        base=shape["base"],
        source=f"stage '{stage.name}'",
        seed=shape.get("seed"),
        data=None if dataset_of(stage, tool) else shape.get("data"),
    )
    full = adapter.fine_tune_type == "full"
    return replace(adapter, rank=None, scale=None, keys=None) if full else adapter


def dataset_of(stage: Stage, tool: Tool) -> str | None:
    """Return the parameter that lets a stage load its rows by 'datasets', None if none does."""
    names = (one.name for one in tool.inputs if one.input_kind(stage.params) == "dataset")
    return next((name for name in names if stage.params[name]), None)


def _inside(params: Mapping[str, Any], place: str) -> Any:
    """Return the value at a dotted place, None if there is none."""
    value: Any = params
    for name in place.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


@lru_cache(maxsize=64)
def adapter_at(view: View, path: str | None) -> Adapter | None:
    """Return the adapter in a folder, or of the folder a file lies in; None where nothing says."""
    maker = view.maker(path)
    if maker is not None:
        tool = view.tool_of(maker)
        output = adapter_output(maker, tool)
        return adapter_of(maker, tool, output) if tool and output and output.shape else None
    return _at(view.facts.adapters, path)


@lru_cache(maxsize=64)
def model_at(view: View, path: str) -> ModelFacts:
    """Return what is known of a model: from files, from the stage that makes it, or its name."""
    catalog = view.catalog
    makers, path = _up(view.maker, path, lambda one: _source(one, catalog.get(one.tool)))
    facts = _first(view, path)
    for maker in reversed(makers):
        facts = _model_after(facts, maker, view.tool_of(maker))
    return facts


def _first(view: View, path: str) -> ModelFacts:
    """Return what is known of a model that no stage makes of another one."""
    maker = view.maker(path)
    if maker is not None and maker.tool == MODEL_TOOL:
        params = maker.params
        return ModelFacts(
            path=path,
            model_type=params["config"].get("model_type", params["architecture"]),
            layers=params["num_layers"],
            dtype="float32",
            chat_template=True,
        )
    if maker is not None and _source(maker, view.tool_of(maker)) is None:
        return ModelFacts(path=path)
    by_name = ModelFacts(
        path=path, quantized_bits=_bits_in_name(path), because="according to its name"
    )
    return _at(view.facts.models, path) or by_name


def _up(
    maker_of: Callable[[str], Stage | None], path: str, source: Callable[[Stage], str | None]
) -> tuple[list[Stage], str]:
    """Return the stages that make a path of another, the last one first, and what they begin with.

    `source` is the path a stage makes its own of, None if it makes it of none.
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
    source = _source(view.stage, view.tool)
    if not source:
        return ModelFacts(path="")
    return _model_after(model_at(view, source), view.stage, view.tool)


def origin(view: View, path: str) -> tuple[str, str]:
    """Return the model beneath the quantizations of a path, and the path's own precision.

    Two models of one origin have the same layers; hub ids are compared without owner and suffix.
    """
    facts = model_at(view, path)
    precision = f"{facts.quantized_bits} bits" if facts.quantized_bits else "full precision"
    names: set[str] = set()
    while (maker := view.maker(path)) is not None and maker.name not in names:
        names.add(maker.name)
        tool = view.tool_of(maker)
        below = None if _merges(maker, tool) else _source(maker, tool)
        if below is None:
            return normal(path), precision
        path = below
    path = bare(path)
    hub = path.count("/") == 1 and path[0] not in "./~"
    name = _DRESS.sub("", path.rpartition("/")[2]).casefold() if hub else normal(path)
    return name, precision


@lru_cache(maxsize=64)
def data_at(view: View, path: str) -> DataSet | None:
    """Return what is known of a data folder, also of one whose rows a stage of the plan counts."""
    return data_behind(path, view.maker, lambda first: _at(view.facts.data, first), view.catalog)


def data_behind(
    path: str,
    maker_of: Callable[[str], Stage | None],
    look: Callable[[str], DataSet | None],
    catalog: Catalog,
) -> DataSet | None:
    """Return what is known of a data folder; `look` says it of one that no stage makes."""
    makers, first = _up(maker_of, path, lambda one: _rows_of(one, catalog.get(one.tool)))
    data = None if maker_of(first) else look(first)
    for maker in reversed(makers):
        known = data and "train" in data.rows
        data = _data_after(data, maker, catalog.get(maker.tool)) if data and known else None
    return replace(data, path=path) if data and makers else data


def _data_output(tool: Tool | None) -> Output | None:
    return next(tool.makes("data"), None) if tool is not None else None


def _rows_of(maker: Stage, tool: Tool | None) -> str | None:
    """Return the data that a stage makes its own of, None if it counts no rows."""
    output = _data_output(tool)
    return str(maker.params[output.of[0]]) if output and output.of else None


def _data_after(first: DataSet, maker: Stage, tool: Tool | None) -> DataSet:
    rows, keys, output = first.rows, first.keys, _data_output(tool)
    if output and output.replay:
        replay = nearest(rows["train"], Fraction(str(maker.params[output.replay])))
        rows = {**rows, "train": rows["train"] + replay}
    elif output and output.layout:
        keys = dict.fromkeys(rows, _written_keys(maker.params, maker.params[output.layout]))
    return replace(first, rows=rows, keys=keys, others=())


def _written_keys(params: Mapping[str, Any], layout: str) -> frozenset[str]:
    """Return the keys of rows that are written in a format."""
    names = {
        "chat": ("chat",),
        "completions": ("prompt", "completion"),
        "instruction": ("instruction", "response"),
        "text": ("text",),
    }
    return frozenset(params[f"{name}_feature"] for name in names[layout])


def mix_of(view: View, path: str) -> Stage | None:
    """Return the stage that replays rows into those of a data folder, if one of the plan does."""
    makers, _ = _up(view.maker, path, lambda one: _rows_of(one, view.tool_of(one)))
    return next((maker for maker in makers if replays(view.tool_of(maker))), None)


def replays(tool: Tool | None) -> bool:
    """Return whether a tool mixes rows of another data set into those of a first."""
    output = _data_output(tool)
    return output is not None and output.replay is not None


@lru_cache(maxsize=8)  # many rules ask it of one stage
def data_parameter(view: View) -> str | None:
    """Return the parameter that names the folder of a stage's rows, None if none does."""
    if dataset_of(view.stage, view.tool):
        return None
    params = view.params
    names = (one.name for one in view.tool.inputs if one.input_kind(params) == "data")
    return next((name for name in names if params[name]), None)


def data_of(view: View) -> DataSet | None:
    """Return the data set that a stage trains or tests on, None if it is not known."""
    name = data_parameter(view)
    return data_at(view, view.params[name]) if name else None


def beneath(plan: Plan, path: str, catalog: Catalog) -> str:
    """Return the model from outside of the plan that a path is made of: it has its tokenizer."""
    names: set[str] = set()
    while (maker := plan.maker(path)) is not None and maker.name not in names:
        names.add(maker.name)
        path = _source(maker, catalog.get(maker.tool)) or path
    return path


def sensitivities_stage(view: View, path: str | None) -> Stage | None:
    """Return the earlier stage of mlx_lm.dynamic_quant that leaves this file of sensitivities.

    mlx-lm puts it into the working directory, named after the model; no parameter says where.
    """
    if not path or not path.endswith(_SENSITIVITIES):
        return None
    for stage in view.plan.stages[: view.plan.place(view.stage)]:
        tool = view.tool_of(stage)
        if tool is None or "sensitivities" not in tool.parameters:
            continue
        # A pinned model is a folder of the cache to mlx-lm, after which it calls the file.
        own = stage.params["sensitivities"] is None and not stage.pins
        if own and normal(str(path)) == _sensitivities(stage.params["model"]):
            return stage
    return None


def _sensitivities(model: str) -> str:
    return f"{model.replace('/', '_')}{_SENSITIVITIES}"


def layout(data: DataSet, split: str, params: Mapping[str, Any]) -> str:
    """Return the format mlx-lm reads a split in, by its first row; "" if there is none."""
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
    match = _BITS.search(bare(path).rstrip("/").rpartition("/")[2])
    if not match:
        return None
    return int(match[1]) if match[1] else 4 if match[2] else 8


def _model_output(tool: Tool | None) -> Output | None:
    outputs = tool.outputs.values() if tool is not None else ()
    return next((one for one in outputs if one.of and one.makes in {"model", "file"}), None)


def _merges(maker: Stage, tool: Tool | None) -> bool:
    """Return whether a stage's model has an adapter in its weights, too."""
    inputs = tool.inputs if tool is not None else ()
    return any(one.input_kind(maker.params) == "adapter" for one in inputs)


def _model_after(below: ModelFacts, maker: Stage, tool: Tool | None) -> ModelFacts:
    """Return what is known of a model that is made of another, by the `precision` of its tool."""
    output, params = _model_output(tool), maker.params
    rule = output.precision if output else {}
    if "dtype" in rule:
        below = replace(below, dtype=params[rule["dtype"]] or below.dtype)
    if "none" in rule and applies({"when": rule["none"]}, params):
        return replace(below, quantized_bits=None)
    if "bits" not in rule or not applies(rule, params):
        return below
    if rule.get("once") and below.quantized_bits:  # (T85)
        return below
    bits = _bits(rule, params)
    return replace(below, quantized_bits=bits, because=f"stage '{maker.name}' quantizes it")


def _bits(rule: Mapping[str, Any], params: Mapping[str, Any]) -> int:
    """Return the bits that are asked for; of a mixture those that DoRA cannot take, if any."""
    mixture = params[rule["mixture"]] if "mixture" in rule else None
    if mixture:
        mixed = [int(word) for word in mixture.split("_") if word.isdigit()]
        return next((bits for bits in mixed if bits in UNEVEN), mixed[0])
    return int(params[rule["bits"]] or MODES[params[rule["mode"]]][1])


def _source(maker: Stage, tool: Tool | None) -> str | None:
    """Return the model that a stage makes its own of, None if it makes none."""
    output = _model_output(tool)
    names = output.of if output else ()
    return next((maker.params[name] for name in names if maker.params[name]), None)
