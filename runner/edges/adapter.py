"""An adapter's files -> what the rules are told of it: its configuration, and what its tensors say.

The tensors are believed where both speak. Nothing raises.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner.core.problem import listing
from runner.core.rules import Adapter
from runner.edges import disk
from runner.edges.header import HeaderError, tensors

Json = dict[str, Any]
_LOW = (".lora_a", ".lora_b")
_MATRIX = 2


@dataclass(frozen=True, slots=True)
class Shape:
    """What an adapter's tensors say: type, rank, adapted modules by their full path.

    The type is "none" where there are tensors, and none of an adapter; "" where there is no tensor.
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
        """The numbers of the blocks they stand in."""
        found = (_block(name) for name in self.modules)
        return frozenset(number for number in found if number is not None)


def read_adapter(path: str) -> Adapter | None:
    """Return the adapter of a folder, or of the folder a safetensors file lies in."""
    place = Path(path)
    folder = place if disk.is_folder(place) else place.parent
    file = folder / "adapters.safetensors" if place == folder else place
    try:
        shape = _shape({name: entry["shape"] for name, entry in tensors(file).items()})
    except (OSError, HeaderError):
        shape = Shape("", None, ())
    config = disk.read_json(folder / "adapter_config.json")
    if config is None:
        return _alone(path, shape)
    try:
        found = _adapter(path, config)
        newer = (folder / "adapter_config.json").stat().st_mtime - file.stat().st_mtime
    except (AttributeError, KeyError, OSError, TypeError, ValueError):
        return None
    if not shape.kind:
        return found
    rank = shape.rank if found.rank is not None and shape.rank is not None else found.rank
    said = next(_disagreements(found, shape), "")
    return replace(found, rank=rank, newer=newer, disagrees=said)


def _alone(path: str, shape: Shape) -> Adapter | None:
    """Return what tensors without a configuration are."""
    source = f"'{path}'"
    if shape.kind == "none":
        return Adapter("none", None, None, None, 0, None, source)
    if not shape.kind:
        return None
    keys, count = tuple(sorted(shape.keys)), len(shape.blocks)
    return Adapter(shape.kind, shape.rank, None, keys, count, None, source, bare=True)


def _disagreements(said: Adapter, shape: Shape) -> Iterator[str]:
    """Yield what the configuration says and the tensors do not."""
    beside = "in adapter_config.json"
    if said.fine_tune_type == "full":
        if shape.kind != "none":
            yield f"the type {shape.kind} in its weights and full {beside}"
        return
    if said.fine_tune_type != shape.kind:
        found = "no adapter" if shape.kind == "none" else f"the type {shape.kind}"
        yield f"{found} in its weights and {said.fine_tune_type} {beside}"
    if said.rank != shape.rank:
        yield f"rank {shape.rank} in its weights and {said.rank} {beside}"
    known = set(said.keys or ())
    more = {_inside(name) for name in shape.modules if not {name, _inside(name)} & known}
    if said.keys is not None and more:
        yield f"{listing(sorted(more), 3)} in its weights and not {beside}"


def _adapter(path: str, config: Json) -> Adapter:
    """Return an adapter as its configuration says; raises where that is not one of mlx-lm's."""
    kind = str(config.get("fine_tune_type", "lora"))
    shape = config.get("lora_parameters") or {}
    keys = shape.get("keys")
    number = config.get("num_layers")
    return Adapter(
        kind,
        None if kind == "full" else int(shape["rank"]),
        None if kind == "full" else float(shape["scale"]),
        None if keys is None else tuple(map(str, keys)),
        int(-1 if number is None else number),
        config.get("model"),
        f"'{path}'",
        config.get("seed"),
        config.get("data"),
    )


def _shape(shapes: Mapping[str, list[int]]) -> Shape:
    """Return what tensors are, by their names and shapes."""
    modules = sorted({name.rpartition(".")[0] for name in shapes if name.endswith(_LOW)})
    if not modules:
        return Shape("none" if shapes else "", None, ())
    kind = "dora" if any(f"{name}.m" in shapes for name in modules) else "lora"
    return Shape(kind, _rank(shapes), tuple(modules))


def _rank(shapes: Mapping[str, list[int]]) -> int | None:
    """Return the rank of lora tensors: lora_b is (r, out), and (n, out, r) of experts."""
    for name, shape in sorted(shapes.items()):
        if name.endswith(".lora_b") and shape:
            return shape[0] if len(shape) == _MATRIX else shape[-1]
    return None


def _inside(module: str) -> str:
    """Return a module's path inside its block; one outside of the blocks keeps its own."""
    words = module.split(".")
    at = next((i for i, word in enumerate(words) if word.isdigit()), None)
    return module if at is None else ".".join(words[at + 1 :])


def _block(module: str) -> int | None:
    return next((int(word) for word in module.split(".") if word.isdigit()), None)
