"""The files a plan names, as values for the rules: adapters, data sets, models; nothing raises."""

import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from runner.core.document import RUN_DIR
from runner.core.plan import Plan, Stage
from runner.core.rules import Adapter, DataSet, Known, ModelFacts
from runner.core.trainer import watched
from runner.edges import disk, probe

Json = dict[str, Any]
PACKAGES = ("mlx-lm", "huggingface-hub")
SPLITS = ("train", "valid", "test")
MAX_HEADER = 200_000_000
# Model types whose weights mlx-lm calls as the hub does; others are renamed when they are loaded.
SAME_NAMES = frozenset({"llama", "mistral", "olmo2", "qwen2", "qwen3", "gemma3_text"})
_LAYERS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers")
_DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}


def look(plan: Plan, hub: Path | None = None) -> Known:
    """Return what is on disk of the paths a plan names; `hub` is the hub's cache of models."""
    adapters: dict[str, Adapter] = {}
    data: dict[str, DataSet] = {}
    models: dict[str, ModelFacts] = {}
    absent: set[str] = set()
    occupied: set[str] = set()
    for stage in plan.stages:
        for kind, path in reads(stage):
            folder = folder_of(path, hub) if kind == "model" else Path(path)
            if not _there(path):
                absent.add(path)
            if kind in {"adapter", "file"} and (adapter := read_adapter(path)):
                adapters[path] = adapter
            elif kind == "data" and path not in data and (rows := read_data(path)):
                data[path] = rows
            elif kind == "model" and folder and path not in models:
                facts = read_model(path, folder)
                models |= {path: facts} if facts else {}
        occupied |= {path for path in _writes(stage) if _filled(path)}
    packages = {name: version for name in PACKAGES if (version := probe.installed(name))}
    return Known(adapters, data, models, frozenset(absent), frozenset(occupied), packages)


def hub_cache(environ: dict[str, str]) -> Path:
    """Return the folder the hub's own library keeps models in."""
    home = environ.get("HF_HOME") or str(Path(environ.get("HOME", ".")) / ".cache" / "huggingface")
    return Path(environ.get("HF_HUB_CACHE") or Path(home) / "hub")


def folder_of(model: str, hub: Path | None) -> Path | None:
    """Return the folder of a model on this disk, or in the hub's cache; None for neither."""
    return Path(model) if _there(model) else _cached(model, hub)


def reads(stage: Stage, *, inside: bool = False) -> Iterator[tuple[str, str]]:
    """Yield the paths a stage reads: kind, path; those `inside` the run only where asked for."""
    tool = disk.catalog().get(stage.tool)
    for name, parameter in (tool.parameters if tool else {}).items():
        kind = parameter.input_kind(stage.params)
        value = stage.params[name]
        for path in value if isinstance(value, list) else [value]:
            if not kind or kind == "hub" or not isinstance(path, str) or not path:
                continue
            if inside or RUN_DIR not in path:
                yield kind, path
    data = watched(stage.trainer)
    if data and (inside or RUN_DIR not in data):
        yield "data", data


def read_adapter(path: str) -> Adapter | None:
    """Return the adapter of a folder, or of the folder a safetensors file lies in."""
    place = Path(path)
    folder = place if _is_folder(place) else place.parent
    file = folder / "adapters.safetensors" if place == folder else place
    shapes = {name: entry["shape"] for name, entry in tensors(file).items()}
    config = disk.read_json(folder / "adapter_config.json")
    low = {name: shape for name, shape in shapes.items() if name.endswith((".lora_a", ".lora_b"))}
    if config is None:
        unknown = Adapter("none", None, None, None, 0, None, f"'{path}'")
        return unknown if shapes and not low else None
    try:
        newer = (folder / "adapter_config.json").stat().st_mtime - file.stat().st_mtime
        return replace(_adapter(path, config, _rank(low)), newer=newer if shapes else 0.0)
    except (AttributeError, KeyError, OSError, TypeError, ValueError):
        return None


def read_data(path: str) -> DataSet | None:
    """Return rows and the first row's keys of each split of a data folder."""
    folder = Path(path)
    if not _is_folder(folder):
        return None
    rows: dict[str, int] = {}
    keys: dict[str, frozenset[str]] = {}
    sizes: dict[str, int] = {}
    for split in SPLITS:
        counted = _count(folder / f"{split}.jsonl")
        if counted is not None:
            rows[split], sizes[split], first = counted
            if first is not None:
                keys[split] = first
    others = sorted(file.name for file in folder.glob("*.jsonl") if file.stem not in SPLITS)
    return DataSet(path, rows, keys, tuple(others), sizes)


def read_model(path: str, folder: Path) -> ModelFacts | None:
    """Return what a model folder's config.json, tokenizer and weight files say."""
    config = disk.read_json(folder / "config.json")
    if config is None:
        return None
    inner = config.get("text_config")
    parts = [config, inner if isinstance(inner, dict) else {}]
    kind = str(config.get("model_type", ""))
    said = (part.get(name) for part in parts for name in _LAYERS)
    layers = next((number for number in said if isinstance(number, int)), None)
    weights, dtype = _weights(folder, kind)
    return ModelFacts(path, kind, layers, _bits(config), dtype, _template(folder), weights)


def header(file: Path) -> dict[str, Json] | None:
    """Return a safetensors header: an 8-byte length, then JSON; None if it is none.

    It holds a shape and a dtype by tensor name, and a mapping of texts as ``__metadata__``.
    """
    try:
        with file.open("rb") as stream:
            lead = stream.read(8)
            length = struct.unpack("<Q", lead)[0]
            if length > min(MAX_HEADER, file.stat().st_size):
                return None
            said = json.loads(stream.read(length))
    except (OSError, ValueError, struct.error, RecursionError):
        return None
    good = isinstance(said, dict) and all(
        isinstance(entry, dict) and (name == "__metadata__" or isinstance(entry.get("shape"), list))
        for name, entry in said.items()
    )
    return said if good else None


def tensors(file: Path) -> dict[str, Json]:
    """Return the shape and the dtype of every tensor of a safetensors file, by name."""
    return {name: one for name, one in (header(file) or {}).items() if name != "__metadata__"}


def _adapter(path: str, config: Json, rank: int | None) -> Adapter:
    """Return an adapter as its configuration says; raises where that is not one of mlx-lm's."""
    kind = config.get("fine_tune_type", "lora")
    shape = config.get("lora_parameters") or {}
    keys = shape.get("keys")
    said = None if kind == "full" else int(shape["rank"])
    number = config.get("num_layers")
    return Adapter(
        str(kind),
        said if rank is None or said is None else rank,
        None if kind == "full" else float(shape["scale"]),
        None if keys is None else tuple(map(str, keys)),
        int(-1 if number is None else number),
        config.get("model"),
        f"'{path}'",
        config.get("seed"),
        config.get("data"),
        said if rank is not None and said is not None and rank != said else None,
    )


def _rank(low: dict[str, list[int]]) -> int | None:
    """Return the rank of lora tensors: lora_b is (r, out), and (n, out, r) of experts."""
    for name, shape in sorted(low.items()):
        if name.endswith(".lora_b") and shape:
            return shape[0] if len(shape) == 2 else shape[-1]  # noqa: PLR2004
    return None


def _count(file: Path) -> tuple[int, int, frozenset[str] | None] | None:
    """Return a file's rows, its bytes, the keys of its first row; None where there is no file."""
    rows, size, first = 0, 0, b""
    try:
        with file.open("rb") as stream:
            for line in stream:
                first = first or line
                rows += 1
                size += len(line)
    except OSError:
        return None
    try:
        row = json.loads(first)
    except (ValueError, RecursionError):
        return rows, size, None
    return rows, size, frozenset(row) if isinstance(row, dict) else None


def _bits(config: Json) -> int | None:
    """Return the bits of a quantized model; what mlx-lm unpacks while it loads is not quantized."""
    for name in ("quantization", "quantization_config"):
        said = config.get(name)
        if isinstance(said, dict):
            bits = 4 if said.get("quant_method") == "mxfp4" else said.get("bits")
            return bits if isinstance(bits, int) else None
    return None


def _weights(folder: Path, kind: str) -> tuple[dict[str, tuple[int, ...]], str | None]:
    """Return a model's modules with their shapes as mlx-lm calls them, and its type of weights."""
    found: dict[str, tuple[int, ...]] = {}
    types: list[str] = []
    own = kind in SAME_NAMES
    for file in sorted(folder.glob("model*.safetensors")):
        said = header(file) or {}
        own = own or said.pop("__metadata__", {}).get("format") == "mlx"
        for name, entry in tensors(file).items():
            types.append(str(entry.get("dtype")))
            if name.endswith(".weight"):
                found[name.removesuffix(".weight")] = tuple(entry["shape"])
    common = max(sorted(set(types)), key=types.count, default="")
    return found if own else {}, _DTYPES.get(common)


def _template(folder: Path) -> bool | None:
    """Say whether a model has a chat template, None where it has no tokenizer to say so."""
    config = disk.read_json(folder / "tokenizer_config.json")
    files = ("chat_template.jinja", "chat_template.json", "additional_chat_templates")
    if any((folder / name).exists() for name in files):
        return True
    if config is None or "auto_map" in config:
        return None
    return bool(config.get("chat_template") or config.get("chat_template_type"))


def _cached(name: str, hub: Path | None) -> Path | None:
    """Return the folder of a hub model in the hub's cache, None where it is not there."""
    if hub is None or name.startswith((".", "/", "~")):
        return None
    repository = hub / f"models--{name.replace('/', '--')}"
    try:
        revision = (repository / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    return repository / "snapshots" / revision


def _writes(stage: Stage) -> Iterator[str]:
    """Yield the paths a stage can write that the recipe names."""
    tool = disk.catalog().get(stage.tool)
    for output in tool.outputs.values() if tool else ():
        value = stage.params.get(output.param) if output.param else None
        if isinstance(value, str) and value and RUN_DIR not in value:
            yield value


def _there(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _filled(path: str) -> bool:
    """Say whether there is a file, or a folder with something in it."""
    try:
        return Path(path).is_file() or any(Path(path).iterdir())
    except (OSError, ValueError):
        return False
