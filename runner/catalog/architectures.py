"""The architectures of mlx-lm: a tiny configuration of each, and its layers.

The facts are in schema/architectures.json. ``python -m benchmarks.architectures derive``
regenerates layers and switches from mlx_lm's own model files. The tiny configurations were found by
building them, and ``make architectures`` tests them all.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from msgspec import Struct

Json = dict[str, Any]
DEPTH = "$layers"
EACH, AT, BASE = "$each", "$at", "from"
TEXT = "text_config"
_PLACE = re.compile(r"(?:^|.*\.)(?:layers|h|blocks|block)\.\d+\.")


class Variant(Struct, frozen=True, kw_only=True):
    """A switch of a configuration that makes other layers: the field, its value, the layers."""

    field: str
    value: Any
    keys: tuple[str, ...]


class Architecture(Struct, frozen=True, kw_only=True):
    """A model file of mlx-lm at toy scale.

    `layers` is the least depth that has every kind of layer; `config` holds ``$layers`` where the
    depth stands, and ``$each`` or ``$at`` where something is said of each layer. `keys` are the
    layers that mlx-lm's LoRA can adapt, as ``lora_parameters.keys`` names them; `switches` are the
    fields that may be taken from a real model, each with the values that fit the tiny one.
    """

    name: str
    layers: int
    config: Json
    keys: tuple[str, ...] = ()
    switches: Mapping[str, tuple[Any, ...]] = {}
    variants: tuple[Variant, ...] = ()

    def made(self, layers: int, changes: Mapping[str, Any]) -> Json:
        """Return the configuration of a model with this many layers; `changes` override it."""
        depth = max(layers, self.layers)
        whole: Json = {"model_type": self.name, **_filled(self.config, depth)}
        for field, value in changes.items():
            inside = TEXT in whole and field != "model_type"
            place = whole[TEXT] if inside else whole
            place[field] = value
        return whole

    def taken(self, real: Mapping[str, Any]) -> Json:
        """Return the switches that a tiny model copies from a real model's configuration.

        Sizes and per-layer settings are the tiny model's own.
        """
        changes: Json = {}
        inner = real.get(TEXT)
        source = inner if TEXT in self.config and isinstance(inner, dict) else real
        usual = self.config.get(TEXT, self.config)
        for field, values in self.switches.items():
            value = source.get(field, usual.get(field))
            if field in source and _among(value, values) and not _same(value, usual, field):
                changes[field] = value
        return changes

    def layer_keys(self, changes: Mapping[str, Any]) -> frozenset[str]:
        """Return the layers that a model with changes has."""
        changed = [one for one in self.variants if _same(one.value, changes, one.field)]
        return frozenset(key for one in (changed or (self,)) for key in one.keys)


class Architectures(Struct, frozen=True, kw_only=True):
    """Every architecture, and the model types that mlx-lm builds of another one's file.

    `usual` are those that keys are looked for in first, as they stand.
    """

    aliases: Mapping[str, str]
    usual: tuple[str, ...]
    known: Mapping[str, Architecture]

    def like(self, config: Mapping[str, Any]) -> tuple[Architecture, Json] | None:
        """Return the architecture of a real model, and what a tiny one takes from it.

        None where mlx-lm builds no such model, or no tiny one can be.
        """
        kind = str(config.get("model_type"))
        classes = config.get("architectures")
        for written in classes if isinstance(classes, list) else ():
            kind = self.aliases.get(f"{kind}/{written}", kind)
        architecture = self.known.get(self.aliases.get(kind, kind))
        if architecture is None:
            return None
        named = {} if kind == architecture.name else {"model_type": kind}
        return architecture, named | architecture.taken(config)

    def with_keys(self, keys: Collection[str]) -> tuple[Architecture, Json] | None:
        """Return the first architecture that has all these layers, and what is changed for it."""
        wanted = {bare(key) for key in keys}
        rest = [name for name in self.known if name not in self.usual]
        for names in (self.usual, rest):
            some = [self.known[name] for name in names]
            for one in some:
                if wanted <= frozenset(one.keys):
                    return one, {}
            for one in some:
                for variant in one.variants:
                    if wanted <= frozenset(variant.keys):
                        return one, {variant.field: variant.value}
        return None

    def lacking(self, keys: Sequence[str]) -> list[str]:
        """Return the keys that no architecture has."""
        every = {
            key
            for one in self.known.values()
            for part in (one.keys, *(variant.keys for variant in one.variants))
            for key in part
        }
        return [key for key in keys if bare(key) not in every]


def bare(key: str) -> str:
    """Return a key as it applies to every layer, even if it names one (layers.3)."""
    return _PLACE.sub("", key)


def _filled(value: Any, depth: int) -> Any:
    if value == DEPTH:
        return depth
    if isinstance(value, dict):
        if EACH in value:
            pattern = value[EACH]
            return [_filled(pattern[at % len(pattern)], depth) for at in range(depth)]
        if AT in value:
            pattern = value[AT]
            return [at + value[BASE] for at in range(depth) if pattern[at % len(pattern)]]
        return {name: _filled(child, depth) for name, child in value.items()}
    return value


def _among(value: Any, values: Collection[Any]) -> bool:
    """Return whether a value is one of some; true is not 1."""
    return any(type(value) is type(one) and value == one for one in values)


def _same(value: Any, mapping: Mapping[str, Any], field: str) -> bool:
    return field in mapping and _among(mapping[field], (value,))
