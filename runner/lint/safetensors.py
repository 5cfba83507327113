"""A safetensors file -> the shapes and types of its tensors, without reading them, or why not."""

import os
import struct
from pathlib import Path
from typing import Any

from runner.base.formatting import size_of
from runner.system import reader

Json = dict[str, Any]
LEAD = 8
METADATA = "__metadata__"
MAX_HEADER = 16 << 20
"""Bytes of a header; a longer one is not looked at."""


class HeaderError(ValueError):
    """A file that is no safetensors file, or not a whole one; the text says why."""


def header(file: Path) -> dict[str, Json]:
    """Return a safetensors header: an 8-byte length, then JSON.

    It holds a shape and a dtype by tensor name, and a mapping of texts as ``__metadata__``. Raises
    OSError where the file cannot be read, HeaderError where it is none that mlx-lm reads.
    """
    with reader.open_file(file) as stream:
        size = os.fstat(stream.fileno()).st_size
        lead = stream.read(LEAD)
        if len(lead) < LEAD:
            raise HeaderError("it is empty" if not lead else f"it is truncated after {size} bytes")
        length = struct.unpack("<Q", lead)[0]
        if length + LEAD > size:
            raise HeaderError(_cut(size, length + LEAD) if 0 < length <= MAX_HEADER else _OTHER)
        if not length:
            raise HeaderError(_OTHER)
        if length > MAX_HEADER:
            most = size_of(MAX_HEADER)
            raise HeaderError(f"its header is {size_of(length)}, and the limit is {most}")
        text = stream.read(length)
    try:
        entries = reader.json_object(text)
    except reader.NotJsonError as error:
        raise HeaderError(f"its header cannot be read: {error}") from error
    _require_tensors(entries, size - LEAD - length)
    return entries


def tensors(file: Path) -> dict[str, Json]:
    """Return the shape and the dtype of every tensor of a file, by name. Raises as `header`."""
    return {name: one for name, one in header(file).items() if name != METADATA}


_OTHER = "it is not a safetensors file: its first 8 bytes are not the length of a header"


def _require_tensors(entries: Json, room: int) -> None:
    """Raise HeaderError for an entry that is no tensor, or for data that is not there."""
    end = 0
    for name, entry in entries.items():
        if name == METADATA:
            if not isinstance(entry, dict | None):  # mlx writes null if there is none
                raise HeaderError(f"its header's {METADATA} is not an object")
            continue
        if not _is_tensor(entry):
            lacks = "is not a tensor: it lacks dtype, shape or data_offsets"
            raise HeaderError(f"the entry {name!r:.80} of its header {lacks}")
        end = max(end, entry["data_offsets"][1])
    if end > room:
        raise HeaderError(_cut(room, end))


def _is_tensor(entry: object) -> bool:
    match entry:
        case {"dtype": str(), "shape": [*shape], "data_offsets": [start, end]}:
            return all(type(one) is int and one >= 0 for one in (*shape, start, end))
    return False


def _cut(there: int, whole: int) -> str:
    return f"it is truncated: {size_of(there)} of {size_of(whole)}"
