"""Quantizing and measuring models: what stays unchanged, and what is not what it seems."""

from collections.abc import Iterator

from runner.base.constants import normal
from runner.base.problems import plural
from runner.catalog.tools import Tool
from runner.lint.facts import Finding
from runner.lint.lineage import MODES, data_at, model_at, sensitivities_stage
from runner.lint.rule import View, rule
from runner.plan.model import Stage

# The model types mlx_lm.awq knows.
_LLAMA_LIKE = ("llama", "mistral", "ministral3", "mistral3", "llava", "qwen2", "qwen3")
AWQ = frozenset((*_LLAMA_LIKE, "gemma3_text", "gemma3", "deepseek_v2"))
_OVERHEAD = 32  # bits of scale and bias that a group of weights shares
_NAME_BYTES = 255  # of a file's name, on macOS and Linux
_VERSION = "0.4.99"  # lm_eval's, as long as it gets
_MATRIX = 2


@rule("error", "T85")
def quantizes_twice(view: View) -> Iterator[Finding]:
    """Quantizing a model that is already quantized changes nothing.

    mlx-lm skips quantized layers: asked for 8 bits, a 4-bit model stays at 4. Start from the
    original model, or dequantize it in an earlier stage.
    """
    facts = model_at(view, view.params["hf_path"])
    if view.params["quantize"] and facts.quantized_bits:
        message = (
            f"the model is already quantized to {facts.quantized_bits} bits ({facts.because}): "
            "nothing would change"
        )
        yield Finding(parameter="quantize", message=message, hint="start from the original model")


@rule("error", "T86")
def group_size_does_not_divide(view: View) -> Iterator[Finding]:
    """Layers whose width is not a multiple of the group size stay unquantized.

    The model's config.json still lists them as quantized. Use a smaller q_group_size.
    """
    params = view.params
    size = params["q_group_size"] or MODES[params["q_mode"]][0]
    weights = model_at(view, params["hf_path"]).weights
    matrices = {name: w for name, w in weights.items() if len(w) >= _MATRIX and "conv" not in name}
    wide = {name: shape[-1] for name, shape in matrices.items()}
    odd = {name: width for name, width in wide.items() if width % size}
    if params["quantize"] and odd:
        name, width = next(iter(odd.items()))
        message = (
            f"{len(odd)} of {len(wide)} layers would stay unquantized: groups of {size} do not "
            f"divide {name}, which is {width} wide"
        )
        good = [g for g in (128, 64, 32) if g < size and not any(w % g for w in wide.values())]
        hint = f"set q_group_size: {good[0]}" if good and params["q_mode"] == "affine" else ""
        yield Finding(parameter="q_group_size", message=message, hint=hint)


@rule("error", "T90")
def bits_out_of_reach(view: View) -> Iterator[Finding]:
    """A target_bpw that no mix of low_bits and high_bits can reach.

    mlx-lm silently uses the nearest value it can reach. A weight of b bits in groups of g takes
    b + 32 / g bits, since a group shares a scale and a bias.
    """
    params = view.params
    low, high = (params[f"{end}_bits"] + _OVERHEAD / params[f"{end}_group_size"] for end in _ENDS)
    if not low <= params["target_bpw"] <= high:
        message = (
            f"{params['target_bpw']:g} bits per weight cannot be reached: low and high bits give "
            f"{low:g} to {high:g}"
        )
        yield Finding(
            parameter="target_bpw",
            message=message,
            hint="choose a target in that range, or other bits",
        )


@rule("error", "T90")
def sensitivities_of_other_bits(view: View) -> Iterator[Finding]:
    """Sensitivities that an earlier stage measured for another model or for other bits.

    The file holds one number per layer but not the bits it was measured for, so mlx-lm accepts it.
    """
    maker = sensitivities_stage(view, view.params["sensitivities"])
    for name in _MEASURED if maker else ():
        ours, theirs = view.params[name], maker.params[name] if maker else None
        if ours != theirs and maker:
            message = (
                f"stage '{maker.name}' measured these sensitivities with {name} {theirs}, but "
                f"this stage uses {ours}: mlx-lm would not notice"
            )
            yield Finding(parameter=name, message=message, hint=f"set {name}: {theirs}")


@rule("warning", "T90")
def sensitivities_from_elsewhere(view: View) -> Iterator[Finding]:
    """A file of sensitivities that no stage creates: it does not record the bits it is for.

    mlx-lm accepts a file for any bits and any model with the same layers. Measure them in a stage
    of the recipe, or check that bits and group sizes match the measurement.
    """
    path = view.params["sensitivities"]
    if path and sensitivities_stage(view, path) is None:
        low, high = (
            f"{view.params[f'{end}_bits']} bits in groups of {view.params[f'{end}_group_size']}"
            for end in _ENDS
        )
        message = f"it is unknown whether '{path}' was measured for {low} and {high}"
        hint = "check it and allow this rule, or measure them in a stage of the recipe"
        yield Finding(parameter="sensitivities", message=message, hint=hint)


@rule("error", "T90")
def awq_of_other_model(view: View) -> Iterator[Finding]:
    """AWQ supports only a few model types.

    mlx-lm fails after loading the model. The other quantizers support every type.
    """
    kind = model_at(view, view.params["model"]).model_type
    if kind and kind not in AWQ:
        message = f"the model is of type {kind}, which {view.tool.name} does not know"
        yield Finding(
            parameter="model",
            message=message,
            hint="use mlx_lm.dwq, mlx_lm.gptq or mlx_lm.dynamic_quant",
        )


@rule("error", "T89")
def targets_of_another_run(view: View) -> Iterator[Finding]:
    """A target_dir filled by a stage with other parameters: its targets belong to other rows.

    mlx-lm reads the targets by number, regardless of their model, rows, seed and batch size.
    """
    maker = view.maker(view.params["target_dir"])
    if maker is not None and maker.tool == view.stage.tool:
        for name in _TARGETS:
            ours, theirs = view.params[name], maker.params[name]
            if ours != theirs:
                message = (
                    f"stage '{maker.name}' computed the targets with {name} {theirs}, not {ours}"
                )
                yield Finding(parameter=name, message=message, hint=f"set {name}: {theirs}")


@rule("warning", "T89")
def targets_already_there(view: View) -> Iterator[Finding]:
    """An existing target_dir is used as it is, regardless of how its targets were computed.

    mlx-lm does not compare the model, the rows, the seed or the batch size.
    """
    path = view.params["target_dir"]
    if path in view.facts.existing and view.maker(path) is None:
        message = f"'{path}' already exists and would be used regardless of its source"
        yield Finding(
            parameter="target_dir",
            message=message,
            hint="create it in a stage with targets_only: true",
        )


@rule("error", "T89")
def too_few_samples(view: View) -> Iterator[Finding]:
    """DWQ validates on the rows that num_samples leaves over, and needs one batch of them.

    With fewer rows it fails with "only has 0".
    """
    params = view.params
    data = data_at(view, params["data_path"])
    rows = data.rows.get("train") if data else None
    needed = params["num_samples"] + params["batch_size"]
    if rows is not None and rows < needed:
        message = (
            f"train has {plural(rows, 'row')}; {plural(params['num_samples'], 'sample')} and a "
            f"batch of {params['batch_size']} to validate need {needed}"
        )
        hint = f"set num_samples to at most {rows - params['batch_size']}"
        yield Finding(
            parameter="num_samples",
            message=message,
            hint=hint if rows > params["batch_size"] else "add rows",
        )


@rule("error", "T93")
def result_name_too_long(view: View) -> Iterator[Finding]:
    """The result file is named after model and tasks; a name longer than 255 bytes fails.

    mlx-lm fails after the evaluation, and the results are lost. Split the tasks across several
    stages.
    """
    params = view.params
    shots = "" if params["num_shots"] is None else f"_{params['num_shots']:02d}"
    model = params["model"].replace("/", "_")
    name = f"eval_{model}_{_VERSION}{shots}_{'_'.join(params['tasks'])}"
    size = len(name.encode())
    if size > _NAME_BYTES:
        message = (
            f"the name of the result file would have about {size} bytes (limit {_NAME_BYTES}): "
            "the results would be lost"
        )
        yield Finding(
            parameter="tasks", message=message, hint="split the tasks across several stages"
        )


@rule("warning", "T94")
def perplexity_of_training_rows(view: View) -> Iterator[Finding]:
    """A perplexity measured on rows that a stage of the recipe trains on.

    mlx_lm.perplexity reads the train split, never valid or test, and packs its rows into
    sequences. Give it a separate folder, whose train.jsonl was not trained on.
    """
    path = normal(view.params["data_path"])
    for stage in view.plan.stages:
        tool = view.tool_of(stage)
        if tool and tool.is_training(stage.params) and path in _folders(stage, tool):
            message = (
                f"the perplexity would be measured on rows that stage '{stage.name}' is trained on"
            )
            yield Finding(
                parameter="data_path", message=message, hint="use data that was not trained on"
            )
            return


@rule("error", "T94")
def too_few_tokens(view: View) -> Iterator[Finding]:
    """Fewer tokens than a perplexity is to be measured on: mlx-lm fails with an IndexError.

    It packs rows into num_samples sequences of sequence_length tokens and runs out of rows. A token
    is at least one byte, so a small file is known to be too small without a tokenizer.
    """
    from runner.data.rows import TEMPLATE  # few recipes measure a perplexity

    params = view.params
    data = data_at(view, params["data_path"])
    size = data.sizes.get("train") if data else None
    needs = params["num_samples"] * params["sequence_length"]
    most = size + TEMPLATE * data.rows["train"] if data and size else None
    if most is not None and most < needs:
        message = (
            f"{plural(params['num_samples'], 'sample')} of "
            f"{plural(params['sequence_length'], 'token')} are {needs:,} tokens, but train has "
            f"fewer than {most:,}: mlx-lm would fail"
        )
        fits = most // params["sequence_length"] // 4
        hint = f"set num_samples to about {fits}" if fits else "add rows, or lower sequence_length"
        yield Finding(parameter="num_samples", message=message, hint=hint)


@rule("error", "T91")
def prompt_parts_ignored(view: View) -> Iterator[Finding]:
    """A system prompt, or the start of an answer, for a model without a chat template.

    mlx-lm then silently uses only the prompt. Use an instruct model, or write everything into the
    prompt.
    """
    facts = model_at(view, view.params["model"])
    if facts.chat_template is False:
        for name in _CHAT:
            if view.params[name] is not None:
                why = facts.no_template or "the model has no chat template"
                message = f"{name} would not reach the model: {why}"
                yield Finding(
                    parameter=name,
                    message=message,
                    hint="use an instruct model, or write it into the prompt",
                )


@rule("error")
def model_not_loadable(view: View) -> Iterator[Finding]:
    """A model folder on this disk that mlx-lm could not load.

    mlx-lm reads config.json (what the model type needs, and the quantization), every
    model*.safetensors, and a tokenizer. At run time a broken file fails late, often with an
    unrelated error.
    """
    for one in view.inputs:
        facts = view.facts.models.get(normal(one.path)) if one.kind == "model" else None
        if facts is not None and facts.unloadable and view.maker(one.path) is None:
            message = f"mlx-lm could not load the model '{one.path}': {facts.unloadable}"
            yield Finding(parameter=one.parameter, message=message, hint=facts.way_out)


def _folders(stage: Stage, tool: Tool) -> set[str]:
    """Return the data folders a stage reads."""
    inputs = (one for one in tool.inputs if one.input_kind(stage.params) == "data")
    return {normal(path) for one in inputs for path in one.paths(stage.params)}


_CHAT = ("system_prompt", "prefill_response", "chat_template_config")
_ENDS = ("low", "high")
_MEASURED = ("model", *(f"{end}_{what}" for end in _ENDS for what in ("bits", "group_size")))
_TARGETS = ("model", "data_path", "num_samples", "batch_size", "max_seq_length", "seed")
