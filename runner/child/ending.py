"""What a stage leaves behind: there, readable, finite, and trained."""

import json
import struct
from pathlib import Path
from typing import Any

from runner.child.seen import Host
from runner.core.plan import bind
from runner.edges import disk


class OutputError(RuntimeError):
    """A stage ended without an error, and what it made is not what it should be."""


def check(host: Host) -> None:
    """Look at every output of a stage. Raises OutputError."""
    for name, said in host.stage.outputs.items():
        path = Path(bind(said, host.folder))
        if not path.exists():
            why = f"{name}: {path} was not made"
            raise OutputError(why)
        files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
        for file in files:
            if file.suffix == ".safetensors":
                _header(file)
    adapter = host.stage.outputs.get("adapter_file")
    if adapter:
        _adapter(Path(bind(adapter, host.folder)), host)


def _header(file: Path) -> dict[str, Any]:
    """Return a safetensors header; its offsets must fit the file (a full disk truncates it)."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        lead = stream.read(8)
        length = struct.unpack("<Q", lead)[0] if len(lead) == 8 else size  # noqa: PLR2004
        if length + 8 > size:
            why = f"{file} is truncated"
            raise OutputError(why)
        header: dict[str, Any] = json.loads(stream.read(length))
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    if max(ends, default=0) + 8 + length != size:
        why = f"{file} is truncated"
        raise OutputError(why)
    return header


def _adapter(file: Path, host: Host) -> None:
    """Check that an adapter's tensors are finite, and that training changed them (T44, T71)."""
    import mlx.core as mx

    tensors: Any = mx.load(str(file))
    for name, tensor in tensors.items():
        if not mx.all(mx.isfinite(tensor)).item():
            why = f"{file}: {name} is not finite"
            raise OutputError(why)
    grown = [tensor for name, tensor in tensors.items() if name.endswith("lora_b")]
    if grown and not any(mx.any(tensor != 0).item() for tensor in grown):
        why = f"{file}: every lora_b is still zero, so nothing was trained"
        raise OutputError(why)
    _recorded(file, tensors)
    host.observed["adapter_tensors"] = len(tensors)
    host.write(host.verdicts())


def _recorded(file: Path, tensors: Any) -> None:
    """Check that adapter_config.json is of these tensors: what is read later goes by it (T59)."""
    said = disk.read_json(file.parent / "adapter_config.json") or {}
    rank = (said.get("lora_parameters") or {}).get("rank")
    for name, tensor in tensors.items():
        if name.endswith("lora_b") and rank is not None and rank not in tensor.shape:
            why = f"{file}: {name} is {tensor.shape}, but adapter_config.json says rank {rank}"
            raise OutputError(why)
