"""What is known of the files a plan names: adapters, data, models."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import force_setattr

from runner.base.constants import normal


class Finding(Struct, frozen=True, kw_only=True):
    """What a rule found: the parameter (dotted), what MLX would do, and what to change.

    One that `stops` is an error where its rule is a warning: what is about to run would fail.
    """

    parameter: str
    message: str
    hint: str = ""
    stops: bool = False


class Adapter(Struct, frozen=True, kw_only=True):
    """An adapter's shape: from the stage that trains it, or read from the files on disk.

    `fine_tune_type` is "none" for files that hold no adapter. `base` is the model it was trained
    on as it was named, None if that is not known. `disagrees` is what adapter_config.json says
    and the tensors do not, `newer` by how many seconds it is younger than they are; of `bare`
    tensors it says no keys, and of a `whole` adapter that they are all. `unloadable` is why mlx-lm
    cannot load it, with `way_out`; `unscaled` why its scale is not known.
    """

    fine_tune_type: str
    rank: int | None
    scale: float | None
    keys: tuple[str, ...] | None
    num_layers: int
    base: str | None
    source: str
    seed: int | None = None
    data: str | None = None
    disagrees: str = ""
    newer: float = 0.0
    bare: bool = False
    whole: bool = False
    unloadable: str = ""
    way_out: str = ""
    unscaled: str = ""


class DataSet(Struct, frozen=True, kw_only=True):
    """A data folder: rows and the first row's keys by split; absent splits are absent.

    `shapes` are the first rows without what they say: their keys, and those of their messages.
    `others` are its .jsonl files that mlx-lm does not look at, `sizes` the bytes of each split.
    """

    path: str
    rows: Mapping[str, int]
    keys: Mapping[str, frozenset[str]] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    shapes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class ModelFacts(Struct, frozen=True, kw_only=True):
    """What is known of a model: from the stages that make it, its files, or its name alone.

    `unloadable` is why mlx-lm cannot load it, with `way_out`; `no_template` why it has none.

    `weights` are shapes by module path, before quantization; empty where they are not known or not
    called as mlx-lm calls them. `because` says how it is known to be quantized.
    """

    path: str
    model_type: str = ""
    layers: int | None = None
    quantized_bits: int | None = None
    dtype: str | None = None
    chat_template: bool | None = None
    weights: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    because: str = "according to its config.json"
    unloadable: str = ""
    way_out: str = ""
    no_template: str = ""


class Moving(Struct, frozen=True, kw_only=True):
    """A name of the hub that nothing pins, and the first parameter that says it.

    One that is not `lockable` is loaded by a tool that takes no revision.
    """

    stage: str
    parameter: str
    name: str
    lockable: bool


class DiskFacts(Struct, frozen=True, kw_only=True):
    """What the edges know of the files a plan names, by path; empty if nothing is on disk.

    `absent` are the paths it reads that are not there, `beside` those of them whose folder is;
    `existing` are the paths it writes that are there; `packages` the installed versions of mlx-lm
    and of the hub's client; `starting` the stages that are about to run. By stage, `gaps` is what
    could not be looked at, `template_refusals` what the model's chat template does not take, and
    `tool_refusals` what a tool of ours would stop at. `unreachable` says of paths it writes why
    nothing can be made there. `moving` are the names of the hub that nothing pins, in the order of
    the stages: stage, parameter, name, and whether a revision pins it.
    """

    adapters: Mapping[str, Adapter] = field(default_factory=dict)
    data: Mapping[str, DataSet] = field(default_factory=dict)
    models: Mapping[str, ModelFacts] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    existing: frozenset[str] = frozenset()
    packages: Mapping[str, str] = field(default_factory=dict)
    beside: frozenset[str] = frozenset()
    starting: frozenset[str] = frozenset()
    gaps: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)
    template_refusals: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)
    tool_refusals: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)
    unreachable: Mapping[str, str] = field(default_factory=dict)
    moving: tuple["Moving", ...] = ()

    def __post_init__(self) -> None:
        for name in ("adapters", "data", "models"):
            by_path = {normal(path): one for path, one in getattr(self, name).items()}
            force_setattr(self, name, by_path)
