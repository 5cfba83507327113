"""What an observer of a trainer sees of it: reports, optimizer, layers, what was resumed."""

import importlib
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runner.base.errors import NotFiniteError
from runner.base.values import same
from runner.plan.training import training
from runner.plan.training_math import learning_rate
from runner.system import files
from runner.worker.observer import Observer


class TrainerWatch:
    """Looks at a training of the module `main`, whose stage is `host`'s.

    `KIND` is the parameter that says whether an adapter is trained, and of which type.
    """

    KIND = "fine_tune_type"

    def __init__(self, host: Observer, main: Any) -> None:
        self.host = host
        self.main = main

    @property
    def resumes(self) -> str:
        """The parameter that names the adapter a training goes on from."""
        return str(self.host.tool.trains and self.host.tool.trains.resumes)

    def seeds(self) -> None:
        """Record the seeds that numpy and mlx are given."""
        effective = self.host.effective

        def recording(original: Callable[..., Any]) -> Callable[..., Any]:
            def seed(value: int) -> Any:
                before = effective.get("seed", value)
                effective["seed"] = value if before == value else [before, value]
                return original(value)

            return seed

        self.main.np.random.seed = recording(self.main.np.random.seed)
        self.main.mx.random.seed = recording(self.main.mx.random.seed)

    def recorder(self, wrapped: Any) -> Any:
        """Return a callback that writes down every report, around the one that is asked for."""
        watch = self
        base = importlib.import_module("mlx_lm.tuner.callbacks").TrainingCallback

        class Recorder(base):  # type: ignore[misc, valid-type]
            """Writes every report to metrics.jsonl; stops at a loss that is not finite."""

            def on_train_loss_report(self, info: Mapping[str, Any]) -> None:
                if wrapped is not None:
                    wrapped.on_train_loss_report(info)
                watch.report("train", info, "train_loss")

            def on_val_loss_report(self, info: Mapping[str, Any]) -> None:
                if wrapped is not None:
                    wrapped.on_val_loss_report(info)
                watch.report("val", info, "val_loss")

        return Recorder()

    def report(self, kind: str, info: Mapping[str, Any], loss: str) -> None:
        """Write one report. Raises NotFiniteError for a loss of nan or infinity."""
        self.write(kind, info)
        if not math.isfinite(info[loss]):
            why = f"the {loss.replace('_', ' ')} is {info[loss]} at iteration {info['iteration']}"
            raise NotFiniteError(why)

    def write(self, kind: str, info: Mapping[str, Any]) -> None:
        """Write figures to metrics.jsonl, on the first rank only."""
        if self.main.mx.distributed.init().rank() == 0:
            numbers = {k: v.item() if hasattr(v, "item") else v for k, v in info.items()}
            plain = {k: v if math.isfinite(v) else str(v) for k, v in numbers.items()}
            self.host.metrics.write(event=kind, time=round(time.time(), 3), **plain)

    def optimizer(self, optimizer: Any) -> dict[str, Any]:
        """Return the optimizer, its arguments and its learning rate as they really are."""
        params = self.host.params
        name = type(optimizer).__name__.lower()
        effective: dict[str, Any] = {"optimizer": name}
        config = params["optimizer_config"].get(params["optimizer"], {})
        values = {key: _plain(getattr(optimizer, key, "(missing)")) for key in config}
        effective["optimizer_config"] = {name: values}
        schedule = params["lr_schedule"]
        rate = optimizer._schedulers.get("learning_rate")  # noqa: SLF001  (kept nowhere else)
        if schedule is None:
            if rate is None and optimizer.learning_rate is not None:
                effective["learning_rate"] = float(optimizer.learning_rate.item())
            elif rate is not None:
                effective["learning_rate"] = "a schedule"
        else:
            effective["lr_schedule"] = self._curve(schedule, rate)
        return effective

    def _curve(self, schedule: Mapping[str, Any], rate: Any) -> Any:
        """Return the planned schedule where the optimizer's rates are its, else those rates."""
        if rate is None:
            return "no schedule"
        numbers = training(self.host.stage, self.host.tool)
        last = max(1, numbers.updates if numbers else 1)
        steps = sorted({0, 1, schedule["warmup"], schedule["warmup"] + 2, last // 2, last - 1})
        rates = [float(rate(self.main.mx.array(step))) for step in steps]
        targets = [learning_rate(schedule, step) for step in steps]
        self.host.observed["learning_rates"] = dict(zip(map(str, steps), rates, strict=True))
        top = max(targets)
        near = all(abs(a - b) <= 1e-5 * top for a, b in zip(targets, rates, strict=True))
        return schedule if near else dict(zip(map(str, steps), rates, strict=True))

    def layers(self, model: Any) -> dict[str, Any]:
        """Return the adapter's shape as the model really has it."""
        params = self.host.params
        self._checkpointing(model)
        adapted = {
            name: layer
            for name, layer in model.named_modules()
            if "lora_a" in layer and "lora_b" in layer
        }
        if not adapted:
            blocks = self._blocks(model, self._trainable(model))
            return {self.KIND: "full", "num_layers": blocks}
        kinds = {
            "dora" if type(layer).__name__.startswith("DoRA") else "lora"
            for layer in adapted.values()
        }
        shapes = {
            "rank": {rank_of(layer) for layer in adapted.values()},
            "scale": {layer.scale for layer in adapted.values()},
            "dropout": {round(1.0 - layer.dropout._p_1, 9) for layer in adapted.values()},  # noqa: SLF001
        }
        shape = {name: _only(values) for name, values in shapes.items()}
        if "keys" in params["lora_parameters"]:
            shape["keys"] = self._keys(model, adapted, params["lora_parameters"]["keys"])
        self.host.observed["adapted_modules"] = len(adapted)
        return {
            self.KIND: _only(kinds),
            "lora_parameters": shape,
            "num_layers": self._blocks(model, adapted),
        }

    def _trainable(self, model: Any) -> dict[str, Any]:
        flatten = importlib.import_module("mlx.utils").tree_flatten
        return dict(flatten(model.trainable_parameters()))

    def _checkpointing(self, model: Any) -> None:
        """Note blocks of several classes: mlx-lm checkpoints only those of the first's (T49)."""
        kinds = sorted({type(block).__name__ for block in model.layers})
        if self.host.params["grad_checkpoint"] and len(kinds) > 1:
            self.host.effective["grad_checkpoint"] = f"only in some of {', '.join(kinds)}"

    def _keys(self, model: Any, adapted: Mapping[str, Any], keys: Any) -> Any:
        """Return the planned keys where every one is adapted and nothing else is (T41, T43)."""
        inside = {_inside(name, model) for name in adapted}
        if keys is None:
            self.host.observed["keys"] = sorted(inside)
            return None
        return keys if inside == set(keys) else sorted(inside)

    def _blocks(self, model: Any, adapted: Mapping[str, Any]) -> Any:
        """Return the planned number of blocks where just the last so many are adapted (T39)."""
        count = self.host.params["num_layers"]
        total = len(model.layers)
        last = set(range(total - count if count > 0 else 0, total))
        blocks = {_block(name) for name in adapted} - {None}
        if not blocks:  # keys outside of the blocks only: num_layers has nothing to count
            return count
        self.host.observed["adapted_blocks"] = len(blocks)
        return count if blocks == last else sorted(blocks, key=str)

    def resume_file(self, model: Any) -> Any:
        """Return the planned file where all its tensors are the trainable ones (T50-T56)."""
        mx = self.main.mx
        path = self.host.params[self.resumes]
        trainable = self._trainable(model)
        stored = mx.load(path)
        strange = sorted(stored.keys() ^ trainable.keys())
        if strange:
            have = "tensor has" if len(strange) == 1 else "tensors have"
            return f"{len(strange)} {have} no counterpart in file and model, such as {strange[0]}"
        for name, tensor in stored.items():
            if tensor.shape != trainable[name].shape:
                return f"{name} is {tensor.shape} in the file and {trainable[name].shape} here"
            if not mx.array_equal(tensor, trainable[name]).item():
                return f"{name} was not loaded"
        self.host.observed["resumed_tensors"] = len(stored)
        return self._scale_problem(path) or path

    def _scale_problem(self, path: str) -> str:
        """Return what is wrong with the scale of the file, '' if nothing is (T53)."""
        old = files.read_json(Path(path).parent / "adapter_config.json") or {}
        scale = (old.get("lora_parameters") or {}).get("scale")
        now = self.host.params["lora_parameters"]["scale"]
        if self.host.params[self.KIND] == "full" or scale is None or same(scale, now):
            return ""
        return f"the file was trained with scale {scale}, but this stage sets {now}"

    def size(self, model: Any) -> int:
        """Return how many numbers are trained."""
        return sum(tensor.size for tensor in self._trainable(model).values())


def rank_of(layer: Any) -> int:
    """Return the rank of an adapted layer; experts have a matrix each."""
    return int(layer.lora_a.shape[-2] if layer.lora_a.ndim == _EXPERTS else layer.lora_b.shape[0])


_EXPERTS = 3


def _only(values: set[Any]) -> Any:
    return next(iter(values)) if len(values) == 1 else sorted(values, key=str)


def _block(name: str) -> int | None:
    """Return the number of the block a module is in, None for one outside of them."""
    words = name.split(".")
    at = next((i for i, word in enumerate(words) if word.isdigit()), None)
    return int(words[at]) if at is not None else None


def _inside(name: str, model: Any) -> str:
    """Return a module's path inside its block; a path from the root stays as it is."""
    words = name.split(".")
    at = next((i for i, word in enumerate(words) if word.isdigit()), None)
    return ".".join(words[at + 1 :]) if at is not None and model.layers else name


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return list(value) if isinstance(value, tuple) else value
