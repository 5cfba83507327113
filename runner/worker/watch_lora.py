"""Observes mlx_lm.lora: its parsed arguments, what it trains with, and what it measures."""

import copy
import importlib
import math
from collections.abc import Callable
from typing import Any

from runner.base.errors import NotFiniteError
from runner.base.values import same
from runner.worker.observer import Observer
from runner.worker.watch_rows import features, sources
from runner.worker.watch_trainer import TrainerWatch, rank_of

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
    watch.seeds()
    if hasattr(lora, HEADER):
        setattr(lora, HEADER, watch.header(getattr(lora, HEADER)))


class Watch(TrainerWatch):
    """One wrapper for each function that lora.py calls by name."""

    def __init__(self, host: Observer, lora: Any) -> None:
        super().__init__(host, lora)
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
            return self.recorder(original(report_to, **kwargs))

        return get_reporting_callbacks

    def load_adapters(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Record which adapter is tested (T61)."""

        def load_adapters(model: Any, path: Any) -> Any:
            self.host.effective["adapter_path"] = str(path)
            result = original(model, path)
            layers = [layer for _, layer in model.named_modules() if "lora_a" in layer]
            self.host.observed["tested_ranks"] = sorted({rank_of(layer) for layer in layers})
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
            self.write("test", {"test_loss": loss, "test_ppl": math.exp(loss)})
            return loss

        return evaluate

    def _end(self) -> None:
        self.host.effective["train"] = self.trained
        self.host.effective["test"] = self.tested
        self.host.hold("end")

    def _trainer(self, model: Any, args: Any, optimizer: Any, train_dataset: Any, **_: Any) -> None:
        effective = self.host.effective
        effective |= {ours: getattr(args, theirs) for theirs, ours in _ARGUMENTS.items()}
        path = self.host.params["adapter_path"]
        folder = args.adapter_file.parent
        effective["adapter_path"] = path if same(path, folder) else str(folder)
        effective |= self.optimizer(optimizer)
        effective |= self.layers(model)
        if self.host.params["resume_adapter_file"] is not None:
            effective["resume_adapter_file"] = self.resume_file(model)
        self.host.observed["trainable_parameters"] = self.size(model)
        self.host.observed["train_rows"] = len(train_dataset)
