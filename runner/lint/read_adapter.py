"""An adapter's files -> the facts for the rules: its configuration, and its tensors.

If both disagree, the tensors count. Nothing raises: what cannot be loaded is a fact, too.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from runner.base.problems import listing
from runner.lint.facts import Adapter
from runner.lint.loading import PEFT, Fault, adapter_faults, adapter_kind, keys_faults, scale_faults
from runner.lint.safetensors import HeaderError, tensors
from runner.system import files, reader

Json = dict[str, Any]
CONFIG, WEIGHTS = "adapter_config.json", "adapters.safetensors"
_LOW = (".lora_a", ".lora_b")
_MATRIX = 2
_DIGITS = 10
_AGAIN = "train it again, or name another adapter"
_COPY = (
    "copy a checkpoint to its own folder, as adapters.safetensors next to its adapter_config.json"
)


class Shape(Struct, frozen=True, kw_only=True):
    """What an adapter's tensors say: type, rank, adapted modules by their full path.

    The type is "none" if there are tensors, and none of an adapter; "" if there is no tensor.
    """

    kind: str
    rank: int | None
    modules: tuple[str, ...]

    @property
    def keys(self) -> frozenset[str]:
        """The modules as mlx-lm's keys name them: inside a block."""
        return frozenset(map(_inside, self.modules))

    @property
    def blocks(self) -> frozenset[int]:
        """The numbers of the blocks they are in."""
        numbers = (_block(name) for name in self.modules)
        return frozenset(number for number in numbers if number is not None)


def read_adapter(path: str) -> Adapter | None:
    """Return the adapter of a folder, or of the folder a safetensors file lies in.

    None if there is neither, or where a file alone is no safetensors file by its name.
    """
    place = Path(path)
    if files.is_folder(place):
        return _of_folder(path, place)
    if not path.endswith(".safetensors") or not files.is_there(place):
        return None
    return _of_file(path, place)


def _of_folder(path: str, folder: Path) -> Adapter:
    """Return the adapter that mlx-lm's load_adapters would read."""
    shape, torn = _shape_of(folder / WEIGHTS)
    config, unread = _configuration(folder / CONFIG)
    fields = next(adapter_faults(config), None) if config is not None else None
    adapter = _facts(path, config or {}, shape)
    if torn and not files.is_there(folder / WEIGHTS):
        torn = Fault(
            why=f"it has no {WEIGHTS}", hint=_COPY if any(folder.glob("*_" + WEIGHTS)) else _AGAIN
        )
    fault = unread or _in_config(fields) or torn
    if fault is not None:
        return replace(adapter, unloadable=fault.why, way_out=fault.hint)
    disagreement = next(_disagreements(config or {}, shape), "")
    return replace(adapter, newer=_newer(folder / CONFIG, folder / WEIGHTS), disagrees=disagreement)


def _of_file(path: str, file: Path) -> Adapter:
    """Return the adapter whose weights mlx-lm would resume; only they are read then."""
    shape, torn = _shape_of(file)
    config, unread = _configuration(file.parent / CONFIG)
    adapter = _facts(path, config or {}, shape)
    if torn is not None:
        return replace(adapter, unloadable=torn.why, way_out=torn.hint)
    if shape.kind == "none" and adapter_kind(config or {}) != "full":
        return replace(adapter, fine_tune_type="none")
    if config is None:
        return replace(adapter, unscaled=unread.why if unread else "")
    wrong = _in_config(next(_scale_faults(config), None))
    disagreement = next(_disagreements(config, shape), "")
    newer = _newer(file.parent / CONFIG, file)
    return replace(
        adapter, newer=newer, disagrees=disagreement, unscaled=wrong.why if wrong else ""
    )


def _scale_faults(config: Json) -> Iterator[Fault]:
    shape = config.get("lora_parameters")
    if adapter_kind(config) != "full":
        yield from scale_faults(shape if isinstance(shape, dict) else {})


def _in_config(fault: Fault | None) -> Fault | None:
    """Return the fault of a field with the file it is in."""
    if fault is None:
        return None
    if fault.why == PEFT:
        return fault
    return Fault(why=f"in its {CONFIG}, {fault.why}", hint=f"{fault.hint} in {CONFIG}")


def _configuration(file: Path) -> tuple[Json | None, Fault | None]:
    """Return an adapter's configuration, or why it is not known."""
    try:
        return reader.read_object(file, reader.CONFIG), None
    except FileNotFoundError:
        return None, Fault(
            why=f"it has no {CONFIG}", hint=f"put the {CONFIG} of its training next to it"
        )
    except (OSError, reader.NotJsonError) as error:
        return None, Fault(
            why=f"its {CONFIG} cannot be read: {reader.reason(error)}", hint=f"fix {CONFIG}"
        )


def _shape_of(file: Path) -> tuple[Shape, Fault | None]:
    """Return what an adapter's tensors are, or why they are not known."""
    try:
        shape = _shape({name: entry["shape"] for name, entry in tensors(file).items()})
    except (OSError, HeaderError) as error:
        why = f"{file.name} cannot be read: {reader.reason(error)}"
        return Shape(kind="", rank=None, modules=()), Fault(why=why, hint=_AGAIN)
    return shape, None if shape.kind else Fault(why=f"{file.name} contains no tensors", hint=_AGAIN)


def _newer(config: Path, weights: Path) -> float:
    """Return by how many seconds a configuration is younger than its weights."""
    try:
        return config.stat().st_mtime - weights.stat().st_mtime
    except OSError:
        return 0.0


def _disagreements(config: Json, shape: Shape) -> Iterator[str]:
    """Yield what the configuration says and the tensors do not."""
    beside = f"in {CONFIG}"
    kind = adapter_kind(config)
    if kind == "full":
        if shape.kind != "none":
            yield f"the type {shape.kind} in its weights and full {beside}"
        return
    if kind != shape.kind:
        actual = "no adapter" if shape.kind == "none" else f"the type {shape.kind}"
        yield f"{actual} in its weights and {kind} {beside}"
    lora = config.get("lora_parameters")
    lora = lora if isinstance(lora, dict) else {}
    if isinstance(lora.get("rank"), int) and lora["rank"] != shape.rank:
        yield f"rank {shape.rank} in its weights and {lora['rank']} {beside}"
    number, blocks = config.get("num_layers"), shape.blocks
    keys = set(lora["keys"]) if lora.get("keys") and not any(keys_faults(lora)) else set()
    rooted = keys & set(shape.modules)  # those are trained besides num_layers (T43)
    if isinstance(number, int) and 0 < number < len(blocks) and not rooted:
        yield f"{len(blocks)} layers in its weights and {number} {beside}"
    more = {_inside(name) for name in shape.modules if not {name, _inside(name)} & keys}
    if more and lora.get("keys") is not None and not any(keys_faults(lora)):
        yield f"{listing(sorted(more), 3)} in its weights and not {beside}"


def _facts(path: str, config: Json, shape: Shape) -> Adapter:
    """Return an adapter as its tensors say, and its configuration where they say nothing."""
    kind = adapter_kind(config) if config else shape.kind or "none"
    lora = config.get("lora_parameters")
    lora = lora if isinstance(lora, dict) else {}
    keyed = bool(lora) and not any(keys_faults(lora))
    keys = sorted(shape.keys) if shape.modules or not keyed else lora.get("keys")
    full = kind == "full"
    return Adapter(
        fine_tune_type=kind,
        rank=None if full else shape.rank or _of_type(lora.get("rank"), int),
        scale=None if full or any(scale_faults(lora)) else float(lora["scale"]),
        keys=None if full or keys is None else tuple(keys),
        num_layers=_layers(config, shape),
        base=_of_type(config.get("model"), str),
        source=f"'{path}'",
        seed=_of_type(config.get("seed"), int),
        data=_of_type(config.get("data"), str),
        bare=not full and not keyed,
        whole=not full and keyed and lora.get("keys") is None,
    )


def _layers(config: Json, shape: Shape) -> int:
    """Return how many layers were trained: more than there are tensors of were not there."""
    number, blocks = config.get("num_layers"), len(shape.blocks)
    if not isinstance(number, int):
        return blocks
    return min(number, blocks) if blocks else number


def _of_type(value: Any, kind: type) -> Any:
    return value if isinstance(value, kind) else None


def _shape(shapes: Mapping[str, list[int]]) -> Shape:
    """Return what tensors are, by their names and shapes."""
    modules = sorted({name.rpartition(".")[0] for name in shapes if name.endswith(_LOW)})
    if not modules:
        return Shape(kind="none" if shapes else "", rank=None, modules=())
    kind = "dora" if any(f"{name}.m" in shapes for name in modules) else "lora"
    return Shape(kind=kind, rank=_rank(shapes), modules=tuple(modules))


def _rank(shapes: Mapping[str, list[int]]) -> int | None:
    """Return the rank of lora tensors: lora_b is (r, out), and (n, out, r) of experts."""
    for name, shape in sorted(shapes.items()):
        if name.endswith(".lora_b") and shape:
            return shape[0] if len(shape) == _MATRIX else shape[-1]
    return None


def _inside(module: str) -> str:
    """Return a module's path inside its block; one outside of the blocks keeps its own."""
    words = module.split(".")
    at = next((i for i, word in enumerate(words) if _is_number(word)), None)
    return module if at is None else ".".join(words[at + 1 :])


def _block(module: str) -> int | None:
    return next((int(word) for word in module.split(".") if _is_number(word)), None)


def _is_number(word: str) -> bool:
    """Return whether a word is the number of a block; a file may hold any names."""
    return word.isdecimal() and len(word) < _DIGITS
