"""Runs -> which of them may be removed, what that frees, and their removal."""

import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from runner.base.constants import RUN_DIR
from runner.catalog import load
from runner.plan.inputs import readings
from runner.runs import history
from runner.runs.lock import lock
from runner.runs.manifest import Manifest, State

ASIDE = ".removed-"
"""How the name of a run begins that is being removed; what a kill left of one is removed later."""
_BLOCK = 512


class Choice(Struct, frozen=True, kw_only=True):
    """Which runs go: those of these `recipes`, or of all; those that fit everything else.

    That is: not among the newest `keep` of their recipe, ended more than `older` seconds ago, did
    not end well.
    """

    recipes: frozenset[str] | None = None
    keep: int | None = None
    older: float | None = None
    failed: bool = False


class Pruning(Struct, frozen=True, kw_only=True):
    """The runs that go, and for each that stays although it was chosen, why."""

    runs: tuple[Manifest, ...]
    needed: tuple[tuple[Manifest, str], ...] = ()


def prune(manifests: Sequence[Manifest], choice: Choice, now: datetime) -> Pruning:
    """Return which of all runs go; `manifests` are in the order of their names.

    A run stays that is being worked on, or that a run which stays has read from.
    """
    reads = {one.folder: _reads(one) for one in manifests}
    chosen = {one.folder: one for one in manifests if _fits(one, manifests, choice, now)}
    needed = {name: "it runs now" for name, one in chosen.items() if history.alive(one)}
    waiting = [one for one in manifests if one.folder not in chosen or one.folder in needed]
    while waiting:
        reader = waiting.pop()
        for name, one in chosen.items():
            own = Path(name).resolve()
            if name not in needed and any(p.is_relative_to(own) for p in reads[reader.folder]):
                needed[name] = f"{reader.id} reads it"
                waiting.append(one)
    return Pruning(
        runs=tuple(one for name, one in chosen.items() if name not in needed),
        needed=tuple((chosen[name], why) for name, why in needed.items()),
    )


def _fits(one: Manifest, manifests: Sequence[Manifest], choice: Choice, now: datetime) -> bool:
    if choice.recipes is not None and one.plan.name not in choice.recipes:
        return False
    alike = [other.folder for other in manifests if other.plan.name == one.plan.name]
    if choice.keep is not None and one.folder in alike[max(0, len(alike) - choice.keep) :]:
        return False
    if choice.failed and one.state is State.FINISHED:
        return False
    if choice.older is None:
        return True
    end = one.ended or one.started
    return bool(end) and (now - datetime.fromisoformat(end)).total_seconds() > choice.older


def _reads(manifest: Manifest) -> set[Path]:
    """Return the paths outside of its own folder that a run reads."""
    catalog = load.catalog(manifest.plan.tools)
    each = (one.path for stage in manifest.plan.stages for one in readings(stage, catalog))
    return {Path(path).resolve() for path in each if RUN_DIR not in path}


def size(folders: Iterable[Path], but: Iterable[Path] = ()) -> int:
    """Return the bytes on the disk that only these folders hold, and none of the others in `but`.

    A file with several names counts once. What clones share cannot be seen, and counts for each.
    """
    others = {key for folder in but for key, _ in _files(folder)}
    return sum(count for key, count in {*_all(folders)} if key not in others)


def _all(folders: Iterable[Path]) -> Iterator[tuple[tuple[int, int], int]]:
    for folder in folders:
        yield from _files(folder)


def _files(folder: Path) -> Iterator[tuple[tuple[int, int], int]]:
    """Yield device and inode of each file below a folder, and its bytes on the disk."""
    for above, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                status = Path(above, name).lstat()
                yield (status.st_dev, status.st_ino), status.st_blocks * _BLOCK


def remove(manifest: Manifest) -> None:
    """Remove a run. Raises RunError where it is being worked on, OSError.

    It is no run any more before the first of its files goes.
    """
    folder = Path(manifest.folder)
    with lock(folder):
        aside = folder.with_name(f"{ASIDE}{folder.name}")
        folder.rename(aside)
        shutil.rmtree(aside)
    history.relink(folder.parent)


def sweep(runs: Path) -> None:
    """Remove what is left of runs whose removal was cut off."""
    for folder in runs.glob(f"*/{ASIDE}*"):
        shutil.rmtree(folder, ignore_errors=True)


def shared(manifests: Collection[Manifest]) -> bool:
    """Say whether runs may share blocks of the disk: whether a result was taken from another."""
    return any(record.reused for one in manifests for record in one.stages)
