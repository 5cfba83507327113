"""Append-only files of JSON lines: a run's events, a stage's metrics."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from runner.system.reader import LONGEST, NotJsonError, json_object, open_file

Json = dict[str, Any]


class Journal:
    """Appends events to a file; a `lasting` one is on the disk before the call returns."""

    def __init__(self, path: Path, *, lasting: bool = True) -> None:
        self.path = path
        self.lasting = lasting
        self._torn = True  # until the file's end was looked at

    def write(self, **event: Any) -> None:
        """Append one event, on its own line whatever a kill or a full disk left there."""
        line = json.dumps(event, ensure_ascii=True).encode() + b"\n"
        with self.path.open("ab+", buffering=0) as file:
            if self._torn and file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                line = line if file.read(1) == b"\n" else b"\n" + line
            self._torn = True
            while line:
                line = line[file.write(line) :]
            self._torn = False
            if self.lasting:
                os.fsync(file.fileno())


class Tail:
    """Reads what another process appends, whole lines only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._at = 0

    def new(self) -> Iterator[Json]:
        """Yield the events that were added since the last call."""
        try:
            with open_file(self.path) as file:
                file.seek(self._at)
                data = file.read(LONGEST)
        except FileNotFoundError:
            return
        whole = data.rfind(b"\n") + 1 or (len(data) if len(data) == LONGEST else 0)
        self._at += whole
        for line in data[:whole].splitlines():
            with suppress(NotJsonError):  # a line torn by a kill; the next one is whole again
                yield json_object(line)


def last_lines(path: Path, count: int = 20, limit: int = 65536) -> str:
    """Return the last lines of a log as text, whatever bytes it holds; '' if there is none."""
    try:
        with open_file(path) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - limit))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [line.rsplit("\r", 1)[-1].rstrip()[:500] for line in text.splitlines()]
    return "\n".join([line for line in lines if line][-count:])
