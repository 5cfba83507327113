"""A finished stage of another run -> the same result in this run, which stands by itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from runner.runs import digests
from runner.runs.attempt import Attempt
from runner.runs.manifest import StageRecord
from runner.runs.outputs import Places, rename_in
from runner.runs.reuse import Source
from runner.system import clone

WEIGHTS = ".safetensors"
"""Files that nobody writes in: a runner makes them anew beside their place and moves them."""
_RECORDS = ("metrics.jsonl", "effective.json", "config.json", "log.txt")


class ChangedError(Exception):
    """What was taken is not what the other run has recorded; the stage has to run."""


def take(source: Source, attempt: Attempt, record: StageRecord) -> StageRecord:
    """Copy a stage's outputs and records to where an attempt makes them; return its record.

    The older run is only read. The paths in the texts of a tool become those of this run. Raises
    ChangedError where a byte is not as recorded, OSError.
    """
    own, other = attempt.place, Places(source.folder, source.stage)
    own.mkdir(exist_ok=True)
    moves = _moves(source, attempt.folder, attempt.stage.name)
    for place, part in attempt.places.pairs(other):
        clone.copy(place, part, lambda path: path.endswith(WEIGHTS))
        _compare(part, source.record.prints[str(place)])
        rename_in(part, moves)
    for name in _RECORDS:
        if (file := other.own / name).is_file():
            (own / name).unlink(missing_ok=True)
            clone.copy(file, own / name, lambda _: False)
            if name != "log.txt":
                rename_in(own / name, moves)
    return attempt.with_outputs(
        replace(
            record,
            exit_code=source.record.exit_code,
            metrics=source.record.metrics,
            audit=source.record.audit,
            hub=source.record.hub,
        )
    )


def _moves(source: Source, folder: Path, name: str) -> dict[str, str]:
    """Return what each spelling of the older stage's folder, and of its run's, becomes."""
    absolute = (
        {} if source.said.startswith("/") else {str(source.folder.resolve()): folder.resolve()}
    )
    targets = {one: absolute.get(one, folder) for one in source.spellings}
    moves = {f"{one}/{source.stage.name}/": f"{new}/{name}/" for one, new in targets.items()}
    return moves | {f"{one}/": f"{new}/" for one, new in targets.items()}


def _compare(part: Path, recorded: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ChangedError where the files below a place are not those of the record."""
    now = {name: row["sha256"] for name, row in digests.prints(part).items()}
    before = {name: row["sha256"] for name, row in recorded.items()}
    wrong = sorted(name for name in now.keys() | before.keys() if now.get(name) != before.get(name))
    if wrong:
        raise ChangedError(f"{part / wrong[0]} is not as recorded")
