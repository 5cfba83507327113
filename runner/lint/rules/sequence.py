"""From one stage to the next: the base model of an adapter, and what is built from both."""

import posixpath
from collections.abc import Iterator

from runner.lint.facts import Finding
from runner.lint.lineage import adapter_at, model_at, origin
from runner.lint.rule import View, adapter_output, rule

# The model types mlx_lm.fuse can write as GGUF.
GGUF = ("llama", "mixtral", "mistral")


@rule("error", "T62")
def other_base(view: View) -> Iterator[Finding]:
    """An adapter on a different base model than it was trained on.

    Nothing ties an adapter to its base model: if the shapes match, mlx-lm silently accepts it.
    """
    bases = _bases(view)
    if bases:
        name, (ours, _), (theirs, _) = bases
        if ours != theirs:
            adapter = adapter_at(view, view.params[name])
            trained = adapter.base if adapter else theirs
            message = (
                f"this adapter was trained on '{trained}', but the stage applies it to "
                f"'{view.params['model']}'"
            )
            yield Finding(
                parameter="model", message=message, hint="name the model the adapter was trained on"
            )


@rule("warning", "T62")
def other_precision(view: View) -> Iterator[Finding]:
    """An adapter on its base model in a different precision than it was trained on.

    An adapter also learns to compensate for the rounding of a quantized base model. On the same
    model in another precision it mostly works, but the losses differ. This may be intended.
    """
    bases = _bases(view)
    if bases:
        _, (ours, now), (theirs, then) = bases
        if ours == theirs and now != then:
            message = (
                f"this adapter was trained on the base model in {then}, but is applied to it in "
                f"{now}"
            )
            yield Finding(
                parameter="model", message=message, hint="use exactly the model it was trained on"
            )


@rule("error", "T61")
def adapter_path_is_no_adapter(view: View) -> Iterator[Finding]:
    """An adapter_path that is a file, or a folder without an adapter.

    From that folder mlx-lm reads adapters.safetensors and adapter_config.json: fine_tune_type,
    num_layers, and rank, scale, dropout and keys of lora_parameters. Each must be present and of
    its type. mlx-lm cannot test or fuse a numbered checkpoint: copy it to its own folder as
    adapters.safetensors, next to adapter_config.json.
    """
    path = view.params["adapter_path"]
    if view.trains or not path:
        return
    maker = view.maker(path)
    if path.endswith(".safetensors"):
        message = f"'{posixpath.basename(path)}' is a file, but mlx-lm reads a folder"
        hint = "name the folder; a checkpoint needs its own folder, with adapter_config.json"
        yield Finding(parameter="adapter_path", message=message, hint=hint)
    elif maker is not None and not view.makes_adapter(maker):
        message = f"stage '{maker.name}' creates no adapter"
        yield Finding(
            parameter="adapter_path",
            message=message,
            hint="name an adapter, such as stages.NAME.adapter_path",
        )
    elif maker is None and (adapter := adapter_at(view, path)) and adapter.unloadable:
        message = f"mlx-lm could not load the adapter '{path}': {adapter.unloadable}"
        yield Finding(parameter="adapter_path", message=message, hint=adapter.way_out)


@rule("error", general=True)
def adapter_type_not_recorded(view: View) -> Iterator[Finding]:
    """An adapter whose adapter_config.json does not say its type: mlx-lm loads it as another one.

    mlx-lm-lora records no type. mlx-lm takes each of its adapters for LoRA: of DoRA it drops the
    magnitudes without a word, and at full weights it fails. Use the model that the training fuses
    itself.
    """
    for one in view.inputs:
        maker = view.maker(one.path) if one.kind == "adapter" else None
        output = adapter_output(maker, view.tool_of(maker)) if maker is not None else None
        adapter = adapter_at(view, one.path) if output and output.loads_as else None
        if maker is None or output is None or adapter is None:
            continue
        if adapter.fine_tune_type != output.loads_as:
            message = (
                f"stage '{maker.name}' trains {adapter.fine_tune_type}, which its "
                f"adapter_config.json does not say: mlx-lm would load it as {output.loads_as}"
            )
            hint = "train an adapter of type lora, or use the model that the training fuses itself"
            yield Finding(parameter=one.parameter, message=message, hint=hint)


@rule("warning")
def reference_without_adapter(view: View) -> Iterator[Finding]:
    """A preference training that resumes an adapter, held against the base model without it.

    The reference model is ``reference_model_path``, or else the base as it is on the disk. What the
    resumed adapter has learned counts as a preference then, and the loss does not begin at its
    start value. Fuse the adapter first, and train on the fused model.
    """
    trains, name = view.tool.trains, "reference_model_path"
    resumed = view.params[trains.resumes] if view.trains and trains and trains.resumes else None
    parameter = view.tool.parameters[name]
    if resumed and view.params[name] is None and parameter.is_read(view.params):
        message = "the reference model would be the base without the adapter that is resumed"
        hint = "fuse the adapter first, and train on the fused model"
        yield Finding(parameter=str(trains and trains.resumes), message=message, hint=hint)


@rule("error", "T61")
def test_ignores_resume_file(view: View) -> Iterator[Finding]:
    """A stage that only tests does not read resume_adapter_file.

    It tests the adapter in adapter_path, with the shape in its adapter_config.json.
    """
    if not view.trains and view.params["resume_adapter_file"] is not None:
        message = "resume_adapter_file would be ignored: testing reads adapter_path"
        yield Finding(
            parameter="resume_adapter_file",
            message=message,
            hint="set adapter_path to the adapter's folder",
        )


@rule("error", "T80")
def fuse_without_dequantize(view: View) -> Iterator[Finding]:
    """Fusing into a quantized base rounds the sum again, which can erase the adapter.

    Measured: the adapter had a loss of 5.470, the fused model 6.131, the base alone 6.170. With
    ``dequantize: true`` it was 5.470. If it has to be small, quantize the fused model in a separate
    stage, and test it.
    """
    facts = model_at(view, view.params["model"])
    if not view.params["dequantize"] and facts.quantized_bits:
        message = (
            f"the base is quantized to {facts.quantized_bits} bits ({facts.because}): fused "
            "weights would be rounded again, which can erase the adapter"
        )
        yield Finding(parameter="dequantize", message=message, hint="set dequantize: true")


@rule("error", "T82")
def gguf_of_other_model(view: View) -> Iterator[Finding]:
    """GGUF can only be written for llama, mixtral and mistral models.

    For others, mlx-lm fails after it has fused and saved the model.
    """
    kind = model_at(view, view.params["model"]).model_type
    if view.params["export_gguf"] and kind and kind not in GGUF:
        message = f"the model type is {kind}, but mlx-lm writes GGUF only for {', '.join(GGUF)}"
        yield Finding(
            parameter="export_gguf",
            message=message,
            hint="remove it, and convert with llama.cpp",
        )


@rule("warning", "T60")
def best_loss_is_not_the_last(view: View) -> Iterator[Finding]:
    """An expectation on best_val_loss, although the adapter is that of the last iteration.

    mlx-lm saves the last state, not the best. Set ``keep: best`` and check ``kept_val_loss``; or
    check ``val_loss``, or the ``test_loss`` of a stage that tests the adapter.
    """
    for metric, stage in view.plan.expected_metrics.get(view.stage.name, ()):
        if view.trains and metric == "best_val_loss":
            message = f"stage '{stage}' checks best_val_loss, but the adapter is the last state"
            yield Finding(
                parameter="steps_per_eval",
                message=message,
                hint="set keep: best and check kept_val_loss, or check val_loss",
            )


@rule("error")
def prompt_cache_of_other_model(view: View) -> Iterator[Finding]:
    """A prompt cache made with a different model or adapter than the stage that reads it.

    mlx-lm fails if the model name differs. It does not record the adapter: with another one it uses
    a cache that does not match.
    """
    maker = view.maker(view.params["prompt_cache_file"])
    tool = view.tool_of(maker)
    if maker is not None and tool is not None and any(tool.makes("cache")):
        for name in ("model", "adapter_path"):
            ours, theirs = view.params[name], maker.params.get(name)
            if ours != theirs:
                message = f"stage '{maker.name}' made the cache with {name} {theirs}"
                yield Finding(parameter=name, message=message, hint=f"set {name}: {theirs}")


def _bases(view: View) -> tuple[str, tuple[str, str], tuple[str, str]] | None:
    """Return which parameter names an adapter, and the stage's base beside the adapter's.

    None where a stage reads no adapter, or the adapter's base is not known.
    """
    trains = view.tool.trains if view.trains else None
    name = (trains and trains.resumes) or "adapter_path"
    adapter = adapter_at(view, view.params[name])
    if adapter is None or not adapter.base:
        return None
    ours, theirs = (view.maker(path) is not None for path in (view.params["model"], adapter.base))
    if ours != theirs and view.maker(view.params[name]) is None:
        return None  # an adapter of an earlier run, whose base a stage makes again
    return name, origin(view, view.params["model"]), origin(view, adapter.base)
