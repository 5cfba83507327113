"""Where a stage's outputs are written and where they belong, on this disk."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runner.plan.model import Stage, bind
from runner.plan.staging import PART, beside
from runner.runs import digests
from runner.runs.manifest import StageRecord
from runner.system import files as disk
from runner.system import reader

NOTE = "places.json"
REPLACED = ".replaced"
# Text that a tool writes about its own outputs; larger files hold weights or rows.
_TEXTS = frozenset({".json", ".md", ".yaml"})
TEXT = reader.Kind(what="a text file of a tool", most=1 << 20)


class Places:
    """The outputs of one stage: written next to their places, and moved there when complete.

    If something of the user's already is where the recipe puts an output outside the run, the tool
    works in place, as in the script, and may refuse to.
    """

    def __init__(self, folder: Path, stage: Stage) -> None:
        self.folder = folder
        self.stage = stage
        self.own = folder / stage.name

    def clear(self, record: StageRecord) -> None:
        """Make room for a new start: what this run made before is kept once, under ``.replaced``.

        What was interrupted stays where it was made.
        """
        for final in self.paths:
            if not os.path.lexists(final):
                continue
            inside = self.own in final.parents
            prints = record.prints.get(str(final))
            if inside or (prints and not digests.difference(final, prints)):
                aside = self.folder / REPLACED / self.stage.name if inside else _hidden_path(final)
                _replace(self.own if inside else final, aside)

    def open(self, *, keep: bool = False) -> dict[str, str]:
        """Return where each output is made, with nothing there yet unless it is to `keep`."""
        part_of = {}
        for final, part in beside(self.stage).items():
            if _is_occupied(self._path(final)):
                continue
            part_of[final] = part
            if not keep or self._path(part).is_symlink():
                _remove(self._path(part))
        if not keep or (self.own / PART).is_symlink():
            _remove(self.own / PART)
        (self.own / PART).mkdir(parents=True, exist_ok=True)
        disk.write(self.own / NOTE, json.dumps(part_of, indent=2) + "\n", lasting=False)
        return part_of

    def prints(self) -> dict[str, Any]:
        """Return the prints of each output by its final path, read where it is now.

        What was printed is on the disk, and so are the stage's records, before they return.
        """
        for record in self.own.glob("*.*"):
            disk.sync(record)
        finals = map(str, self.paths)
        return {final: _movable(digests.prints(self.now(final), lasting=True)) for final in finals}

    def pairs(self, other: "Places") -> Iterator[tuple[Path, Path]]:
        """Open this stage, and yield for each output of `other` its place and where ours is made.

        What stands outside of a run is in one place for both, and left out.
        """
        parts = self.open()
        for place, ours in zip(other.paths, beside(self.stage), strict=True):
            if ours in parts and place != self._path(ours):
                yield place, self._path(parts[ours])

    def settle(self) -> None:
        """Move what was made to its place; done twice it does nothing."""
        for final, part in self.parts().items():
            old, new = self._path(part), self._path(final)
            if os.path.lexists(old):
                old.replace(new)
                disk.sync(new.parent)
        _remove(self.own / PART)

    def correct(self) -> None:
        """Let the texts that name the place where an output was made name its final place."""
        moves = {
            str(bind(part, str(self.folder))): str(bind(final, str(self.folder)))
            for final, part in self.parts().items()
        }
        for part in moves:
            rename_in(Path(part), moves)

    def parts(self) -> dict[str, str]:
        """Return where the outputs are made, by their final places.

        The note in the run's folder only says which of this stage's: another place is not believed.
        """
        note = disk.read_json(self.own / NOTE) or {}
        return {
            final: part for final, part in beside(self.stage).items() if note.get(final) == part
        }

    @property
    def finals(self) -> set[str]:
        """The places of all outputs, as this system has them."""
        return {*map(str, self.paths)}

    def now(self, final: str) -> Path:
        """Return where an output is now: its place, or where it waits to be moved there."""
        if not os.path.lexists(final):
            for path, part in self.parts().items():
                if str(self._path(path)) == final and os.path.lexists(place := self._path(part)):
                    return place
        return Path(final)

    @property
    def paths(self) -> list[Path]:
        """The places of all outputs, in the stage's order."""
        return [self._path(path) for path in beside(self.stage)]

    def _path(self, text: str) -> Path:
        return Path(str(bind(text, str(self.folder))))


def is_text(file: Path) -> bool:
    """Say whether a file is a text of a tool in which places are renamed."""
    return file.suffix in _TEXTS and file.is_file() and file.stat().st_size <= TEXT.most


def rename_in(place: Path, moves: Mapping[str, str]) -> set[Path]:
    """Replace paths in the texts of a tool below a place; return the files that changed."""
    return {file for file in _texts(place) if _rename_in(file, moves)}


def _is_occupied(path: Path) -> bool:
    """Return whether something of the user's is there; an empty folder is nothing."""
    if path.is_dir() and not path.is_symlink():
        return any(path.iterdir())
    return os.path.lexists(path)


def _movable(prints: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return prints without what moving a file changes."""
    return {
        name: {key: value for key, value in row.items() if key != "ctime"}
        for name, row in prints.items()
    }


def _hidden_path(path: Path) -> Path:
    return path.with_name(f".{path.name}{REPLACED}")


def _replace(path: Path, aside: Path) -> None:
    """Move a path aside, over what was put there before."""
    aside.parent.mkdir(exist_ok=True)
    _remove(aside)
    path.replace(aside)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _texts(place: Path) -> Iterator[Path]:
    files = place.rglob("*") if place.is_dir() else iter((place,))
    for file in files:
        if is_text(file):
            yield file


def _rename_in(file: Path, moves: Mapping[str, str]) -> bool:
    """Replace paths in a text, as they are and as JSON writes them; say whether it changed."""
    data = text = reader.read(file, TEXT)
    for old, new in moves.items():
        for write in (str, _as_json):
            text = text.replace(_raw(write(old)), _raw(write(new)))
    if text != data:
        mode = file.stat().st_mode
        disk.write_bytes(file, text, lasting=False)
        file.chmod(mode)
    return text != data


def _raw(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _as_json(path: str) -> str:
    return json.dumps(path)[1:-1]
