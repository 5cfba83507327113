"""What an interrupted training has saved -> whether and where it can resume, in words."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import asdict

from runner.base.problems import listing
from runner.base.values import read_as
from runner.plan.staging import PART
from runner.plan.training import Training
from runner.runs import digests
from runner.system import files, machine

Json = dict[str, Any]
FORMAT = 1


class SavedState(Struct, frozen=True, kw_only=True):
    """The state of a training after an iteration: its file, and what it is a state of.

    `metrics` are the bytes of metrics.jsonl written by then, `packages` the versions that made it,
    `loop` what only the training itself reads.
    """

    iteration: int
    file: str
    size: int
    sha256: str
    metrics: int
    identity: str
    packages: Mapping[str, str]
    loop: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> Json:
        """Return the note as JSON-ready values; `read_note` reads them."""
        return {"format": FORMAT, **asdict(self)}


def read_note(note: Json | None) -> SavedState | None:
    """Return the note, None if it is none of this format."""
    if note is None or note.get("format") != FORMAT:
        return None
    try:
        state = read_as(note, SavedState)
    except ValueError:
        return None
    return None if "/" in state.file or state.file in {"", ".", ".."} else state


def unlike(saved: SavedState, identity: str, packages: Mapping[str, str]) -> str:
    """Return why a state is not one of this training, '' if it is."""
    if saved.identity != identity:
        return "its inputs changed"
    other = [name for name in packages if saved.packages.get(name) != packages[name]]
    return f"{listing(other)} is a different release" if other else ""


def goes_on(saved: SavedState, training: Training | None) -> str:
    """Return where a training resumes: iterations done and left, and updates made."""
    done = saved.iteration
    if training is None:
        return f"resumes after iteration {done}"
    iters, update = training.iterations, done // training.accumulation
    what = "the schedule" if training.schedule else "the optimizer"
    rest = f"{iters - done} remain, {what} at update {update}"
    return f"resumes after iteration {done} of {iters}: {rest}"


def starts_over(why: str) -> str:
    """Return that a training restarts, and why."""
    return f"restarts from the beginning: {why}"


FOLDER = "state"
NOTE = "state.json"
PACKAGES = ("mlx", "mlx-lm")


def place(own: Path) -> Path:
    """Return where the state of a stage is kept while the stage is unfinished."""
    return own / PART / FOLDER


def packages() -> dict[str, str]:
    """Return the installed releases that a state depends on."""
    return {name: version for name in PACKAGES if (version := machine.installed(name))}


def look(own: Path, identity: str, *, thorough: bool) -> tuple[SavedState | None, str]:
    """Return the state from which a stage's training can resume, or None and why it cannot.

    The file is read completely only if `thorough`.
    """
    folder = place(own)
    if not (folder / NOTE).exists():
        return None, "it was interrupted before its first checkpoint"
    state = read_note(files.read_json(folder / NOTE))
    if state is None:
        return None, "its saved state cannot be read"
    why = unlike(state, identity, packages())
    if why:
        return None, why
    if not _whole(folder / state.file, state, thorough=thorough):
        return None, f"its saved state {state.file} is damaged"
    return state, ""


def _whole(file: Path, state: SavedState, *, thorough: bool) -> bool:
    try:
        same = file.stat().st_size == state.size
        return same and (not thorough or digests.sha256(file) == state.sha256)
    except OSError:
        return False


def cut(metrics: Path, state: SavedState | None) -> None:
    """Leave of a stage's metrics those that were written before its state was saved, or none."""
    if state is None:
        metrics.unlink(missing_ok=True)
    elif metrics.exists():
        os.truncate(metrics, min(state.metrics, metrics.stat().st_size))
