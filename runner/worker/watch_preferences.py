"""Looks inside mlx_lm_lora.train: what it parsed, what its trainers read, and what they measure."""

import copy
import importlib
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from runner.base.errors import NotFiniteError
from runner.base.values import same
from runner.runs.audit import ASIDE
from runner.worker.observer import Observer
from runner.worker.outputs import REWARDS
from runner.worker.watch_trainer import TrainerWatch

# The fields of its trainers' arguments, and of what its tests are called with, where they are not
# called as the command's parameters are. Of loss_type it depends on the mode.
_PARAMETERS = {
    "steps_per_save": "save_every",
    "adapter_file": "adapter_path",
    "seq_step_size": "efficient_long_context",
    "route": "klpo_route",
    "kl_estimator": "klpo_kl_estimator",
    "mc_samples": "klpo_mc_samples",
    "top_k": "klpo_top_k",
    "tail_floor": "klpo_tail_floor",
    "num_batches": "test_batches",
    "max_tokens": "max_completion_length",
}
_LOSSES = {"sft": "sft_loss_type", "dsla": "dsla_loss"}
# The keys of rows as its data sets call them.
_KEYS = {
    "prompt_key": "prompt_feature",
    "completion_key": "completion_feature",
    "text_key": "text_feature",
    "chat_key": "chat_feature",
    "system_key": "system_feature",
    "chosen_key": "chosen_feature",
    "rejected_key": "rejected_feature",
    "answer_key": "answer_feature",
    "type_key": "type_feature",
    "preference_score_key": "preference_score_feature",
}
_SIZES = {
    "load_in_4bits": {"bits": 4, "group_size": 128},
    "load_in_6bits": {"bits": 6, "group_size": 128},
    "load_in_8bits": {"bits": 8, "group_size": 128},
    "load_in_mxfp4": {"bits": 4, "group_size": 32, "mode": "mxfp4"},
}
_WRAPPED = (
    "run",
    "from_pretrained",
    "load_reference_model",
    "load_judge_model",
    "load_dataset",
    "load_reward_functions_from_file",
    "save_pretrained_merged",
    "save_to_lmstudio_merged",
)
_LIMIT = "max_recommended_working_set_size"
NO_METAL = (
    "mx.device_info() reports a memory limit of 0, which the trainer uses: there is no Metal here"
)


def install(host: Observer) -> None:
    """Wrap what mlx_lm_lora.train calls, without changing what it does."""
    main = importlib.import_module("mlx_lm_lora.train")
    watch = PreferenceWatch(host, main)
    for name in _WRAPPED:
        setattr(main, name, getattr(watch, name)(getattr(main, name)))
    for name in dir(main):
        if name.startswith("train_") and name != "train_model":
            setattr(main, name, watch.trainer(getattr(main, name)))
        if name.startswith("evaluate_") and name != "evaluate_model":
            setattr(main, name, watch.tester(getattr(main, name)))
    watch.seeds()
    _without_metal(host, main.mx)


def _without_metal(host: Observer, mx: Any) -> None:
    """Let the trainers set a limit of memory that only Metal has; on other machines it is 0.

    `mx.set_wired_limit(0)`, which they call with it, is what holds there anyway.
    """
    original = mx.device_info
    if _LIMIT in original():
        return

    def device_info(*words: Any) -> Any:
        return {_LIMIT: 0, **original(*words)}

    mx.device_info = device_info
    host.observed[ASIDE] = [NO_METAL]


class PreferenceWatch(TrainerWatch):
    """One wrapper for each function that train.py calls by name."""

    KIND = "train_type"

    def __init__(self, host: Observer, main: Any) -> None:
        super().__init__(host, main)
        self.trained = self.tested = self.fused = False
        self.mode = str(host.params["train_mode"])

    def run(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """After flags, file and defaults are merged, before the model loads."""

        def run(args: Any, training_callback: Any = None) -> Any:
            merged = copy.deepcopy(vars(args))
            names = self.host.params
            self.host.parsed = {name: merged[name] for name in names if name in merged}
            # What merging and printing them read was not asked for.
            settings = self.host.reads.wrap_settings(args)
            self.host.hold()
            self.host.phase = "loader"
            result = original(settings, self.recorder(training_callback))
            self._end()
            return result

        return run

    def from_pretrained(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Record which model is loaded, in which size, and where its adapter is written."""

        def from_pretrained(**kwargs: Any) -> Any:
            effective, size = self.host.effective, kwargs["quantized_load"]
            effective["model"] = str(kwargs["model"])
            effective |= {name: size == one for name, one in _SIZES.items()}
            return original(**kwargs)

        return from_pretrained

    def load_reference_model(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Record which model the trained one is compared with."""
        return self._other_model("reference_model_path", original)

    def load_judge_model(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Record which model judges."""
        return self._other_model("judge", original)

    def _other_model(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def load_other(args: Any, *rest: Any) -> Any:
            with self._loads(name):
                return original(args, *rest)

        return load_other

    @contextmanager
    def _loads(self, name: str) -> Iterator[None]:
        """Record the path that is loaded meanwhile; a tokenizer alone says whose model is used."""
        before = {one: getattr(self.main, one) for one in ("load", "load_tokenizer")}

        def recording(function: Callable[..., Any], path: Any, *rest: Any, **kwargs: Any) -> Any:
            own = self.host.params[name]
            path_said = str(path)
            default = own is None and path_said == str(self.host.params["model"])
            self.host.effective[name] = None if default else path_said
            return function(path, *rest, **kwargs)

        for one, function in before.items():
            setattr(self.main, one, partial(recording, function))
        try:
            yield
        finally:
            for one, function in before.items():
                setattr(self.main, one, function)

    def load_dataset(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Record which rows are read, in which format, by which keys."""

        def load_dataset(args: Any, tokenizer: Any) -> Any:
            with self._data_sets():
                sets = original(args, tokenizer)
            names = ("train", "valid", "test")
            self.host.observed["rows"] = dict(zip(names, map(len, sets), strict=True))
            self.host.observed["format"] = [type(one).__name__ for one in sets if len(one)]
            return sets

        return load_dataset

    @contextmanager
    def _data_sets(self) -> Iterator[None]:
        """Record the folder and the keys that the data sets made meanwhile are given."""
        module: Any = importlib.import_module("mlx_lm_lora.trainer.datasets")
        kinds = {
            name: one
            for name, one in vars(module).items()
            if inspect.isclass(one) and one.__module__ == module.__name__ and "Dataset" in name
        }
        local = module.load_local_dataset

        def load_local(path: Any, *rest: Any) -> Any:
            own = self.host.params["data"]
            self.host.effective["data"] = own if same(own, Path(path)) else str(path)
            return local(path, *rest)

        module.load_local_dataset = load_local
        for name, kind in kinds.items():
            setattr(module, name, partial(self._data_set, kind))
        try:
            yield
        finally:
            module.load_local_dataset = local
            for name, kind in kinds.items():
                setattr(module, name, kind)

    def _data_set(self, kind: Any, *rest: Any, **kwargs: Any) -> Any:
        given = inspect.signature(kind).bind(*rest, **kwargs).arguments
        effective = self.host.effective
        effective |= {_KEYS[name]: value for name, value in given.items() if name in _KEYS}
        if "mask_prompt" in given:
            effective["mask_prompt"] = bool(given["mask_prompt"])
        return kind(*rest, **kwargs)

    def load_reward_functions_from_file(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Record whether the file of reward functions ran: the command goes on without it."""

        def load_file(path: Any) -> Any:
            result = original(path)
            self.host.effective["reward_functions_file"] = path if result else "(it did not load)"
            self.host.hold("loader")
            return result

        return load_file

    def save_pretrained_merged(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Record that the model is fused."""

        def save(**kwargs: Any) -> Any:
            self.fused = True
            return original(**kwargs)

        return save

    def save_to_lmstudio_merged(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Record that the model is fused, and its name in LM Studio."""

        def save(**kwargs: Any) -> Any:
            self.fused = True
            self.host.effective["lm_studio_name"] = kwargs["new_model_name"]
            return original(**kwargs)

        return save

    def trainer(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Before the first step: what a trainer was given; after the last: what it read of it."""

        def train(**kwargs: Any) -> Any:
            self.trained = True
            self._begin(**kwargs)
            arguments, log = kwargs["args"], set[str]()
            values = self._values(vars(arguments))
            wrong = {name: one for name, one in values.items() if not self._as_planned(name, one)}
            self.host.effective |= wrong
            self.host.hold("trainer")
            result = original(**{**kwargs, "args": telling(arguments, log)})
            self._used({n: one for n, one in values.items() if n in map(self._parameter, log)})
            if kwargs.get("reward_funcs"):
                self._rewards(kwargs["reward_funcs"])
            if "judge_config" in kwargs:
                self._used({"judge_config": kwargs["judge_config"]})
            self.host.hold("trainer")
            return result

        return train

    def tester(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Record what a test is given, and what it measures, which no callback reports."""

        def evaluate(**kwargs: Any) -> Any:
            self.tested = True
            self._used(self._values({k: v for k, v in kwargs.items() if _is_plain(v)}))
            if kwargs.get("reward_funcs"):
                self._rewards(kwargs["reward_funcs"])
            self.host.hold("test")
            log = set[str]()
            record = kwargs.get("args")
            more = {} if record is None else {"args": telling(record, log)}
            result = original(**{**kwargs, **more})
            values = self._values(vars(record) if record is not None else {})
            self._used({n: one for n, one in values.items() if n in map(self._parameter, log)})
            self.host.hold("test")
            self._measured(result)
            return result

        return evaluate

    def _measured(self, result: Any) -> None:
        loss = result[0] if isinstance(result, tuple) else result
        if not math.isfinite(loss):
            why = f"the test loss is {loss}"
            raise NotFiniteError(why)
        figures = next((one for one in reversed(result) if isinstance(one, dict)), {})
        more = {f"test_{name}": value for name, value in figures.items()}
        self.write("test", {"test_loss": loss, "test_ppl": math.exp(min(loss, 700)), **more})

    def _rewards(self, functions: Any) -> None:
        """Record the reward functions, by the names they are registered under."""
        own = self.host.params["reward_functions"]
        names = [one.__name__ for one in functions]
        self.host.observed[REWARDS] = names
        if own is None:
            defaults = [one.__name__ for one in self.main.get_default_reward_functions()]
            self._used({"reward_functions": None if names == defaults else ",".join(names)})
        else:
            asked = [self.main.get_reward_function(one.strip()) for one in own.split(",")]
            self._used({"reward_functions": own if asked == [*functions] else ",".join(names)})

    def _used(self, values: Mapping[str, Any]) -> None:
        self.host.effective |= values

    def _begin(self, model: Any, optimizer: Any, train_dataset: Any, **_: Any) -> None:
        effective, params = self.host.effective, self.host.params
        effective |= self.optimizer(optimizer)
        effective |= self.layers(model)
        if params[self.resumes] is not None:
            effective[self.resumes] = self.resume_file(model)
        self.host.observed["trainable_parameters"] = self.size(model)
        self.host.observed["train_rows"] = len(train_dataset)

    def _parameter(self, field: str) -> str:
        """Return the parameter that a field of a trainer's arguments is made of."""
        if field == "loss_type":
            return _LOSSES.get(self.mode, "dpo_cpo_loss_type")
        return _PARAMETERS.get(field, field)

    def _values(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters that fields are made of, as a recipe says their values.

        A field that is made of none in this mode is at its own default.
        """
        params, tool = self.host.params, self.host.tool
        values = {}
        for field, value in fields.items():
            name = self._parameter(field)
            if name in params and tool.parameters[name].is_read(params):
                values[name] = self._said(name, value)
        if params["iters"] is None and "iters" in values:
            self.host.observed["iters"] = values.pop("iters")
            if params["epochs"] is not None:
                values["epochs"] = params["epochs"]
        return values

    def _said(self, name: str, value: Any) -> Any:
        planned = self.host.params[name]
        if name == "adapter_path":
            folder = Path(value).parent
            return planned if same(planned, folder) else str(folder)
        if name == "efficient_long_context":
            return value is not None
        if name == "reward_weights" and planned is not None:
            own = [float(one) for one in planned.strip("[]").split(",")]
            return planned if own == value else value
        return value

    def _as_planned(self, name: str, value: Any) -> bool:
        return bool(same(self.host.params[name], value))

    def _end(self) -> None:
        effective = self.host.effective
        effective["train"], effective["test"] = self.trained, self.tested
        if self.trained:
            effective["fuse"] = self.fused
        self.host.hold("end")


def telling(arguments: Any, log: set[str]) -> Any:
    """Return a trainer's arguments that note in `log` which of their fields are read."""
    kind = type(arguments)
    fields = frozenset(kind.__dataclass_fields__)

    class Telling(kind):  # type: ignore[misc, valid-type]
        def __getattribute__(self, name: str) -> Any:
            if name in fields:
                log.add(name)
            return super().__getattribute__(name)

    told = copy.copy(arguments)
    told.__class__ = Telling
    return told


def _is_plain(value: Any) -> bool:
    """Return whether a value is of JSON; a model is a kind of dict, too."""
    return value is None or type(value) in {str, int, float, bool, list, dict}
