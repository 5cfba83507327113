"""A tiny random model of any architecture, complete on disk, made without a hub.

A plain llama is written without importing mlx-lm, which would take as long as everything else; mlx-
lm builds any other.

The tokenizer next to this module is a byte-level BPE trained once on prose and source code. Every
newline is a token, so the tokens of a generation prompt are a prefix of those of the full text.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import json
import math
import os
import secrets
import shutil
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

from runner.base.errors import ToolError
from runner.base.problems import suggest
from runner.catalog import load
from runner.data.refusals import Precheck
from runner.system import printer, reader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runner.catalog.architectures import Architecture

FORMAT = 1
"""Raise it when the same parameters come to mean other files."""

PLAIN = "llama"
"""The architecture that the sizes are of; the sizes of any other are its own."""

SIZES = {"hidden_size": 64, "intermediate_size": 64, "num_attention_heads": 1}

GROUP = 64
"""The largest quantization group most recipes ask for; every quantized width is a multiple."""

FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
)
RECORD = "tiny.json"

SPECIALS = {"pad_token": "<|pad|>", "bos_token": "<|bos|>", "eos_token": "<|eos|>"}
END = "<|end|>"

CHAT_TEMPLATE = (
    "{% if tools %}{{ '<|system|>\\n' ~ (tools | tojson) ~ '<|end|>\\n' }}{% endif %}"
    "{% for message in messages %}"
    "{{ '<|' ~ message['role'] ~ '|>\\n' ~ (message['content'] or '') }}"
    "{% if message['tool_calls'] %}{{ message['tool_calls'] | tojson }}{% endif %}"
    "{{ '<|end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)


def build(
    path: Path,
    *,
    architecture: str = PLAIN,
    config: Mapping[str, Any] = MappingProxyType({}),
    num_layers: int = 2,
    hidden_size: int = 64,
    intermediate_size: int = 64,
    num_attention_heads: int = 1,
    seed: int = 0,
) -> None:
    """Write the model into the folder `path`, or keep the one that is already there."""
    record = settle(
        architecture=architecture,
        config=config,
        num_layers=num_layers,
        hidden_size=hidden_size,
        intermediate_size=intermediate_size,
        num_attention_heads=num_attention_heads,
        seed=seed,
    )
    target = path.resolve()
    if target.exists():
        _require_same(target, record)
    else:
        _build_beside(target, record)


def room(*, path: Path, **parameters: Any) -> None:
    """Raise ToolError if the output folder is there and holds another model, or none."""
    if path.exists():
        _require_same(path.resolve(), settle(**parameters))


def settle(**parameters: Any) -> dict[str, Any]:
    """Return the record of a model of these parameters. Raises ToolError if there is none."""
    _architecture(parameters["architecture"])
    if not isinstance(parameters["config"], Mapping):
        raise ToolError("config is not a JSON object", "config")
    parameters["config"] = dict(parameters["config"])
    for name, why in _problems(parameters):
        raise ToolError(why, name)
    return {"tool": "tiny", "format": FORMAT, **parameters}


def _architecture(name: str) -> Architecture:
    known = load.architectures().known
    if name not in known:
        hint = suggest(name, known, "docs/reference/model.tiny.md lists them")
        raise ToolError(
            f"there is no tiny model of the architecture '{name}': {hint}", "architecture"
        )
    return known[name]


def _problems(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, usual in SIZES.items():
        if record["architecture"] != PLAIN and record[name] != usual:
            why = f"{name} is a size of a {PLAIN}; a {record['architecture']} has its own sizes"
            yield name, f"{why}, which config can change"
    for name in ("num_layers", "hidden_size", "intermediate_size", "num_attention_heads"):
        if record[name] < 1:
            yield name, f"{name} is {record[name]}; it must be at least 1"
    for name in ("hidden_size", "intermediate_size"):
        if record[name] % GROUP:
            why = f"{name} is {record[name]}; it must be a multiple of {GROUP} to be quantized"
            yield name, why
    hidden, heads = record["hidden_size"], record["num_attention_heads"]
    if hidden % (2 * heads):
        why = f"hidden_size {hidden} does not split into {heads} attention heads of an even width"
        why += f". Write hidden_size {math.lcm(GROUP, 2 * heads)}"
        yield "num_attention_heads", why
    if not 0 <= record["seed"] < 2**64:
        yield "seed", f"seed is {record['seed']}; it must be at least 0 and less than 2**64"


def _require_same(target: Path, record: Mapping[str, Any]) -> None:
    before = _read_record(target)
    missing = [name for name in FILES if not (target / name).is_file()]
    if before is None:
        raise ToolError(f"{target} exists and is not a tiny model; name another path", "path")
    if missing:
        why = f"{target} lacks {', '.join(missing)}; remove the folder to rebuild it"
        raise ToolError(why, "path")
    if before != record:
        raise ToolError(
            f"{target} contains a tiny model with other parameters "
            f"({_difference(before, record)}); name another path",
            "path",
        )


def _read_record(target: Path) -> dict[str, Any] | None:
    try:
        record = reader.read_object(target / RECORD, reader.RECORD)
    except (OSError, reader.NotJsonError):
        return None
    return record if record.get("tool") == "tiny" else None


def _difference(before: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    names = [name for name in {**record, **before} if before.get(name) != record.get(name)]
    return ", ".join(f"{name} {before.get(name)}, not {record.get(name)}" for name in names)


def _build_beside(target: Path, record: Mapping[str, Any]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    beside.mkdir()
    try:
        _write(beside, record)
        beside.replace(target)
    except OSError:
        # Another process may have built the same model meanwhile.
        if not target.exists():
            raise
        _require_same(target, record)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def write_tokenizer(folder: Path) -> dict[str, int]:
    """Write the tokenizer of every tiny model into a folder; return its vocabulary."""
    tokenizer = resources.files(__package__).joinpath("tiny_tokenizer.json").read_bytes()
    (folder / "tokenizer.json").write_bytes(tokenizer)
    text = json.dumps(_tokenizer_config(), indent=2) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")
    vocab: dict[str, int] = json.loads(tokenizer)["model"]["vocab"]
    return vocab


def _write(folder: Path, record: Mapping[str, Any]) -> None:
    vocab = write_tokenizer(folder)
    plain = record["architecture"] == PLAIN and not record["config"]
    config = _config(record, vocab) if plain else _config_like(record, vocab)
    for name, content in {
        "config.json": config,
        "generation_config.json": _generation_config(vocab),
        RECORD: record,
    }.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    weights = folder / "model.safetensors"
    if plain:
        _save_weights(weights, record, len(vocab))
    else:
        _save_built(weights, config, record)
    for file in folder.iterdir():
        with file.open("rb") as stream:
            os.fsync(stream.fileno())


def _config(record: Mapping[str, Any], vocab: Mapping[str, int]) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "torch_dtype": "float32",
        "vocab_size": len(vocab),
        "num_hidden_layers": record["num_layers"],
        "hidden_size": record["hidden_size"],
        "intermediate_size": record["intermediate_size"],
        "num_attention_heads": record["num_attention_heads"],
        "num_key_value_heads": record["num_attention_heads"],
        "head_dim": record["hidden_size"] // record["num_attention_heads"],
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        **_generation_config(vocab),
    }


def _config_like(record: Mapping[str, Any], vocab: Mapping[str, int]) -> dict[str, Any]:
    """Return the configuration of a model that mlx-lm builds."""
    architecture = _architecture(record["architecture"])
    whole = architecture.made(record["num_layers"], record["config"])
    return {"torch_dtype": "float32", **whole, **_generation_config(vocab)}


def _generation_config(vocab: Mapping[str, int]) -> dict[str, Any]:
    return {
        "bos_token_id": vocab[SPECIALS["bos_token"]],
        "eos_token_id": [vocab[SPECIALS["eos_token"]], vocab[END]],
        "pad_token_id": vocab[SPECIALS["pad_token"]],
    }


def _tokenizer_config() -> dict[str, Any]:
    return {
        **SPECIALS,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }


def _shapes(record: Mapping[str, Any], vocab_size: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden, inner = record["hidden_size"], record["intermediate_size"]
    yield "model.embed_tokens.weight", (vocab_size, hidden)
    for layer in range(record["num_layers"]):
        prefix = f"model.layers.{layer}"
        yield f"{prefix}.input_layernorm.weight", (hidden,)
        yield f"{prefix}.post_attention_layernorm.weight", (hidden,)
        for name in "qkvo":
            yield f"{prefix}.self_attn.{name}_proj.weight", (hidden, hidden)
        yield f"{prefix}.mlp.gate_proj.weight", (inner, hidden)
        yield f"{prefix}.mlp.up_proj.weight", (inner, hidden)
        yield f"{prefix}.mlp.down_proj.weight", (hidden, inner)
    yield "model.norm.weight", (hidden,)
    yield "lm_head.weight", (vocab_size, hidden)


def _save_weights(file: Path, record: Mapping[str, Any], vocab_size: int) -> None:
    import mlx.core as mx

    shapes = list(_shapes(record, vocab_size))
    # Its own key: the caller's random state stays as it is. The CPU: the same bytes beside a GPU.
    with mx.stream(mx.cpu):
        keys = mx.random.split(mx.random.key(record["seed"]), len(shapes))
        weights = {
            name: mx.ones(shape)
            if len(shape) == 1
            # 1/sqrt(width) keeps activations near 1: at 0.02 a model this narrow hardly learns.
            else mx.random.normal(shape, scale=shape[-1] ** -0.5, key=key)
            for (name, shape), key in zip(shapes, keys, strict=True)
        }
        mx.save_safetensors(str(file), weights, metadata={"format": "mlx"})


def _save_built(file: Path, config: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    """Save what mlx-lm's own model file makes of a configuration, as it initializes it.

    It takes its numbers from the random state of this process.
    """
    import mlx.core as mx
    from mlx.utils import tree_flatten

    module = importlib.import_module(f"mlx_lm.models.{record['architecture']}")
    mx.random.seed(record["seed"])
    with mx.stream(mx.cpu):
        model = module.Model(module.ModelArgs.from_dict(copy.deepcopy(config)))
        weights = dict(tree_flatten(model.parameters()))
        mx.save_safetensors(str(file), weights, metadata={"format": "mlx"})


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(
        prog="run-recipe model tiny", description=build.__doc__, allow_abbrev=False
    )
    parser.add_argument("--path", type=Path, required=True, help="the output folder")
    parser.add_argument("--architecture", default=PLAIN, help="a model file of mlx-lm")
    parser.add_argument(
        "--config", type=json.loads, default={}, help="JSON that overrides its configuration"
    )
    parser.add_argument("--num-layers", type=int, default=2, help="decoder blocks")
    parser.add_argument("--hidden-size", type=int, default=64, help="features of a token")
    parser.add_argument("--intermediate-size", type=int, default=64, help="features inside an MLP")
    parser.add_argument("--num-attention-heads", type=int, default=1, help="attention heads")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random weights")
    return parser


AHEAD = Precheck(parser=parser, settle=settle, room=room, out="path")


def main(argv: Sequence[str] | None = None) -> None:
    """Build the model that the command line describes."""
    arguments = vars(parser().parse_args(argv))
    try:
        build(**arguments)
    except (OSError, ToolError) as error:
        _fail(error)


def _fail(error: Exception) -> NoReturn:
    printer.say(f"error: {error}")
    raise SystemExit(1) from error


if __name__ == "__main__":
    main()
