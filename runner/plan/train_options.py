"""A stage's ``keep:`` and ``watch:`` in, every option around the trainer out.

An option's name is its path in the recipe, dotted: ``watch.retention.every``.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from runner.base.problems import offer
from runner.catalog.tools import Tool, applies, complete
from runner.catalog.validate import Violation, violations

Json = dict[str, Any]
_RETENTION = "watch.retention."
DATA = f"{_RETENTION}data"


def options(declared: Mapping[str, Any]) -> Json:
    """Return what a stage says of its trainer, by dotted names."""
    flat = {"keep": declared["keep"]} if "keep" in declared else {}
    watch = declared.get("watch")
    retention = watch.get("retention") if isinstance(watch, Mapping) else None
    if isinstance(retention, Mapping):
        flat |= {f"{_RETENTION}{name}": value for name, value in retention.items()}
    return flat


def refusals(options: Mapping[str, Any], trainer: Tool) -> Iterator[Violation]:
    """Yield what the schema refuses, each at its place in the recipe."""
    for one in violations(trainer.schema, dict(options)):
        name, *inside = one.path
        path = tuple(str(name).split("."))
        hint = one.hint
        if one.rule == "unknown-key":
            names = [own.removeprefix(_RETENTION) for own in trainer.parameters if "." in own]
            hint = trainer.schema["x-not"].get(name) or offer(path[-1], names)
        yield replace(one, path=(*path, *inside), hint=hint)


def full(options: Mapping[str, Any], trainer: Tool) -> Json:
    """Return every parameter that does something; none where the trainer is alone."""
    whole = complete(trainer.schema, options, trainer.schema)
    watches = whole[DATA] is not None
    if whole["keep"] == "last" and not watches:
        return {}
    return {name: value for name, value in whole.items() if watches or name == "keep"}


def nested(trainer: Mapping[str, Any]) -> Json:
    """Return the parameters as a recipe says them."""
    tree: Json = {}
    for name, value in trainer.items():
        *above, last = name.split(".")
        place = tree
        for word in above:
            place = place.setdefault(word, {})
        place[last] = value
    return tree


def watch_data(trainer: Mapping[str, Any]) -> str | None:
    """Return the data set that is evaluated while a stage trains, None if none is."""
    data = trainer.get(DATA)
    return None if data is None else str(data)


def lacks(metric: str, trainer: Mapping[str, Any], tool: Tool) -> str | None:
    """Return what a stage would have to say to measure one of the trainer's metrics.

    None is returned where it measures it.
    """
    if metric.startswith("retention_"):
        return None if watch_data(trainer) else "watch: {retention: {data: …}}"
    when = tool.measures(metric)
    return None if applies({"when": when}, trainer) else "keep: best"


def line(kind: str, figures: Mapping[str, Any]) -> str:
    """Return what was measured between two iterations in words; '' for what is not known here."""
    at = f"iteration {figures.get('iteration')}"
    match kind:
        case "retention":
            ratio = f"{figures['retention_ratio']:.2f} x before training"
            relation = ratio if figures["iteration"] else "before training"
            return f"{at}, retention loss {figures['retention_loss']:.3f}, {relation}"
        case "checkpoint":
            return f"{at}, the checkpoint's validation loss {figures['checkpoint_val_loss']:.3f}"
        case "kept":
            return _weights(figures)
    return ""


def _weights(figures: Mapping[str, Any]) -> str:
    """Return which weights are kept, and why not the last."""
    end = figures.get("stopped_iteration")
    stop = "" if end is None else f"stopped at iteration {end}, "
    kept, last = figures["kept_iteration"], figures["last_iteration"]
    if kept == last:
        return f"{stop}kept the last checkpoint ({last}{_loss(figures, 'last_val_loss')})"
    loss = _loss(figures, "kept_val_loss").removeprefix(", ")
    choice = f"checkpoint {kept} ({loss})" if loss else f"checkpoint {kept}"
    return f"{stop}kept {choice}, not the last ({last}{_loss(figures, 'last_val_loss')})"


def _loss(figures: Mapping[str, Any], name: str) -> str:
    return f", validation loss {figures[name]:.3f}" if name in figures else ""
