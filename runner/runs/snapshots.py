"""What a run's stages have pinned of the hub -> the folders of it here, each file as it is locked.

What the hub's cache holds whole is not asked for again.
"""

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from runner.base.errors import Exit, RecipeError
from runner.catalog.tools import Catalog
from runner.plan.model import Pin, Plan
from runner.plan.pins import downloads
from runner.runs.digests import Memory, Progress, git_digest
from runner.runs.digests import sha256 as digest_of
from runner.system import hub, hub_client, printer

Files = Mapping[str, Mapping[str, Any]]


class PinError(RecipeError):
    """A file of the hub is not the one that the lock names."""

    code = Exit.DRIFT


def fetch(
    plan: Plan, names: Collection[str], catalog: Catalog, memory: Memory, progress: Progress
) -> dict[str, str]:
    """Return the folder of each pinned name that these stages read, by its variable.

    A smoke run downloads nothing. Raises HubError where the hub does not give it, PinError where a
    file is not the locked one.
    """
    stages = [stage for stage in plan.stages if stage.name in names]
    folders = {}
    for variable, one in downloads(stages, catalog).items():
        locked = plan.locks.get(" ".join(one.key), {})
        files = {name: row for name, row in locked.items() if catalog.is_loaded(one.kind, name)}
        folder = _folder(one, files, catalog, offline=plan.smoke)
        _verify(one, folder, files, memory, progress)
        folders[variable] = str(folder)
    memory.save()
    return folders


def _folder(one: Pin, files: Files, catalog: Catalog, *, offline: bool) -> Path:
    here = hub.snapshot(one.repository, one.kind, one.commit, hub.cache(os.environ))
    if one.commit and files and all(_whole(here / name, row) for name, row in files.items()):
        return here
    revision = one.commit or one.revision
    if not offline:
        printer.say(f"getting {one.repository} at {revision} from the hub")
    patterns = catalog.loads(one.kind)
    return hub_client.download(one.repository, one.kind, revision, patterns, offline=offline)


def _whole(path: Path, row: Mapping[str, Any]) -> bool:
    try:
        return bool(path.stat().st_size == row["size"])
    except OSError:
        return False


def _verify(one: Pin, folder: Path, files: Files, memory: Memory, progress: Progress) -> None:
    """Raise PinError where a file is not as it is locked."""
    large = any(row["digest"].startswith("sha256:") for row in files.values())
    prints = memory.prints(folder, progress) if large else {}
    for name, row in files.items():
        why = _difference(folder / name, row, prints.get(name, {}).get("sha256"))
        if why:
            at = f"{one.repository}@{one.commit[:12]}"
            blob = (folder / name).resolve()  # the cache links to it, and would link again
            hint = (
                f"if the cache is damaged, delete {blob} and run again; if the hub "
                "serves another file, look at it, then: run-recipe lock RECIPE --update"
            )
            raise PinError(f"{name} of {at} is not the locked file: {why}", hint)


def _difference(path: Path, row: Mapping[str, Any], known: str | None) -> str:
    """Return how a file differs from its row in the lock, '' where it does not."""
    try:
        size = path.stat().st_size
    except OSError as error:
        return f"it cannot be read here: {error.strerror}"
    if size != row["size"]:
        return f"it has {size:,} bytes, and the lock says {row['size']:,}"
    way, _, digest = row["digest"].partition(":")
    now = (known or digest_of(path)) if way == "sha256" else git_digest(path)
    if now == digest:
        return ""
    return f"its digest is {way}:{now[:12]}…, and the lock says {digest[:12]}…"


def of_stage(pins: Collection[Pin], folders: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield variable and folder of each of a stage's pins."""
    yield from ((one.variable, folders[one.variable]) for one in pins if one.variable in folders)
