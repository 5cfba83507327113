"""A model's folder -> the facts for the rules: configuration, weights, tokenizer.

Nothing raises: what mlx-lm could not load is a fact, too.
"""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from runner.base.patterns import pattern
from runner.lint.facts import ModelFacts
from runner.lint.loading import Fault, argument_faults, default_template, model_faults
from runner.lint.safetensors import METADATA, HeaderError, header
from runner.system import files as disk
from runner.system import reader

Json = dict[str, Any]
CONFIG, INDEX = "config.json", "model.safetensors.index.json"
# Model types whose weights mlx-lm calls as the hub does; others are renamed when they are loaded.
SAME_NAMES = frozenset({"llama", "mistral", "olmo2", "qwen2", "qwen3", "gemma3_text"})
_LAYERS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers")
_DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}
_AGAIN = "download or convert it again"
_TYPE = pattern(r"[a-zA-Z0-9_]{1,64}")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json")


def read_model(path: str, folder: Path) -> ModelFacts | None:
    """Return what a model folder's config.json, tokenizer and weight files say.

    None if there is no configuration in a folder of the hub's cache: the rest is still to come.
    """
    local = disk.is_there(Path(path))
    try:
        config = reader.read_object(folder / CONFIG, reader.CONFIG)
    except (OSError, reader.NotJsonError) as error:
        if not local:
            return None
        fault = _unread(folder, error)
        return ModelFacts(path=path, unloadable=fault.why, way_out=fault.hint)
    kind = config.get("model_type")
    kind = kind if isinstance(kind, str) else ""
    inner = config.get("text_config")
    parts = [config, inner if isinstance(inner, dict) else {}]
    values = (part.get(name) for part in parts for name in _LAYERS)
    layers = next((number for number in values if isinstance(number, int)), None)
    weights, dtype = _weights(folder, kind)
    template, why = _template(folder)
    fault = next(_faults(folder, config), Fault(why="")) if local else Fault(why="")
    return ModelFacts(
        path=path,
        model_type=kind,
        layers=layers,
        quantized_bits=_bits(config),
        dtype=dtype,
        chat_template=template,
        weights=weights,
        unloadable=fault.why,
        way_out=fault.hint,
        no_template=why,
    )


def _unread(folder: Path, error: OSError | ValueError) -> Fault:
    """Return why a model has no configuration that could be read."""
    if isinstance(error, NotADirectoryError):
        return Fault(
            why="it is a file, but mlx-lm reads a folder", hint=f"write {folder.parent or '.'}"
        )
    if isinstance(error, FileNotFoundError):
        return Fault(why=f"it has no {CONFIG}", hint="name a model folder")
    return Fault(why=f"its {CONFIG} cannot be read: {reader.reason(error)}", hint=f"fix {CONFIG}")


def _faults(folder: Path, config: Json) -> Iterator[Fault]:
    """Yield what keeps mlx-lm from loading a model whose configuration can be read."""
    for fault in model_faults(config):
        yield Fault(why=f"in its {CONFIG}, {fault.why}", hint=f"{fault.hint} in {CONFIG}")
    if "model_file" not in config:
        yield from _type_faults(config, str(config.get("model_type")))
    yield from _weight_faults(folder)
    if not any(disk.is_there(folder / name) for name in _TOKENIZERS):
        yield Fault(why=f"it has no tokenizer: none of {', '.join(_TOKENIZERS)}", hint=_AGAIN)


def _type_faults(config: Json, kind: str) -> Iterator[Fault]:
    """Yield what the installed mlx-lm would not build of a model's type and its arguments."""
    if not _has_type(kind):
        why = f"the installed mlx-lm does not support model type {kind!r:.60}"
        yield Fault(why=why, hint="name another model")
    for fault in argument_faults(config, _arguments(kind)):
        yield Fault(why=f"in its {CONFIG}, {fault.why}", hint=f"{fault.hint} in {CONFIG}")


def _weight_faults(folder: Path) -> Iterator[Fault]:
    """Yield what is wrong with a model's weight files, of which mlx-lm reads all there are."""
    files = sorted(folder.glob("model*.safetensors"))
    if not files:
        yield Fault(why="it has no weights: mlx-lm reads model*.safetensors", hint=_AGAIN)
    for file in files:
        try:
            header(file)
        except (OSError, HeaderError) as error:
            yield Fault(why=f"{file.name} cannot be read: {reader.reason(error)}", hint=_AGAIN)
    try:
        index = reader.read_object(folder / INDEX, reader.CONFIG).get("weight_map")
    except (OSError, reader.NotJsonError):
        return  # mlx-lm reads the files, and not their index
    shards = index.values() if isinstance(index, dict) else ()
    missing = sorted({one for one in shards if isinstance(one, str)} - {one.name for one in files})
    if missing:
        yield Fault(why=f"it has no {missing[0]}, which its index lists", hint=_AGAIN)


@cache
def _source(name: str) -> ast.Module | None:
    """Return a module of the installed mlx-lm, which is not imported; None if there is none."""
    spec = find_spec("mlx_lm")
    if spec is None or spec.origin is None:
        return None
    try:
        return ast.parse(reader.read(Path(spec.origin).parent / name, reader.SCRIPT))
    except (OSError, SyntaxError, ValueError):
        return None


def _has_type(kind: str) -> bool:
    """Return whether the installed mlx-lm has a model type, itself or by another name for it."""
    utils = _source("utils.py")
    if utils is None:
        return True
    if not _TYPE.fullmatch(kind):
        return False
    return _source(f"models/{kind}.py") is not None or kind in [
        one.value for one in ast.walk(utils) if isinstance(one, ast.Constant)
    ]


@cache
def _arguments(kind: str) -> Mapping[str, tuple[str, bool]]:
    """Return the arguments of a model type in the installed mlx-lm, read off its source.

    Each with its annotation, and whether it has no default; empty where it is not known.
    """
    tree = _source(f"models/{kind}.py") if _TYPE.fullmatch(kind) else None
    if tree is None:
        return {}
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef))
    fields = next((node.body for node in classes if node.name == "ModelArgs"), [])
    return {
        ast.unparse(node.target): (ast.unparse(node.annotation), node.value is None)
        for node in fields
        if isinstance(node, ast.AnnAssign)
    }


def _bits(config: Json) -> int | None:
    """Return the bits of a quantized model; what mlx-lm unpacks while it loads is not quantized."""
    for name in ("quantization", "quantization_config"):
        value = config.get(name)
        if isinstance(value, dict):
            bits = 4 if value.get("quant_method") == "mxfp4" else value.get("bits")
            return bits if isinstance(bits, int) else None
    return None


def _weights(folder: Path, kind: str) -> tuple[dict[str, tuple[int, ...]], str | None]:
    """Return a model's modules with their shapes as mlx-lm calls them, and its type of weights."""
    shapes: dict[str, tuple[int, ...]] = {}
    types: list[str] = []
    own = kind in SAME_NAMES
    for file in sorted(folder.glob("model*.safetensors")):
        try:
            entries = header(file)
        except (OSError, HeaderError):
            continue
        about = entries.pop(METADATA, None) or {}
        own = own or about.get("format") == "mlx"
        for name, entry in entries.items():
            types.append(str(entry.get("dtype")))
            if name.endswith(".weight"):
                shapes[name.removesuffix(".weight")] = tuple(entry["shape"])
    common = max(sorted(set(types)), key=types.count, default="")
    return shapes if own else {}, _DTYPES.get(common)


def _template(folder: Path) -> tuple[bool | None, str]:
    """Return whether a model has a chat template that mlx-lm takes, and why where it has none.

    None where it has no tokenizer to say so.
    """
    names = {file.stem for file in (folder / "additional_chat_templates").glob("*.jinja")}
    if disk.is_there(folder / "chat_template.jinja"):
        names.add("default")
    try:
        config = reader.read_object(folder / "tokenizer_config.json", reader.CONFIG)
    except (OSError, reader.NotJsonError):
        return (True, "") if "default" in names else (None, "")
    there, why = default_template(config, names)
    if there is False and not names and disk.is_there(folder / "chat_template.json"):
        why = "only a processor reads its chat_template.json, and its tokenizer has no template"
    return there, why
