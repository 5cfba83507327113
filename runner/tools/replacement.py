"""A folder that is written beside its place and takes it once it is complete."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a folder beside `target` that takes its place once it is complete."""
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
    shutil.rmtree(old)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(file: Path, chunks: Iterable[bytes]) -> None:
    """Write a new file, and wait until the disk has it."""
    with file.open("xb") as stream:
        stream.writelines(chunks)
        stream.flush()
        os.fsync(stream.fileno())
