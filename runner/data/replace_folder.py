"""A folder that is written next to its place and moved there once it is complete."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from runner.base.errors import ToolError
from runner.data.rows import SPLITS
from runner.system import reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path


def room_for(tool: str, *sources: str) -> Callable[..., None]:
    """Return what refuses a folder ``out`` that `tool` does not replace, with a ToolError.

    `sources` name the arguments that it reads.
    """

    def room(*, out: Path, **arguments: Any) -> None:
        require_replaceable(out.resolve(), tool, *(arguments[name] for name in sources))

    return room


def require_replaceable(target: Path, tool: str, *sources: Path) -> None:
    """Refuse a target that `tool` reads, or that holds what it did not write itself."""
    if str(target) in [os.path.realpath(source) for source in sources]:  # which ends in a loop, too
        raise ToolError(f"{target} is an input of this {tool}; name another output folder", "out")
    if not target.exists():
        return
    if not target.is_dir():
        raise ToolError(f"{target} exists and is not a folder", "out")
    record = f"{tool}.json"
    names = {entry.name for entry in target.iterdir()}
    own = {*(f"{split}.jsonl" for split in SPLITS), record}
    if names and not (_is_record(target / record, tool) and names <= own):
        why = f"{target} contains files that data.{tool} did not write; name another folder"
        raise ToolError(why, "out")


def _is_record(file: Path, tool: str) -> bool:
    try:
        return reader.read_object(file, reader.RECORD).get("tool") == f"data.{tool}"
    except (OSError, reader.NotJsonError):
        return False


def write_record(folder: Path, tool: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Write what a tool did as ``TOOL.json`` beside its rows, and return it."""
    whole = {"tool": f"data.{tool}", **record}
    text = json.dumps(whole, indent=2, ensure_ascii=False)
    write(folder / f"{tool}.json", [text.encode(), b"\n"])
    return whole


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a folder beside `target` that takes its place once it is complete."""
    import secrets  # a check writes nothing
    import shutil

    target.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(4)
    beside = target.with_name(f".{target.name}.{token}.new")
    beside.mkdir()
    try:
        yield beside
        _sync(beside)
        _swap(beside, target, target.with_name(f".{target.name}.{token}.old"))
        _sync(target.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _swap(beside: Path, target: Path, old: Path) -> None:
    """Put `beside` at `target`; a folder with files in it cannot be replaced in one step."""
    if not target.exists():
        beside.rename(target)
        return
    target.rename(old)
    try:
        beside.rename(target)
    except OSError:
        old.rename(target)
        raise
    import shutil

    shutil.rmtree(old)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(file: Path) -> None:
    """Wait until the disk has a file."""
    with file.open("rb") as stream:
        os.fsync(stream.fileno())


def write(file: Path, chunks: Iterable[bytes]) -> None:
    """Write a new file, and wait until the disk has it."""
    with file.open("xb", buffering=1 << 20) as stream:
        stream.writelines(chunks)
        stream.flush()
        os.fsync(stream.fileno())
