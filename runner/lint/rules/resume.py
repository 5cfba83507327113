"""Resuming an adapter: with other settings, parts of it are silently lost."""

from collections.abc import Iterator
from functools import lru_cache

from runner.base.problems import listing
from runner.lint.facts import Adapter, Finding
from runner.lint.lineage import adapter_at, adapter_of, model_at
from runner.lint.rule import View, adapter_output, rule

# A copy may write the files of a folder in any order, within so many seconds.
_APART = 60
_KEYS = 100
"""So many keys are listed: the list is there to be copied."""


@rule("error", "T54")
def resume_type(view: View) -> Iterator[Finding]:
    """Resuming an adapter of another type loads parts of it, or nothing.

    From lora to full the training starts from the bare base model; from dora to lora the magnitudes
    are lost; from full to lora everything but a few norms is lost.
    """
    adapter, new = _old_adapter(view), _new_adapter(view)
    kind = new.fine_tune_type if new else ""
    if adapter and new and adapter.fine_tune_type != kind:
        message = (
            f"{adapter.source} has type {adapter.fine_tune_type}, but this stage has type "
            f"{kind}: most of it would not be loaded"
        )
        name = _parameter(view, "fine_tune_type")
        hint = f"set {name}: {adapter.fine_tune_type}"
        yield Finding(parameter=name, message=message, hint=hint)


@rule("error", "T50")
def resume_rank_mismatch(view: View) -> Iterator[Finding]:
    """Resuming an adapter of another rank trains at the old rank and records the new one.

    The training succeeds. Fusing, testing or generating fails afterwards, because
    adapter_config.json and the tensors disagree.
    """
    for adapter, before, now in _change_of(view, "rank"):
        message = (
            f"{adapter.source} has rank {before:g}, but this stage sets {now:g}: it would train "
            f"at {before:g}, and fusing would fail later"
        )
        yield Finding(
            parameter=_parameter(view, "rank"), message=message, hint=f"set rank: {before:g}"
        )


@rule("error", "T53")
def resume_scale(view: View) -> Iterator[Finding]:
    """Resuming an adapter with another scale changes it immediately, before the first step.

    The scale multiplies the whole adapter: its effect becomes stronger or weaker by the ratio of
    the two. Measured: a validation loss of 3.72 became 5.97.
    """
    for adapter, before, now in _change_of(view, "scale"):
        message = (
            f"{adapter.source} has scale {before:g}, but this stage sets {now:g}: the adapter "
            f"would be multiplied by {now / before:g} at once"
        )
        yield Finding(
            parameter=_parameter(view, "scale"), message=message, hint=f"set scale: {before:g}"
        )


@rule("warning", "T53")
def resume_scale_unknown(view: View) -> Iterator[Finding]:
    """Resuming weights whose adapter_config.json is missing, invalid, or has no scale.

    Another scale changes the adapter's effect immediately, and the weights do not record their
    scale. Put the configuration next to the weights, or check the scale yourself.
    """
    adapter, new = _same_type(view), _new_adapter(view)
    if adapter and adapter.unscaled and new and new.scale is not None:
        scale = new.scale
        message = (
            f"it is unknown whether {adapter.source} was trained with scale {scale:g}, as this "
            f"stage sets: {adapter.unscaled}"
        )
        hint = "put its adapter_config.json next to it, or check the scale and allow this rule"
        yield Finding(parameter=_resumes(view), message=message, hint=hint)


@rule("error", "T52")
def resume_keys(view: View) -> Iterator[Finding]:
    """Resuming an adapter with other keys drops the modules that are not listed.

    The tensors of those modules are neither trained nor saved again.
    """
    adapter, new = _same_type(view), _new_adapter(view)
    if not adapter or not new or adapter.fine_tune_type == "full":
        return
    before = None if adapter.keys is None else set(adapter.keys)
    now = None if new.keys is None else set(new.keys)
    if now is None and (adapter.bare or adapter.whole):
        return  # all modules of a model that may not be known: the trainer compares them
    if before != now:
        removals = sorted(before - (now or before)) if before else []
        what = (
            f"{listing(removals)} would be lost" if removals else "the adapted modules would differ"
        )
        message = f"{adapter.source} has different keys than this stage: {what}"
        null = adapter.whole or before is None
        previous = "null, which means all of them" if null else listing(sorted(before or ()), _KEYS)
        name = _parameter(view, "keys") or _resumes(view)
        yield Finding(parameter=name, message=message, hint=f"its keys are {previous}")


@rule("error", "T51", "T55")
def resume_num_layers(view: View) -> Iterator[Finding]:
    """Resuming with another num_layers drops layers, or adds untrained ones.

    With fewer, the dropped layers are neither used nor saved again; with more, the added layers
    start from scratch.
    """
    adapter, new = _same_type(view), _new_adapter(view)
    if adapter and new:
        layers = model_at(view, new.base).layers if new.base else None
        before, now = (_count(n, layers) for n in (adapter.num_layers, new.num_layers))
        unknown = adapter.bare and now < 0
        if before != now and not unknown:
            message = (
                f"{adapter.source} trained {_layers(before)}, but this stage trains {_layers(now)}"
            )
            name = _parameter(view, "num_layers")
            hint = f"set {name}: {adapter.num_layers}"
            yield Finding(parameter=name, message=message, hint=hint)


@rule("error", "T56")
def resume_not_an_adapter(view: View) -> Iterator[Finding]:
    """A resume_adapter_file that is not an adapter: nothing is loaded, without an error.

    mlx-lm accepts any safetensors file and skips every tensor whose name it does not know. A folder
    or another kind of file makes it fail after loading the model.
    """
    path = view.params[_resumes(view)]
    if not view.trains or path is None:
        return
    maker = view.maker(path)
    hint = "name an adapter file, such as stages.NAME.adapter_file"
    if maker is not None and not view.makes_adapter(maker):
        message = f"stage '{maker.name}' creates no adapter: training would start from scratch"
        yield Finding(parameter=_resumes(view), message=message, hint=hint)
    elif not path.endswith(".safetensors"):
        message = f"'{path}' is not a .safetensors file: mlx-lm would fail"
        yield Finding(parameter=_resumes(view), message=message, hint=hint)
    elif maker is None and (adapter := adapter_at(view, path)) and adapter.unloadable:
        message = f"mlx-lm could not load '{path}': {adapter.unloadable}"
        yield Finding(parameter=_resumes(view), message=message, hint=adapter.way_out)
    elif _none(view, path):
        message = f"'{path}' contains no adapter: training would start from scratch"
        yield Finding(parameter=_resumes(view), message=message, hint=hint)


@rule("warning", "T57")
def same_seed_after_resume(view: View) -> Iterator[Finding]:
    """Resuming with the same data and seed trains on the same rows in the same order again.

    Only weights are resumed: optimizer state, schedule and data order restart, so the second
    training sees the first rows of the first one again. Set another seed.
    """
    adapter, new = _old_adapter(view), _new_adapter(view)
    seed = new.seed if new else None
    if adapter and new and seed is not None and (adapter.seed, adapter.data) == (seed, new.data):
        message = (
            f"{adapter.source} was trained on the same data in the same order, with seed {seed}"
        )
        name = _parameter(view, "seed")
        yield Finding(parameter=name, message=message, hint=f"set {name}: {seed + 1}")


@rule("error", "T59", general=True)
def adapter_config_disagrees(view: View) -> Iterator[Finding]:
    """An adapter folder whose configuration does not match its weights.

    mlx-lm writes adapter_config.json before it trains. A run that fails or is interrupted leaves
    the new configuration with the old weights.
    """
    for name, adapter in _read(view):
        if adapter.disagrees:
            message = (
                f"{adapter.source} has {adapter.disagrees}: they come from different trainings"
            )
            hint = "train it again into its own folder, or correct the file"
            yield Finding(parameter=name, message=message, hint=hint)


@rule("warning", "T59", general=True)
def adapter_config_newer(view: View) -> Iterator[Finding]:
    """An adapter folder whose configuration was written long after its weights.

    A training writes adapter_config.json first and the weights last. If the configuration is newer,
    a failed training may have left it: if only the scale differs, everything loads, but the adapter
    is too strong or too weak. Measured: a test loss of 3.757 became 6.201. Check the scale in
    adapter_config.json; ``touch`` the weights if the two belong together.
    """
    for name, adapter in _read(view):
        if adapter.newer > _APART and not adapter.disagrees:
            message = (
                f"adapter_config.json of {adapter.source} is {_ago(adapter.newer)} newer than "
                "the weights: a failed training may have left it, with another scale"
            )
            yield Finding(
                parameter=name, message=message, hint="train it again into its own folder"
            )


@lru_cache(maxsize=8)
def _old_adapter(view: View) -> Adapter | None:
    """Return the adapter a training resumes, None where it resumes none or none that is known."""
    path = view.params[_resumes(view)]
    adapter = adapter_at(view, path) if view.trains else None
    strange = adapter is None or adapter.fine_tune_type == "none" or adapter.unloadable
    return None if strange else adapter


def _same_type(view: View) -> Adapter | None:
    """Return the adapter a training resumes if it is of the type that is trained."""
    adapter, new = _old_adapter(view), _new_adapter(view)
    return adapter if adapter and new and adapter.fine_tune_type == new.fine_tune_type else None


@lru_cache(maxsize=8)
def _new_adapter(view: View) -> Adapter | None:
    """Return the adapter that a training makes itself, as far as its parameters say it."""
    output = adapter_output(view.stage, view.tool)
    return adapter_of(view.stage, view.tool, output) if output and output.shape else None


def _parameter(view: View, fact: str) -> str:
    """Return the parameter, dotted, that says one fact of the shape; '' where none does."""
    output = adapter_output(view.stage, view.tool)
    return output.shape.get(fact, "") if output else ""


def _resumes(view: View) -> str:
    """Return the parameter that names the adapter a training goes on from."""
    return (view.tool.trains and view.tool.trains.resumes) or ""


def _read(view: View) -> Iterator[tuple[str, Adapter]]:
    """Yield the adapters a stage reads, with the parameters that name them."""
    for one in view.inputs:
        adapter = adapter_at(view, one.path) if one.kind in {"adapter", "file"} else None
        if adapter is not None:
            yield one.parameter, adapter


def _ago(seconds: float) -> str:
    """Return a length of time in the largest unit that it fills."""
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' * (count != 1)}"
    return f"{seconds:.0f} seconds"


def _change_of(view: View, name: str) -> Iterator[tuple[Adapter, float, float]]:
    """Yield the resumed adapter with its number and the stage's, where the two differ."""
    adapter, new = _same_type(view), _new_adapter(view)
    before, now = getattr(adapter, name, None), getattr(new, name, None)
    if adapter and before is not None and now is not None and before != now:
        yield adapter, before, now


def _none(view: View, path: str) -> bool:
    adapter = adapter_at(view, path)
    return adapter is not None and adapter.fine_tune_type == "none"


def _count(number: int, layers: int | None) -> int:
    """Return how many layers are trained, -1 for all of an unknown number."""
    return number if number > 0 else layers or -1


def _layers(count: int) -> str:
    return "all layers" if count < 0 else f"the last {count} layer{'s' * (count != 1)}"
