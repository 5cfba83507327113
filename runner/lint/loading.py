"""The JSON files of an adapter or a model -> why mlx-lm could not load it, field by field.

Every field that mlx_lm.tuner.utils.load_adapters and mlx_lm.utils.load_model read is checked as
they read it; fields that they do not read are never a problem.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeGuard

from msgspec import Struct

from runner.base.problems import as_yaml, listing

Json = Mapping[str, Any]
_KINDS = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
PEFT = "it is a PEFT adapter, which mlx-lm cannot read"
_MERGE = "merge it with PEFT (merge_and_unload) and save the model, which mlx_lm.convert can read"


class Fault(Struct, frozen=True, kw_only=True):
    """Why mlx-lm could not load something, as a clause, and how to fix it."""

    why: str
    hint: str = ""


def adapter_kind(config: Json) -> str:
    """Return the type load_adapters takes an adapter for: all that is not full or dora is lora."""
    kind = config.get("fine_tune_type", "lora")
    return kind if kind in ("full", "dora") else "lora"


def adapter_faults(config: Json) -> Iterator[Fault]:
    """Yield what keeps mlx-lm from loading an adapter of this adapter_config.json."""
    if adapter_kind(config) == "full":
        return
    if "peft_type" in config and "lora_parameters" not in config:
        yield Fault(why=PEFT, hint=_MERGE)
        return
    yield from layers_faults(config)
    shape = config.get("lora_parameters")
    if not isinstance(shape, dict):
        yield _odd("lora_parameters", config, "an object of rank, scale and dropout")
        return
    yield from scale_faults(shape)
    yield from rank_faults(shape)
    dropout = shape.get("dropout")
    if not _is_number(dropout):
        yield _odd("dropout", shape, "a number from 0 to below 1")
    elif not 0 <= dropout < 1:
        yield Fault(why=f"dropout is {as_yaml(dropout)}, not from 0 to below 1", hint="correct it")
    yield from keys_faults(shape)


def layers_faults(config: Json) -> Iterator[Fault]:
    """Yield what is wrong with the number of layers."""
    number = config.get("num_layers")
    if "num_layers" not in config and "lora_layers" in config:
        why = "num_layers is missing: lora_layers, its name before release 0.19, is not read"
        yield Fault(why=why, hint="rename lora_layers to num_layers")
    elif not isinstance(number, int):
        yield _odd("num_layers", config, "a whole number")


def scale_faults(shape: Json) -> Iterator[Fault]:
    """Yield what is wrong with the scale, which has no default (T14)."""
    scale = shape.get("scale")
    if "scale" not in shape and "alpha" in shape:
        why = "scale is missing: alpha is not read"
        yield Fault(why=why, hint="write scale: for a PEFT adapter it is alpha / rank")
    elif not _is_number(scale):
        yield _odd("scale", shape, "a number")
    elif not math.isfinite(scale):
        yield Fault(
            why=f"scale is {as_yaml(scale)}, which leaves no finite weights", hint="correct it"
        )


def rank_faults(shape: Json) -> Iterator[Fault]:
    """Yield what is wrong with the rank."""
    rank = shape.get("rank")
    if not isinstance(rank, int):
        more = ": r is not read" if "rank" not in shape and "r" in shape else ""
        yield _odd("rank", shape, "a whole number", more)
    elif rank < 1:
        yield Fault(why=f"rank is {rank}, but must be at least 1", hint="correct it")


def keys_faults(shape: Json) -> Iterator[Fault]:
    """Yield what is wrong with the keys: null, which is every module, or a list of names (T43)."""
    keys = shape.get("keys")
    if keys is not None and not (isinstance(keys, list) and all(isinstance(k, str) for k in keys)):
        yield _odd("keys", shape, "null or a list of modules")


def _odd(name: str, holder: Json, expected: str, more: str = "") -> Fault:
    """Return the fault of a field that is not there, or not what mlx-lm takes."""
    hint = f"write {name} as {expected}"
    if name not in holder:
        return Fault(why=f"{name} is missing{more}", hint=hint)
    value = holder[name]
    actual = _KINDS.get(type(value)) or as_yaml(value)
    return Fault(why=f"{name} is {actual}, not {expected}", hint=hint)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float)


# --- a model


def model_faults(config: Json) -> Iterator[Fault]:
    """Yield what keeps mlx-lm from building a model of this config.json, whatever its type is."""
    if not isinstance(config.get("model_type"), str):
        yield _odd("model_type", config, "a model type that mlx-lm supports")
    quantization = config.get("quantization")
    if quantization is not None:
        yield from _quantization_faults(quantization)
        return
    inner = config.get("text_config")
    older = config.get("quantization_config")
    if older is None and isinstance(inner, dict):
        older = inner.get("quantization_config")
    if older and not (isinstance(older, dict) and "quant_method" in older):
        why = "quantization_config has no quant_method"
        yield Fault(
            why=why, hint="write quantization as {group_size: …, bits: …}, or convert it again"
        )


def _quantization_faults(quantization: object) -> Iterator[Fault]:
    if not isinstance(quantization, dict):
        actual = _KINDS.get(type(quantization)) or as_yaml(quantization)
        yield Fault(why=f"quantization is {actual}, not an object", hint="convert it again")
        return
    for name in ("group_size", "bits"):
        if name not in quantization:  # their values are counted off the shapes
            yield _odd(name, quantization, "a whole number")


def argument_faults(config: Json, arguments: Mapping[str, tuple[str, bool]]) -> Iterator[Fault]:
    """Yield what a model's class would not accept: `arguments` are annotations and requirements.

    Only plain annotations are checked; a model's class converts others in its own way.
    """
    for name, (annotation, needed) in arguments.items():
        value = config.get(name)
        if name not in config:
            if needed:
                yield Fault(
                    why=f"{name} is missing", hint=f"write {name}, or download the model again"
                )
        elif annotation in _PLAIN and value is not None:
            types, expected = _PLAIN[annotation]
            if not isinstance(value, types):
                yield _odd(name, config, expected)


_PLAIN: Mapping[str, tuple[tuple[type, ...], str]] = {
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
}


def default_template(config: Json, names: Collection[str]) -> tuple[bool | None, str]:
    """Return whether a tokenizer has a chat template that is taken unasked, and why where not.

    `config` is its tokenizer_config.json, `names` are the templates in files of their own, which
    take the place of those in it. None where code that comes with the tokenizer decides.
    """
    template = config.get("chat_template")
    if not names and isinstance(template, str):
        return bool(template), "" if template else "its chat template is empty"
    if not names and isinstance(template, list):
        names = [one.get("name", "") for one in template if isinstance(one, dict)]
    elif not names and isinstance(template, dict):
        names = list(template)
    if "default" in names or config.get("chat_template_type"):
        return True, ""
    if names:
        return False, f"none of its chat templates is the default: {listing(sorted(names), 4)}"
    return (None, "") if "auto_map" in config else (False, "the model has no chat template")
