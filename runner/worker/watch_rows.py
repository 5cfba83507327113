"""Where mlx_lm.lora reads its rows, and by which keys."""

import copy
import importlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runner.base.values import same
from runner.worker.observer import Observer

_LOADERS = ("load_local_dataset", "load_hf_dataset", "load_custom_hf_dataset")
# What mlx-lm's data sets call the keys of their rows.
_KEYS = {
    "chat_feature": "chat_key",
    "prompt_feature": "prompt_key",
    "completion_feature": "completion_key",
    "text_feature": "text_key",
}


@contextmanager
def sources(host: Observer) -> Iterator[None]:
    """Record which folder or data set is read, while mlx-lm loads its rows."""
    module = importlib.import_module("mlx_lm.tuner.datasets")
    before = {name: getattr(module, name) for name in _LOADERS if hasattr(module, name)}
    for name, original in before.items():
        setattr(module, name, _recording(host, name, original))
    try:
        yield
    finally:
        for name, original in before.items():
            setattr(module, name, original)


def _recording(host: Observer, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def load(first: Any, *rest: Any, **kwargs: Any) -> Any:
        if name == "load_custom_hf_dataset":
            host.effective["hf_dataset"] = copy.deepcopy(first.hf_dataset)
        else:
            path = host.params["data"]
            host.effective["data"] = path if same(path, Path(first)) else str(first)
        return original(first, *rest, **kwargs)

    return load


def features(host: Observer, sets: Iterable[Any]) -> None:
    """Record the keys that the rows of these data sets are read by."""
    if host.params["hf_dataset"] is not None:  # its entries say them (T75)
        return
    for name, key in _KEYS.items():
        values = {getattr(one, key) for one in sets if hasattr(one, key)}
        if values:
            host.effective[name] = values.pop() if len(values) == 1 else sorted(values)
