"""A safetensors file -> the shapes and types of its tensors, without reading them."""

import json
import struct
from pathlib import Path
from typing import Any

Json = dict[str, Any]
MAX_HEADER = 200_000_000


def header(file: Path) -> dict[str, Json] | None:
    """Return a safetensors header: an 8-byte length, then JSON; None if it is none.

    It holds a shape and a dtype by tensor name, and a mapping of texts as ``__metadata__``.
    """
    try:
        with file.open("rb") as stream:
            lead = stream.read(8)
            length = struct.unpack("<Q", lead)[0]
            if length > min(MAX_HEADER, file.stat().st_size):
                return None
            said = json.loads(stream.read(length))
    except (OSError, ValueError, struct.error, RecursionError):
        return None
    good = isinstance(said, dict) and all(
        isinstance(entry, dict) and (name == "__metadata__" or isinstance(entry.get("shape"), list))
        for name, entry in said.items()
    )
    return said if good else None


def tensors(file: Path) -> dict[str, Json]:
    """Return the shape and the dtype of every tensor of a safetensors file, by name."""
    return {name: one for name, one in (header(file) or {}).items() if name != "__metadata__"}
