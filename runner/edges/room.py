"""Whether a plan can read and write what it will, before anything runs."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from runner.core.figure import size_of
from runner.core.plan import Plan, Stage, bind
from runner.core.rules import Known, View
from runner.core.space import Need, need
from runner.edges import known, probe, schemas
from runner.errors import UnfitError

# Beyond this share of what is free, a guess that is a little off fills the disk.
NEAR = 0.8


def look(plan: Plan, stages: Collection[str], folder: Path) -> list[str]:
    """Return warnings of disks that will be nearly full.

    Raises UnfitError where one would be full, and where what a stage reads or writes is not ours.
    """
    chosen = [stage for stage in plan.stages if stage.name in stages]
    for stage in chosen:
        _allowed(stage, folder)
    disks: dict[int, list[tuple[Need, Path]]] = {}
    for found in _needs(plan, chosen):
        above = _above(Path(str(bind(found.output, str(folder)))))
        disks.setdefault(above.stat().st_dev, []).append((found, above))
    return [said for rows in disks.values() if (said := _weighed(rows))]


def _weighed(rows: list[tuple[Need, Path]]) -> str:
    wanted = sum(found.size for found, _ in rows)
    free = probe.free_bytes(rows[0][1])
    said = "; ".join(str(found) for found, _ in rows)
    said += f": {size_of(wanted)} in all" if len(rows) > 1 else ""
    if wanted > free:
        why = f"the disk of {rows[0][1]} has {size_of(free)} free, and {said}"
        raise UnfitError(why, "free some space, choose another --runs, or raise save_every")
    near = wanted > NEAR * free
    return f"the disk will be nearly full: {size_of(free)} are free, and {said}" if near else ""


def _needs(plan: Plan, stages: Collection[Stage]) -> Iterator[Need]:
    facts = Known(models=known.models(plan, known.hub_cache(dict(os.environ))))
    catalog = schemas.catalog()
    for stage in stages:
        tool = catalog.get(stage.tool)
        found = need(View(stage, tool, frozenset(), plan, facts)) if tool else None
        if found is not None:
            yield found


def _allowed(stage: Stage, folder: Path) -> None:
    """Raise UnfitError where a stage may not read or write what it will."""
    for _, path in known.reads(stage):
        for file in _files(Path(path)):
            if not os.access(file, os.R_OK | (os.X_OK if file.is_dir() else 0)):
                why = f"stage '{stage.name}' reads {file}, and you may not"
                raise UnfitError(why, f"look at its permissions: ls -ld {file}")
    for said in stage.outputs.values():
        place = _above(Path(str(bind(said, str(folder)))))
        if not os.access(place, os.W_OK | (os.X_OK if place.is_dir() else 0)):
            why = f"stage '{stage.name}' writes {said}, and you may not write in {place}"
            raise UnfitError(why, "choose another path, or leave it to the run's own folder")


def _files(path: Path) -> Iterator[Path]:
    """Yield a path and the files right in it; none where there is nothing."""
    if os.path.lexists(path):
        yield path
        if path.is_dir() and os.access(path, os.R_OK | os.X_OK):
            yield from (file for file in path.iterdir() if file.is_file())


def _above(path: Path) -> Path:
    """Return a path, or the nearest folder above it that is there."""
    path = path.absolute()
    return next(one for one in (path, *path.parents) if one.exists())
