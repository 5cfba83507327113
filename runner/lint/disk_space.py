"""A stage -> what it will leave on the disk, where the shapes of its model are known."""

import math
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from runner.base.errors import UnfitError
from runner.base.formatting import size_of
from runner.catalog import load
from runner.catalog.tools import Catalog, Output
from runner.lint import read_facts
from runner.lint.facts import DiskFacts, ModelFacts
from runner.lint.lineage import adapter_of, blocks, model_at, outcome
from runner.lint.rule import View, adapter_output
from runner.plan.model import Plan, Stage, bind
from runner.system import hub, machine

GROUP_BITS = 32  # of scale and bias, which a group of weights shares
GROUP = 64
FLOAT32, HALF = 4, 2
_SAVED = 3  # a state to go on from: the weights and Adam's two moments
_BYTES = {"float32": FLOAT32, "bfloat16": HALF, "float16": HALF}
_PAIR = 2


class Need(Struct, frozen=True, kw_only=True):
    """What one stage writes: its largest output, bytes, and the arithmetic."""

    stage: str
    output: str
    size: int
    arithmetic: str

    def __str__(self) -> str:
        return f"{self.stage} writes {self.arithmetic}"


def need(view: View) -> Need | None:
    """Return what a stage will write; None where that is not known."""
    stage = view.stage
    output = next(iter(stage.outputs.values()), None)
    if output is None:
        return None
    training, adapter = view.training, adapter_output(stage, view.tool)
    if training is not None:
        every = training.checkpoints or training.iterations
        one, many = _checkpoint_bytes(view, adapter), training.iterations // max(1, every) + 1
        saved = f" and a state of {size_of(_SAVED * one)}" if stage.continues else ""
        arithmetic = f"{many} x {size_of(one)} of weights{saved}"
        size = one * (many + (_SAVED if stage.continues else 0))
        return (
            Need(stage=stage.name, output=output, size=size, arithmetic=arithmetic) if one else None
        )
    size = _model(outcome(view))
    return (
        Need(stage=stage.name, output=output, size=size, arithmetic=f"a model of {size_of(size)}")
        if size
        else None
    )


def _checkpoint_bytes(view: View, output: Output | None) -> int:
    """Return the bytes of an adapter's weights, 0 if its tool does not say its shape."""
    adapter = adapter_of(view.stage, view.tool, output) if output and output.shape else None
    if adapter is None or adapter.base is None:
        return 0
    facts = model_at(view, adapter.base)
    inside = blocks(facts)
    count = adapter.num_layers if adapter.num_layers > 0 else facts.layers
    if not inside or not count:
        return 0
    count = min(count, facts.layers or count)
    if adapter.fine_tune_type == "full":
        return count * sum(map(math.prod, inside.values())) * _BYTES.get(str(facts.dtype), HALF)
    shapes = _lora_shapes(inside, adapter.keys)
    return count * sum(_pair(shape, adapter.rank or 0) for shape in shapes) * FLOAT32


def _lora_shapes(
    inside: Mapping[str, tuple[int, ...]], keys: Collection[str] | None
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


# Beyond this share of what is free, a guess that is a little off fills the disk.
NEAR = 0.8


def look(plan: Plan, stages: Collection[str], folder: Path) -> list[str]:
    """Return warnings of disks that will be nearly full.

    Raises UnfitError if one would be full, and where what a stage reads or writes is not ours.
    """
    selection = [stage for stage in plan.stages if stage.name in stages]
    catalog = load.catalog(plan.tools)
    for stage in selection:
        _require_access(stage, folder, catalog)
    disks: dict[int, list[tuple[Need, Path]]] = {}
    for need in _needs(plan, selection):
        above = _above(Path(str(bind(need.output, str(folder)))))
        disks.setdefault(above.stat().st_dev, []).append((need, above))
    return [warning for rows in disks.values() if (warning := _warning(rows))]


def _warning(rows: list[tuple[Need, Path]]) -> str:
    size = sum(need.size for need, _ in rows)
    free = machine.free_bytes(rows[0][1])
    text = "; ".join(str(need) for need, _ in rows)
    text += f": {size_of(size)} in all" if len(rows) > 1 else ""
    if size > free:
        why = f"the disk of {rows[0][1]} has {size_of(free)} free, but {text}"
        raise UnfitError(why, "free some space, choose another --runs, or raise save_every")
    near = size > NEAR * free
    return f"the disk will be nearly full: {size_of(free)} free, and {text}" if near else ""


def _needs(plan: Plan, stages: Collection[Stage]) -> Iterator[Need]:
    facts = DiskFacts(models=read_facts.models(plan, hub.cache(os.environ)))
    catalog = load.catalog(plan.tools)
    for stage in stages:
        tool = catalog.get(stage.tool)
        one = (
            need(
                View(
                    stage=stage,
                    tool=tool,
                    explicit=frozenset(),
                    plan=plan,
                    catalog=catalog,
                    facts=facts,
                )
            )
            if tool
            else None
        )
        if one is not None:
            yield one


def _require_access(stage: Stage, folder: Path, catalog: Catalog) -> None:
    """Raise UnfitError if a stage may not read or write what it will."""
    for _, path in read_facts.reads(stage, catalog):
        for file in _files(Path(path)):
            if not os.access(file, os.R_OK | (os.X_OK if file.is_dir() else 0)):
                why = f"stage '{stage.name}' reads {file}, but you lack permission"
                raise UnfitError(why, f"check its permissions: ls -ld {file}")
    for output in stage.outputs.values():
        place = _above(Path(str(bind(output, str(folder)))))
        if not os.access(place, os.W_OK | (os.X_OK if place.is_dir() else 0)):
            why = (
                f"stage '{stage.name}' writes {output}, but you lack permission to write in {place}"
            )
            raise UnfitError(why, "choose another path, or omit it to use the run folder")


def _files(path: Path) -> Iterator[Path]:
    """Yield a path and the files right in it; none if there is nothing."""
    if os.path.lexists(path):
        yield path
        if path.is_dir() and os.access(path, os.R_OK | os.X_OK):
            yield from (file for file in path.iterdir() if file.is_file())


def _above(path: Path) -> Path:
    """Return a path, or the nearest folder above it that is there."""
    path = path.absolute()
    return next(one for one in (path, *path.parents) if one.exists())
