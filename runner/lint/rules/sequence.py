"""From one stage to the next: the base an adapter belongs to, and what is made of both."""

import posixpath
from collections.abc import Iterator

from runner.lint.facts import Finding
from runner.lint.lineage import adapter_at, model_at, origin
from runner.lint.rule import View, rule

# The model types mlx_lm.fuse can write as GGUF.
GGUF = ("llama", "mixtral", "mistral")


@rule("error", "T62")
def other_base(view: View) -> Iterator[Finding]:
    """An adapter on another base model than it was trained on.

    Nothing ties an adapter to its base: if the shapes fit, mlx-lm takes it and says nothing.
    """
    bases = _bases(view)
    if bases:
        name, (ours, _), (theirs, _) = bases
        if ours != theirs:
            adapter = adapter_at(view, view.params[name])
            trained = adapter.base if adapter else theirs
            message = (
                f"this adapter was trained on '{trained}', and the stage puts it on "
                f"'{view.params['model']}'"
            )
            yield Finding(
                parameter="model", message=message, hint="name the model the adapter was trained on"
            )


@rule("warning", "T62")
def other_precision(view: View) -> Iterator[Finding]:
    """An adapter on its base model in another precision than it was trained on.

    An adapter also learns to make up for the rounding of a quantized base. On the same model in
    another precision it mostly works, and the losses differ. This may be meant.
    """
    bases = _bases(view)
    if bases:
        _, (ours, now), (theirs, then) = bases
        if ours == theirs and now != then:
            message = f"this adapter was trained on the base in {then}, and meets it in {now}"
            yield Finding(
                parameter="model", message=message, hint="name the very model it was trained on"
            )


@rule("error", "T61")
def adapter_path_is_no_adapter(view: View) -> Iterator[Finding]:
    """An adapter_path that is a file, or a folder that no training makes.

    mlx-lm reads adapters.safetensors from that folder, and of adapter_config.json fine_tune_type,
    num_layers, and rank, scale, dropout and keys of lora_parameters: each must be there, and of its
    type. It cannot test or fuse a numbered checkpoint: copy it to a folder of its own, as
    adapters.safetensors, with adapter_config.json beside it.
    """
    path = view.params["adapter_path"]
    if view.trains or not path:
        return
    maker = view.maker(path)
    if path.endswith(".safetensors"):
        message = f"'{posixpath.basename(path)}' is a file, and mlx-lm reads a folder"
        hint = "name the folder; a checkpoint needs one of its own, with adapter_config.json"
        yield Finding(parameter="adapter_path", message=message, hint=hint)
    elif maker is not None and not view.makes_adapter(maker):
        message = f"stage '{maker.name}' makes no adapter"
        yield Finding(
            parameter="adapter_path",
            message=message,
            hint="name an adapter, as stages.NAME.adapter_path",
        )
    elif maker is None and (adapter := adapter_at(view, path)) and adapter.unloadable:
        message = f"mlx-lm could not load the adapter '{path}': {adapter.unloadable}"
        yield Finding(parameter="adapter_path", message=message, hint=adapter.way_out)


@rule("error", "T61")
def test_ignores_resume_file(view: View) -> Iterator[Finding]:
    """A stage that only tests does not read resume_adapter_file.

    It tests the adapter in adapter_path, with the shape its adapter_config.json says.
    """
    if not view.trains and view.params["resume_adapter_file"] is not None:
        message = "resume_adapter_file would be ignored: a test reads adapter_path"
        yield Finding(
            parameter="resume_adapter_file",
            message=message,
            hint="name the adapter's folder as adapter_path",
        )


@rule("error", "T80")
def fuse_without_dequantize(view: View) -> Iterator[Finding]:
    """Fusing into a quantized base rounds the sum again, which can erase the adapter.

    Measured: the adapter had a loss of 5.470, the fused model 6.131, the base alone 6.170. With
    ``dequantize: true`` it was 5.470. Quantize the fused model in a stage of its own if it has to
    be small, and test it.
    """
    facts = model_at(view, view.params["model"])
    if not view.params["dequantize"] and facts.quantized_bits:
        message = (
            f"the base is quantized to {facts.quantized_bits} bits ({facts.because}): fused "
            "weights would be rounded again, and the adapter can be lost"
        )
        yield Finding(parameter="dequantize", message=message, hint="say dequantize: true")


@rule("error", "T82")
def gguf_of_other_model(view: View) -> Iterator[Finding]:
    """GGUF can only be written of llama, mixtral and mistral models.

    mlx-lm finds that out after it has fused and saved the model, and stops.
    """
    kind = model_at(view, view.params["model"]).model_type
    if view.params["export_gguf"] and kind and kind not in GGUF:
        message = f"the model is of type {kind}, and mlx-lm writes GGUF of {', '.join(GGUF)} only"
        yield Finding(
            parameter="export_gguf",
            message=message,
            hint="leave it out, and convert with llama.cpp",
        )


@rule("warning", "T60")
def best_loss_is_not_the_last(view: View) -> Iterator[Finding]:
    """An expectation on best_val_loss, while the adapter is the one of the last iteration.

    mlx-lm saves the last state, not the best. Say ``keep: best`` and judge ``kept_val_loss``; or
    judge ``val_loss``, or the ``test_loss`` of a stage that tests the adapter.
    """
    for metric, stage in view.plan.expected_metrics.get(view.stage.name, ()):
        if view.trains and metric == "best_val_loss":
            message = f"stage '{stage}' judges best_val_loss, and the adapter is the last state"
            yield Finding(
                parameter="steps_per_eval",
                message=message,
                hint="say keep: best and judge kept_val_loss; or judge val_loss",
            )


@rule("error")
def prompt_cache_of_other_model(view: View) -> Iterator[Finding]:
    """A prompt cache made with another model or adapter than the one that reads it.

    mlx-lm stops when the model is named differently. It does not remember the adapter: with
    another one it goes on with a cache that does not fit.
    """
    maker = view.maker(view.params["prompt_cache_file"])
    tool = view.tool_of(maker)
    if maker is not None and tool is not None and any(tool.makes("cache")):
        for name in ("model", "adapter_path"):
            ours, theirs = view.params[name], maker.params.get(name)
            if ours != theirs:
                message = f"the cache of stage '{maker.name}' was made with {name} {theirs}"
                yield Finding(parameter=name, message=message, hint=f"say {name}: {theirs}")


def _bases(view: View) -> tuple[str, tuple[str, str], tuple[str, str]] | None:
    """Return which parameter names an adapter, and the stage's base beside the adapter's.

    None where a stage reads no adapter, or the adapter's base is not known.
    """
    name = "resume_adapter_file" if view.trains else "adapter_path"
    adapter = adapter_at(view, view.params[name])
    if adapter is None or not adapter.base:
        return None
    ours, theirs = (view.maker(path) is not None for path in (view.params["model"], adapter.base))
    if ours != theirs and view.maker(view.params[name]) is None:
        return None  # an adapter of an earlier run, whose base a stage makes again
    return name, origin(view, view.params["model"]), origin(view, adapter.base)
