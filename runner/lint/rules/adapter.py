"""The adapter's shape: layers and modules that do not exist, types the base model cannot use."""

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
_SQUASHED = {name.replace("_", ""): name for name in _COMMON}
_PATTERN = pattern(r"[*?^$|()\[\]\\]")
_IN_BLOCK = pattern(r"(?:^|\.)(?:layers|blocks|h)\.\d+\.(.+)")
_OUTSIDE = pattern(r"(?:^|\.)(?:lm_head|embed_tokens|wte|wpe|embed_out|tok_embeddings)\Z")
_MATRIX = 2
_EXPERTS = 3


@rule("error", "T39")
def num_layers_ambiguous(view: View) -> Iterator[Finding]:
    """A num_layers of 0, or below -1, trains all layers.

    mlx-lm reads every number that is not positive as "all". Write -1 for all layers; no number
    means none.
    """
    number = view.params["num_layers"]
    if view.trains and (number == 0 or number < -1):
        message = f"num_layers {number} would train all layers"
        yield Finding(parameter="num_layers", message=message, hint="write -1 for all layers")


@rule("error", "T40")
def num_layers_more_than_the_model_has(view: View) -> Iterator[Finding]:
    """More layers than the model has: mlx-lm fails after loading the model.

    The default is 16, more than small models have. Write -1 for all layers.
    """
    layers = model_at(view, view.params["model"]).layers
    number = view.params["num_layers"]
    if view.trains and layers and number > layers:
        has = plural(layers, "layer")
        message = f"the model has {has}, and num_layers is {number}: mlx-lm would fail"
        yield Finding(
            parameter="num_layers", message=message, hint=f"write {layers}, or -1 for all layers"
        )


@rule("error", "T41", "T42")
def keys_match_nothing(view: View) -> Iterator[Finding]:
    """A key that is not a module of a block is silently ignored.

    Keys are paths inside a block, exactly as mlx-lm names them: ``self_attn.q_proj``, not
    ``q_proj``, and not a pattern. If no key matches, mlx-lm fails after the first validation; if
    some match, it trains only those.
    """
    inside = blocks(model_at(view, view.params["model"]))
    for key in _keys(view):
        if _IN_BLOCK.search(key) or _OUTSIDE.search(key):
            continue
        if _PATTERN.search(key):
            message = (
                f"'{key}' would match no module: mlx-lm has no patterns, it compares whole names"
            )
            yield Finding(
                parameter="lora_parameters.keys", message=message, hint="list every module"
            )
        elif inside and key in inside:
            if len(inside[key]) < _MATRIX:
                message = f"'{key}' is not a linear or embedding layer: mlx-lm would fail"
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
    """A key that names one block by its number is trained regardless of num_layers.

    mlx-lm compares keys with paths inside a block and with paths from the model's root. A path
    with a block's number adapts that block, whether num_layers covers it or not.
    """
    for key in _keys(view):
        match = _IN_BLOCK.search(key)
        if match:
            message = f"'{key}' would be trained regardless of num_layers"
            hint = f"write '{match[1]}', which is trained in the last num_layers blocks"
            yield Finding(parameter="lora_parameters.keys", message=message, hint=hint)


@rule("warning", "T43")
def keys_outside_the_blocks(view: View) -> Iterator[Finding]:
    """A key outside the blocks, such as lm_head, is trained regardless of num_layers.

    This may be intended. Such an adapter can be large: its size grows with the vocabulary.
    """
    for key in _keys(view):
        if _OUTSIDE.search(key) and not _IN_BLOCK.search(key):
            message = f"'{key}' is outside the blocks and would be trained as well"
            yield Finding(
                parameter="lora_parameters.keys",
                message=message,
                hint="remove it if this is not intended",
            )


@rule("warning", "T45")
def keys_not_said(view: View) -> Iterator[Finding]:
    """Without keys, mlx-lm decides which modules are adapted, and its choice has changed before.

    Up to 0.28.1 it adapted two attention modules per block; since then, every linear and embedding
    layer. Write lora_parameters.keys, or ``keys: null`` to state that you want all of them.
    """
    full = view.params["fine_tune_type"] == "full"
    if view.trains and not full and "lora_parameters.keys" not in view.explicit:
        message = "the adapted modules depend on the mlx-lm version"
        yield Finding(
            parameter="lora_parameters",
            message=message,
            hint="write keys, or 'keys: null' for all of them",
        )


@rule("error", "T46")
def full_ignores_lora_parameters(view: View) -> Iterator[Finding]:
    """Full fine-tuning has no adapter: lora_parameters are ignored.

    mlx-lm trains the weights of the last num_layers blocks directly. Set ``lora_parameters:
    !reset`` if they are inherited, or choose the type lora.
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
            hint="remove them, or set lora_parameters: !reset",
        )


@rule("error", "T47")
def full_on_quantized(view: View) -> Iterator[Finding]:
    """Full fine-tuning of a quantized model fails at the first step.

    Quantized weights have no gradient. Start from a model in full precision, or train an adapter.
    """
    facts = model_at(view, view.params["model"])
    if view.trains and view.params["fine_tune_type"] == "full" and facts.quantized_bits:
        message = (
            f"the base model is quantized to {facts.quantized_bits} bits ({facts.because}): full "
            "fine-tuning would fail at the first step"
        )
        hint = "use a full-precision model, or set fine_tune_type: lora"
        yield Finding(parameter="fine_tune_type", message=message, hint=hint)


@rule("error", "T48")
def dora_on_odd_bits(view: View) -> Iterator[Finding]:
    """DoRA fails on a 3-bit, 5-bit or 6-bit base model, and on a quantized embedding.

    It assumes 32 // bits weights per word when it computes a layer's width, which is wrong for
    these; it does not unpack embeddings at all.
    """
    facts = model_at(view, view.params["model"])
    if not (view.trains and view.params["fine_tune_type"] == "dora" and facts.quantized_bits):
        return
    if facts.quantized_bits in UNEVEN:
        message = f"DoRA cannot train a {facts.quantized_bits}-bit base model ({facts.because})"
        yield Finding(
            parameter="fine_tune_type",
            message=message,
            hint="use a 4-bit or 8-bit base model, or the type lora",
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
    """DoRA fails on the experts of a mixture-of-experts model.

    mlx-lm has no DoRA for them, but its default keys include them. Write keys without them.
    """
    if not view.trains or view.params["fine_tune_type"] != "dora":
        return
    keys = view.params["lora_parameters"]["keys"]
    inside = blocks(model_at(view, view.params["model"]))
    experts = [name for name, shape in inside.items() if len(shape) == _EXPERTS]
    adapted = [name for name in experts if "conv" not in name and (keys is None or name in keys)]
    if adapted:
        message = f"DoRA cannot train experts such as '{adapted[0]}': mlx-lm would fail"
        yield Finding(
            parameter="lora_parameters.keys",
            message=message,
            hint="list keys without them, or use the type lora",
        )


def _keys(view: View) -> list[str]:
    """Return the keys an adapter is asked for, none where nothing is trained or all are."""
    has_keys = view.trains and view.params["fine_tune_type"] != "full"
    return list(view.params["lora_parameters"]["keys"] or ()) if has_keys else []


def _unlikely(key: str) -> Iterator[Finding]:
    """Yield a finding for a key that no model of mlx-lm knows, judged by its form alone."""
    near = _SQUASHED.get(key.replace("_", "").casefold())
    if key in _BARE:
        message = f"'{key}' would match no module: keys are paths inside a block"
        yield Finding(
            parameter="lora_parameters.keys", message=message, hint=f"write '{_BARE[key]}.{key}'"
        )
    elif key in _WHOLE:
        message = f"'{key}' is not a linear layer: mlx-lm would fail, or train nothing"
        hint = "list every module, or write 'keys: null' for all of them"
        yield Finding(parameter="lora_parameters.keys", message=message, hint=hint)
    elif near and near != key:
        message = f"'{key}' would match no module"
        yield Finding(
            parameter="lora_parameters.keys", message=message, hint=f"did you mean '{near}'?"
        )
