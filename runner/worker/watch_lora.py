"""Looks inside mlx_lm.lora: what it parsed, what it trains with, and what it measures."""

import copy
import importlib
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runner.base.errors import NotFiniteError
from runner.base.values import same
from runner.plan.training_math import learning_rate, updates
from runner.system import files
from runner.worker.observer import Observer
from runner.worker.watch_rows import features, sources

# TrainingArgs' names where they are not lora's own.
_ARGUMENTS = {
    "batch_size": "batch_size",
    "iters": "iters",
    "val_batches": "val_batches",
    "steps_per_report": "steps_per_report",
    "steps_per_eval": "steps_per_eval",
    "steps_per_save": "save_every",
    "max_seq_length": "max_seq_length",
    "grad_checkpoint": "grad_checkpoint",
    "grad_accumulation_steps": "grad_accumulation_steps",
}


HEADER = "print_lora_run_header"
WRAPPED = (
    "run",
    "load",
    "load_dataset",
    "load_adapters",
    "get_reporting_callbacks",
    "train",
    "evaluate",
)


def install(host: Observer) -> None:
    """Wrap what mlx_lm.lora calls, without changing what it does."""
    lora = importlib.import_module("mlx_lm.lora")
    watch = Watch(host, lora)
    for name in WRAPPED:
        setattr(lora, name, getattr(watch, name)(getattr(lora, name)))
    watch.seeds(lora)
    if hasattr(lora, HEADER):
        setattr(lora, HEADER, watch.header(getattr(lora, HEADER)))


class Watch:
    """One wrapper for each function that lora.py calls by name."""

    def __init__(self, host: Observer, lora: Any) -> None:
        self.host = host
        self.lora = lora
        self.trained = False
        self.tested = False

    def run(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """After flags, file and defaults are merged, before the model loads."""

        def run(args: Any, *rest: Any, **kwargs: Any) -> Any:
            merged = copy.deepcopy(vars(args))
            params = self.host.params
            parsed = {name: merged[name] for name in params if name in merged}
            self.host.parsed = {**self.host.around, **parsed}
            # What merging them read was not asked for.
            settings = self.host.reads.wrap_settings(args)
            self.host.hold()
            self.host.phase = "loader"
            result = original(settings, *rest, **kwargs)
            self._end()
            return result

        return run

    def header(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Take no notice of what is only printed (T24)."""

        def header(*args: Any) -> Any:
            with self.host.reads.deaf():
                return original(*args)

        return header

    def load(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Record which model is loaded."""

        def load(path: Any, *rest: Any, **kwargs: Any) -> Any:
            self.host.effective["model"] = str(path)
            if "trust_remote_code" in kwargs:
                self.host.effective["trust_remote_code"] = bool(kwargs["trust_remote_code"])
            return original(path, *rest, **kwargs)

        return load

    def load_dataset(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Record which rows are read, in which format."""

        def load_dataset(args: Any, tokenizer: Any) -> Any:
            with sources(self.host):
                sets = original(args, tokenizer)
            self.host.observed["rows"] = dict(
                zip(("train", "valid", "test"), map(len, sets), strict=True)
            )
            self.host.observed["format"] = [type(one).__name__ for one in sets if len(one)]
            features(self.host, sets)
            masks = {getattr(one, "mask_prompt", None) for one in sets if len(one)} - {None}
            if masks:
                self.host.effective["mask_prompt"] = masks == {True} if len(masks) == 1 else "mixed"
            return sets

        return load_dataset

    def get_reporting_callbacks(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Put our recorder around the callbacks the recipe asks for.

        It wraps the registry's result instead of naming itself in report_to, so that
        adapter_config.json is the one the script writes.
        """

        def get_reporting_callbacks(report_to: Any = None, **kwargs: Any) -> Any:
            self.host.effective["report_to"] = report_to
            if report_to is not None:
                self.host.effective["project_name"] = kwargs["project_name"]
            return self._recorder(original(report_to, **kwargs))

        return get_reporting_callbacks

    def load_adapters(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Record which adapter is tested (T61)."""

        def load_adapters(model: Any, path: Any) -> Any:
            self.host.effective["adapter_path"] = str(path)
            result = original(model, path)
            layers = [layer for _, layer in model.named_modules() if "lora_a" in layer]
            self.host.observed["tested_ranks"] = sorted({_rank(layer) for layer in layers})
            return result

        return load_adapters

    def train(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Before the first step: everything the trainer was given."""

        def train(*rest: Any, **kwargs: Any) -> Any:
            self.trained = True
            self._trainer(**kwargs)
            self.host.hold("trainer")
            return original(*rest, **kwargs)

        return train

    def evaluate(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Record the test's loss, which no callback reports."""

        def evaluate(*rest: Any, **kwargs: Any) -> Any:
            self.tested = True
            values = {
                "batch_size": kwargs["batch_size"],
                "test_batches": kwargs["num_batches"],
                "max_seq_length": kwargs["max_seq_length"],
            }
            self.host.effective |= values
            self.host.hold("test")
            loss = original(*rest, **kwargs)
            if not math.isfinite(loss):
                why = f"the test loss is {loss}"
                raise NotFiniteError(why)
            self._write("test", {"test_loss": loss, "test_ppl": math.exp(loss)})
            return loss

        return evaluate

    def seeds(self, lora: Any) -> None:
        """Record the seeds that numpy and mlx are given."""
        effective = self.host.effective

        def recording(original: Callable[..., Any]) -> Callable[..., Any]:
            def seed(value: int) -> Any:
                before = effective.get("seed", value)
                effective["seed"] = value if before == value else [before, value]
                return original(value)

            return seed

        lora.np.random.seed = recording(lora.np.random.seed)
        lora.mx.random.seed = recording(lora.mx.random.seed)

    def _end(self) -> None:
        self.host.effective["train"] = self.trained
        self.host.effective["test"] = self.tested
        self.host.hold("end")

    def _recorder(self, wrapped: Any) -> Any:
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
        self._write(kind, info)
        if not math.isfinite(info[loss]):
            why = f"the {loss.replace('_', ' ')} is {info[loss]} at iteration {info['iteration']}"
            raise NotFiniteError(why)

    def _write(self, kind: str, info: Mapping[str, Any]) -> None:
        if self.lora.mx.distributed.init().rank() == 0:
            plain = {k: v if math.isfinite(v) else str(v) for k, v in info.items()}
            self.host.metrics.write(event=kind, time=round(time.time(), 3), **plain)

    def _trainer(self, model: Any, args: Any, optimizer: Any, train_dataset: Any, **_: Any) -> None:
        effective = self.host.effective
        effective |= {ours: getattr(args, theirs) for theirs, ours in _ARGUMENTS.items()}
        path = self.host.params["adapter_path"]
        folder = args.adapter_file.parent
        effective["adapter_path"] = path if same(path, folder) else str(folder)
        effective |= self._optimizer(optimizer)
        effective |= self._layers(model)
        if self.host.params["resume_adapter_file"] is not None:
            effective["resume_adapter_file"] = self._resume_file(model)
        self.host.observed["trainable_parameters"] = self._size(model)
        self.host.observed["train_rows"] = len(train_dataset)

    def _optimizer(self, optimizer: Any) -> dict[str, Any]:
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
        last = max(1, updates(self.host.params))
        steps = sorted({0, 1, schedule["warmup"], schedule["warmup"] + 2, last // 2, last - 1})
        rates = [float(rate(self.lora.mx.array(step))) for step in steps]
        targets = [learning_rate(schedule, step) for step in steps]
        self.host.observed["learning_rates"] = dict(zip(map(str, steps), rates, strict=True))
        top = max(targets)
        near = all(abs(a - b) <= 1e-5 * top for a, b in zip(targets, rates, strict=True))
        return schedule if near else dict(zip(map(str, steps), rates, strict=True))

    def _layers(self, model: Any) -> dict[str, Any]:
        """Return the adapter's shape as the model really has it."""
        params = self.host.params
        self._checkpointing(model)
        adapted = {
            name: layer
            for name, layer in model.named_modules()
            if "lora_a" in layer and "lora_b" in layer
        }
        if not adapted:
            return {
                "fine_tune_type": "full",
                "num_layers": self._blocks(model, self._trainable(model)),
            }
        kinds = {
            "dora" if type(layer).__name__.startswith("DoRA") else "lora"
            for layer in adapted.values()
        }
        shapes = {
            "rank": {_rank(layer) for layer in adapted.values()},
            "scale": {layer.scale for layer in adapted.values()},
            "dropout": {round(1.0 - layer.dropout._p_1, 9) for layer in adapted.values()},  # noqa: SLF001
        }
        shape = {name: _only(values) for name, values in shapes.items()}
        shape["keys"] = self._keys(model, adapted, params["lora_parameters"]["keys"])
        self.host.observed["adapted_modules"] = len(adapted)
        return {
            "fine_tune_type": _only(kinds),
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

    def _resume_file(self, model: Any) -> Any:
        """Return the planned file where all its tensors are the trainable ones (T50-T56)."""
        mx = self.lora.mx
        path = self.host.params["resume_adapter_file"]
        trainable = self._trainable(model)
        stored = mx.load(path)
        strange = sorted(stored.keys() ^ trainable.keys())
        if strange:
            have = "tensor has" if len(strange) == 1 else "tensors have"
            return f"{len(strange)} {have} no counterpart in file and model, as {strange[0]}"
        for name, tensor in stored.items():
            if tensor.shape != trainable[name].shape:
                return f"{name} is {tensor.shape} in the file and {trainable[name].shape} here"
            if not mx.array_equal(tensor, trainable[name]).item():
                return f"{name} was not loaded"
        self.host.observed["resumed_tensors"] = len(stored)
        return self._scale_problem(path) or path

    def _scale_problem(self, path: str) -> str:
        """Return what is wrong with the scale of the file, '' where nothing is (T53)."""
        old = files.read_json(Path(path).parent / "adapter_config.json") or {}
        scale = (old.get("lora_parameters") or {}).get("scale")
        now = self.host.params["lora_parameters"]["scale"]
        if self.host.params["fine_tune_type"] == "full" or scale is None or same(scale, now):
            return ""
        return f"the file was trained with scale {scale}, this stage says {now}"

    def _size(self, model: Any) -> int:
        return sum(tensor.size for tensor in self._trainable(model).values())


def _rank(layer: Any) -> int:
    return int(layer.lora_a.shape[-2] if layer.lora_a.ndim == _EXPERTS else layer.lora_b.shape[0])


_EXPERTS = 3


def _only(values: set[Any]) -> Any:
    return next(iter(values)) if len(values) == 1 else sorted(values, key=str)


def _block(name: str) -> int | None:
    """Return the number of the block a module stands in, None for one outside of them."""
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
