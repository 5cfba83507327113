"""The state of a training that was cut off, on this disk."""

import os
from pathlib import Path

from runner.core import saved as states
from runner.core.saved import Saved
from runner.core.staging import PART
from runner.edges import digest, disk, probe

FOLDER = "state"
NOTE = "state.json"
PACKAGES = ("mlx", "mlx-lm")


def place(own: Path) -> Path:
    """Return where the state of a stage is kept while the stage is unfinished."""
    return own / PART / FOLDER


def packages() -> dict[str, str]:
    """Return the installed releases that a state depends on."""
    return {name: version for name in PACKAGES if (version := probe.installed(name))}


def look(own: Path, identity: str, *, thorough: bool) -> tuple[Saved | None, str]:
    """Return the state a stage's training can go on from, or None and why it cannot.

    The file is read whole only where it is asked to be `thorough`.
    """
    folder = place(own)
    if not (folder / NOTE).exists():
        return None, "it was cut off before its first checkpoint"
    found = states.from_dict(disk.read_json(folder / NOTE))
    if found is None:
        return None, "the note of its saved state cannot be read"
    why = states.unlike(found, identity, packages())
    if why:
        return None, why
    if not _whole(folder / found.file, found, thorough=thorough):
        return None, f"its saved state {found.file} is damaged"
    return found, ""


def _whole(file: Path, found: Saved, *, thorough: bool) -> bool:
    try:
        same = file.stat().st_size == found.size
        return same and (not thorough or digest.sha256(file) == found.sha256)
    except OSError:
        return False


def cut(metrics: Path, found: Saved | None) -> None:
    """Leave of a stage's metrics those that were written before its state was saved, or none."""
    if found is None:
        metrics.unlink(missing_ok=True)
    elif metrics.exists():
        os.truncate(metrics, min(found.metrics, metrics.stat().st_size))
