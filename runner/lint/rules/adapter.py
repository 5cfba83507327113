"""The adapter's shape: layers and modules that are not there, types that a base cannot take."""

from collections.abc import Iterator

from runner.base.patterns import pattern
from runner.base.problems import listing, plural, suggest
from runner.lint.facts import Finding
from runner.lint.lineage import UNEVEN, blocks, model_at
from runner.lint.rule import View, rule

# Names as PEFT takes them, which mlx-lm would look for at the top of a block and not find.
_BARE = {
    **dict.fromkeys(("q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj"), "self_attn"),
    **dict.fromkeys(("gate_proj", "up_proj", "down_proj", "gate_up_proj"), "mlp"),
}
_WHOLE = ("self_attn", "mlp", "attention", "attn", "feed_forward", "all-linear", "all")
_COMMON = {f"{place}.{name}" for name, place in _BARE.items()} | {"self_attn.out_proj"}
_PATTERN = pattern(r"[*?^$|()\[\]\\]")
_IN_BLOCK = pattern(r"(?:^|\.)(?:layers|blocks|h)\.\d+\.(.+)")
_OUTSIDE = pattern(r"(?:^|\.)(?:lm_head|embed_tokens|wte|wpe|embed_out|tok_embeddings)\Z")
_MATRIX = 2
_EXPERTS = 3


@rule("error", "T39")
def num_layers_ambiguous(view: View) -> Iterator[Finding]:
    """A num_layers of 0, or below -1, trains all layers.

    mlx-lm takes every number that is not positive for "all". Write -1 for all of them; there is no
    number for none.
    """
    number = view.params["num_layers"]
    if view.trains and (number == 0 or number < -1):
        message = f"num_layers {number} would train all layers"
        yield Finding(parameter="num_layers", message=message, hint="write -1 for all layers")


@rule("error", "T40")
def num_layers_more_than_the_model_has(view: View) -> Iterator[Finding]:
    """More layers than the model has: mlx-lm stops after it has loaded the model.

    The default is 16, which small models do not have. Write -1 for all layers.
    """
    layers = model_at(view, view.params["model"]).layers
    number = view.params["num_layers"]
    if view.trains and layers and number > layers:
        has = plural(layers, "layer")
        message = f"the model has {has}, and num_layers is {number}: mlx-lm would stop"
        yield Finding(
            parameter="num_layers", message=message, hint=f"write {layers}, or -1 for all layers"
        )


@rule("error", "T41", "T42")
def keys_match_nothing(view: View) -> Iterator[Finding]:
    """A key that is no module of a block is dropped without a word.

    Keys are paths inside a block, exactly as mlx-lm calls them: ``self_attn.q_proj``, not
    ``q_proj`` and no pattern. If no key matches at all, mlx-lm stops after the first validation;
    if some do, it trains those alone.
    """
    inside = blocks(model_at(view, view.params["model"]))
    for key in _keys(view):
        if _IN_BLOCK.search(key) or _OUTSIDE.search(key):
            continue
        if _PATTERN.search(key):
            message = f"'{key}' would match no module: mlx-lm compares keys letter by letter"
            yield Finding(
                parameter="lora_parameters.keys", message=message, hint="write out every module"
            )
        elif inside and key in inside:
            if len(inside[key]) < _MATRIX:
                message = f"'{key}' is no linear or embedding layer: mlx-lm would stop"
                yield Finding(parameter="lora_parameters.keys", message=message, hint="remove it")
        elif inside:
            linear = sorted(name for name, shape in inside.items() if len(shape) >= _MATRIX)
            near = [name for name in linear if name.endswith(f".{key}")]
            hint = f"did you mean '{near[0]}'?" if near else suggest(key, linear)
            message = f"'{key}' would match no module of the model"
            yield Finding(
                parameter="lora_parameters.keys",
                message=message,
                hint=hint or f"there are: {listing(linear)}",
            )
        else:
            yield from _unlikely(key)


@rule("error", "T43")
def keys_from_the_root(view: View) -> Iterator[Finding]:
    """A key that names one block by its number is trained besides num_layers.

    mlx-lm compares keys with paths inside a block and with paths from the model's root. A path
    with a block's number adapts that block, whether num_layers covers it or not.
    """
    for key in _keys(view):
        match = _IN_BLOCK.search(key)
        if match:
            message = f"'{key}' would be trained whatever num_layers says"
            hint = f"write '{match[1]}', which is trained in the last num_layers blocks"
            yield Finding(parameter="lora_parameters.keys", message=message, hint=hint)


@rule("warning", "T43")
def keys_outside_the_blocks(view: View) -> Iterator[Finding]:
    """A key outside of the blocks, as lm_head, is trained whatever num_layers says.

    This may be meant. Such an adapter can be large: its size goes with the vocabulary.
    """
    for key in _keys(view):
        if _OUTSIDE.search(key) and not _IN_BLOCK.search(key):
            message = f"'{key}' stands outside of the blocks and would be trained besides them"
            yield Finding(
                parameter="lora_parameters.keys",
                message=message,
                hint="remove it if that is not meant",
            )


@rule("warning", "T45")
def keys_not_said(view: View) -> Iterator[Finding]:
    """Without keys, mlx-lm decides what is adapted, and did so differently in the past.

    Up to 0.28.1 it took two attention modules of a block, since then every linear and embedding
    layer. Write lora_parameters.keys, or ``keys: null`` to say that all of them are meant.
    """
    full = view.params["fine_tune_type"] == "full"
    if view.trains and not full and "lora_parameters.keys" not in view.explicit:
        message = "which modules are adapted depends on the version of mlx-lm"
        yield Finding(
            parameter="lora_parameters",
            message=message,
            hint="write keys, or 'keys: null' for all of them",
        )


@rule("error", "T46")
def full_ignores_lora_parameters(view: View) -> Iterator[Finding]:
    """Full fine-tuning has no adapter: lora_parameters are ignored.

    mlx-lm trains the weights of the last num_layers blocks themselves. Say ``lora_parameters:
    !reset`` where they are inherited, or choose the type lora.
    """
    if (
        view.trains
        and view.params["fine_tune_type"] == "full"
        and "lora_parameters" in view.explicit
    ):
        message = "lora_parameters would be ignored: full fine-tuning has no rank, scale or keys"
        yield Finding(
            parameter="lora_parameters",
            message=message,
            hint="remove them, or say lora_parameters: !reset",
        )


@rule("error", "T47")
def full_on_quantized(view: View) -> Iterator[Finding]:
    """Full fine-tuning of a quantized model stops at the first step.

    Quantized weights have no gradient. Start from a model in full precision, or train an adapter.
    """
    facts = model_at(view, view.params["model"])
    if view.trains and view.params["fine_tune_type"] == "full" and facts.quantized_bits:
        message = (
            f"the base model is quantized to {facts.quantized_bits} bits ({facts.because}): full "
            "fine-tuning would stop at the first step"
        )
        hint = "name a model in full precision, or say fine_tune_type: lora"
        yield Finding(parameter="fine_tune_type", message=message, hint=hint)


@rule("error", "T48")
def dora_on_odd_bits(view: View) -> Iterator[Finding]:
    """DoRA stops on a base of 3, 5 or 6 bits, and on a quantized embedding.

    It computes a layer's width as 32 // bits weights in a word, which is wrong for these; an
    embedding it does not unpack at all.
    """
    facts = model_at(view, view.params["model"])
    if not (view.trains and view.params["fine_tune_type"] == "dora" and facts.quantized_bits):
        return
    if facts.quantized_bits in UNEVEN:
        message = f"DoRA cannot train on a base of {facts.quantized_bits} bits ({facts.because})"
        yield Finding(
            parameter="fine_tune_type",
            message=message,
            hint="use a base of 4 or 8 bits, or the type lora",
        )
    for key in _keys(view):
        if _OUTSIDE.search(key) and not key.endswith("lm_head"):
            message = f"DoRA cannot train the quantized embedding '{key}'"
            yield Finding(
                parameter="lora_parameters.keys",
                message=message,
                hint="remove it, or use the type lora",
            )


@rule("error", "T48")
def dora_on_experts(view: View) -> Iterator[Finding]:
    """DoRA stops on the experts of a mixture-of-experts model.

    mlx-lm has no DoRA for them, and its default keys include them. Write keys without them.
    """
    if not view.trains or view.params["fine_tune_type"] != "dora":
        return
    keys = view.params["lora_parameters"]["keys"]
    inside = blocks(model_at(view, view.params["model"]))
    experts = [name for name, shape in inside.items() if len(shape) == _EXPERTS]
    adapted = [name for name in experts if "conv" not in name and (keys is None or name in keys)]
    if adapted:
        message = f"DoRA cannot train experts such as '{adapted[0]}': mlx-lm would stop"
        yield Finding(
            parameter="lora_parameters.keys",
            message=message,
            hint="write keys without them, or the type lora",
        )


def _keys(view: View) -> list[str]:
    """Return the keys an adapter is asked for, none where nothing is trained or all are."""
    has_keys = view.trains and view.params["fine_tune_type"] != "full"
    return list(view.params["lora_parameters"]["keys"] or ()) if has_keys else []


def _unlikely(key: str) -> Iterator[Finding]:
    """Yield a finding for a key that no model of mlx-lm knows, judged by its form alone."""
    squashed = {name.replace("_", ""): name for name in _COMMON}
    near = squashed.get(key.replace("_", "").casefold())
    if key in _BARE:
        message = f"'{key}' would match no module: keys are paths inside a block"
        yield Finding(
            parameter="lora_parameters.keys", message=message, hint=f"write '{_BARE[key]}.{key}'"
        )
    elif key in _WHOLE:
        message = f"'{key}' is no linear layer: mlx-lm would stop, or train nothing"
        hint = "write out every module, or 'keys: null' for all of them"
        yield Finding(parameter="lora_parameters.keys", message=message, hint=hint)
    elif near and near != key:
        message = f"'{key}' would match no module"
        yield Finding(
            parameter="lora_parameters.keys", message=message, hint=f"did you mean '{near}'?"
        )
