"""The architectures of mlx_lm.models at toy scale: what each has, and what runs.

``derive`` writes the layers and the switches of schema/architectures.json anew, from mlx_lm's own
model files; ``sweep`` makes a model of each, trains one step on the layers that mlx-lm chooses,
fuses and generates, each in a process of its own; ``one NAME`` is one of them.
"""

import argparse
import contextlib
import dataclasses
import importlib
import io
import json
import os
import pkgutil
import re
import subprocess
import sys
import tempfile
import time
import typing
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from runner.catalog import load
from runner.catalog.architectures import TEXT, Architecture, Variant, bare
from runner.system.files import shipped
from runner.tools.tiny_model import build

Json = dict[str, Any]
FILE = shipped("schema") / "architectures.json"
ROW = {"messages": [{"role": "user", "content": "2 and 4?"}, {"role": "assistant", "content": "6"}]}
TIMEOUT = 180
# Counts of which a real model may have none; a width of none ends a process.
COUNTS = re.compile(r"(experts|dense_replace|dense_layers|lora_rank)$")


def model_files() -> list[str]:
    """Return the names of the model files of the installed mlx-lm."""
    import mlx_lm.models

    folder = Path(mlx_lm.models.__path__[0])
    names = [one.name for one in pkgutil.iter_modules([str(folder)])]
    return [one for one in names if "class Model(" in (folder / f"{one}.py").read_text("utf-8")]


def lora_keys(one: Architecture, changes: Json) -> tuple[str, ...]:
    """Return the layers of a tiny model that mlx_lm's linear_to_lora_layers can adapt, by name."""
    from mlx import nn
    from mlx_lm.models.switch_layers import SwitchLinear

    module = importlib.import_module(f"mlx_lm.models.{one.name}")
    model = module.Model(module.ModelArgs.from_dict(one.made(one.layers, changes)))
    kinds = (nn.Linear, nn.Embedding, SwitchLinear)
    keys: dict[str, None] = {}

    def note(path: str, layer: Any) -> None:
        if hasattr(layer, "to_lora") or isinstance(layer, kinds):
            keys[path] = None

    for layer in model.layers:
        layer.apply_to_modules(note)
    inside = set(keys)
    for path, layer in model.named_modules():
        if bare(path) not in inside:
            note(path, layer)
    return tuple(sorted(keys))


def runs(one: Architecture, changes: Json) -> bool:
    """Say whether a tiny model with changes can be built and called."""
    import mlx.core as mx

    module = importlib.import_module(f"mlx_lm.models.{one.name}")
    try:
        model = module.Model(module.ModelArgs.from_dict(one.made(one.layers, changes)))
        mx.eval(model(mx.array([[1, 2, 3]])))
    except Exception:  # noqa: BLE001 - whatever a model file raises says that it cannot be
        return False
    return True


def derived(one: Architecture) -> Architecture:
    """Return an architecture with its layers, its switches and the layers that these make."""
    module = importlib.import_module(f"mlx_lm.models.{one.name}")
    fields = _fields(_arguments(one, module))
    keys = lora_keys(one, {})
    works = runs(one, {})
    switches: dict[str, tuple[Any, ...]] = {}
    variants = []
    for field, kinds in fields.items():
        if not works or field in {"model_type", TEXT}:
            continue
        fitting = [value for value in _values(field, kinds) if runs(one, {field: value})]
        if fitting:
            switches[field] = tuple(fitting)
        for value in fitting:
            made = lora_keys(one, {field: value})
            if made != keys:
                variants.append(Variant(field=field, value=value, keys=made))
    return replace(one, keys=keys, switches=switches, variants=tuple(variants))


def _values(field: str, kinds: tuple[type, ...]) -> tuple[Any, ...]:
    """Return what a real configuration may say where the tiny one says something else."""
    if COUNTS.search(field):
        return (None, 0)
    return (True, False) if bool in kinds else ()


def _arguments(one: Architecture, module: Any) -> Any:
    """Return the dataclass of an architecture's own arguments, or of the text model inside."""
    if TEXT not in one.config:
        return module.ModelArgs
    named = [kind for name, kind in vars(module).items() if name.startswith("Text")]
    named = [kind for kind in named if dataclasses.is_dataclass(kind)]
    inner = one.config[TEXT].get("model_type")
    if not named and inner in load.architectures().known:
        return importlib.import_module(f"mlx_lm.models.{inner}").ModelArgs
    return named[0] if named else module.ModelArgs


def _fields(kind: Any) -> dict[str, tuple[type, ...]]:
    """Return the fields of a dataclass, each with the types of values that it takes."""
    hints = typing.get_type_hints(kind)
    return {
        field.name: typing.get_args(hints[field.name]) or (hints[field.name],)
        for field in dataclasses.fields(kind)
    }


def derive(names: list[str]) -> None:
    """Write what is derived of some architectures, or of all, into the file."""
    known = load.architectures().known
    written: Json = json.loads(FILE.read_text("utf-8"))
    for name in names or known:
        one = derived(known[name])
        written["known"][name] = {
            "layers": one.layers,
            "config": one.config,
            "keys": one.keys,
            "switches": one.switches,
            "variants": [dataclass_of(variant) for variant in one.variants],
        }
        sys.stderr.write(f"{name}: {len(one.keys)} layers\n")
        FILE.write_text(text_of(written), "utf-8")


def dataclass_of(variant: Variant) -> Json:
    """Return a variant as the file writes it."""
    return {"field": variant.field, "value": variant.value, "keys": variant.keys}


def text_of(written: Json) -> str:
    """Return the file's text: of each architecture a line for each fact."""
    lines = ["{", f'  "aliases": {json.dumps(written["aliases"])},']
    lines += [f'  "usual": {json.dumps(written["usual"])},', '  "known": {']
    for name, one in sorted(written["known"].items()):
        lines.append(f"    {json.dumps(name)}: {{")
        facts = [f"      {json.dumps(fact)}: {json.dumps(value)}" for fact, value in one.items()]
        lines += [",\n".join(facts), "    },"]
    lines[-1] = "    }"
    return "\n".join([*lines, "  }", "}", ""])


def one_of(name: str) -> None:
    """Make, train, fuse and generate with one architecture; what fails raises."""
    os.environ.setdefault("MLX_DISABLE_COMPILE", "1")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for step, work in _steps(name, place):
            sys.stdout.write(f"{step}\n")
            sys.stdout.flush()
            with contextlib.redirect_stdout(io.StringIO()):
                work()
    sys.stdout.write("done\n")


def _steps(name: str, place: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    model, data, adapter, fused = (
        str(place / one) for one in ("model", "data", "adapter", "fused")
    )
    for split in ("train", "valid"):
        (place / "data").mkdir(exist_ok=True)
        (place / "data" / f"{split}.jsonl").write_text(f"{json.dumps(ROW)}\n" * 2, "utf-8")
    yield "make", lambda: build(place / "model", architecture=name)
    yield (
        "train",
        lambda: _main(
            "lora",
            ["--train", "--model", model, "--data", data, "--adapter-path", adapter],
            ["--iters", "1", "--batch-size", "1", "--val-batches", "1", "--num-layers", "-1"],
        ),
    )
    yield (
        "fuse",
        lambda: _main(
            "fuse", ["--model", model, "--adapter-path", adapter, "--save-path", fused], []
        ),
    )
    yield (
        "generate",
        lambda: _main("generate", ["--model", fused, "--prompt", "hi", "--max-tokens", "4"], []),
    )


def _main(tool: str, *words: list[str]) -> None:
    module = importlib.import_module(f"mlx_lm.{tool}")
    with patch.object(sys, "argv", [tool, *(word for part in words for word in part)]):
        module.main()


def outcome(name: str) -> tuple[str, str, float]:
    """Return a name, the step at which it failed with the reason, "" where it ran, and seconds."""
    command = [sys.executable, "-m", "benchmarks.architectures", "one", name]
    began = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return name, f"longer than {TIMEOUT} s", time.monotonic() - began
    took = time.monotonic() - began
    if done.returncode == 0:
        return name, "", took
    step = (done.stdout.split() or ["start"])[-1]
    last = (done.stderr.strip().splitlines() or [""])[-1]
    return name, f"{step}: {last or f'exit {done.returncode}'}", took


def sweep(names: list[str], jobs: int) -> int:
    """Try architectures, all without names; print what failed, and how many ran."""
    names = names or model_files()
    known = load.architectures().known
    with ThreadPoolExecutor(jobs) as pool:
        outcomes = list(pool.map(outcome, [name for name in names if name in known]))
    outcomes += [(name, "make: no tiny configuration", 0.0) for name in names if name not in known]
    failed = [one for one in outcomes if one[1]]
    for name, why, _ in failed:
        sys.stdout.write(f"{name:24} {why}\n")
    slowest = max(outcomes, key=lambda one: one[2])
    sys.stdout.write(f"{len(outcomes) - len(failed)} of {len(outcomes)} run")
    sys.stdout.write(f"; the slowest is {slowest[0]}, {slowest[2]:.0f} s\n")
    return len(failed)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.architectures", description=__doc__)
    parser.add_argument("action", choices=["derive", "sweep", "one"])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.action == "derive":
        derive(arguments.names)
    elif arguments.action == "sweep":
        sweep(arguments.names, arguments.jobs)
    else:
        one_of(*arguments.names)


if __name__ == "__main__":
    main()
