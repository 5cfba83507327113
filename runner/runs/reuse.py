"""Finished stages of other runs that are the same work as a stage of a plan.

A stage is known by one digest of its identity, its setting, and the digests of the stages it reads
from. Those of each run are kept in ``.stages.json`` beside the runs, and read again where the size
or the time of a run's record differs.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from runner.base.values import read_as
from runner.plan.model import Stage
from runner.runs import digests, history
from runner.runs.decisions import Identity
from runner.runs.manifest import Manifest, ReuseNote, StageRecord, State
from runner.runs.outputs import Places, is_text
from runner.system import files, reader

MEMORY = ".stages.json"
_HEAD = 1 << 20
UP = "stage "


class Source(Struct, frozen=True, kw_only=True):
    """A finished stage of another run; `said` is how that run spelled its own folder."""

    folder: Path
    said: str
    run: str
    stage: Stage
    record: StageRecord

    @property
    def spellings(self) -> tuple[str, ...]:
        """The run's folder as texts of its tools may name it, the longest first."""
        words = {self.said, str(self.folder), str(self.folder.resolve())}
        return tuple(sorted(words, key=len, reverse=True))

    @property
    def note(self) -> ReuseNote:
        """What a record says of a stage that is taken from here."""
        return ReuseNote(run=self.run, stage=self.stage.name, seconds=self.seconds)

    @property
    def seconds(self) -> float:
        """How long the work took when it was done."""
        return float(self.record.reused.get("seconds", self.record.seconds))


class _Record(Struct, kw_only=True):
    name: str
    state: str = ""
    identity: Mapping[str, Any] = field(default_factory=dict)
    setting: Mapping[str, str] = field(default_factory=dict)


class _Plan(Struct, kw_only=True):
    smoke: bool = False


class _Run(Struct, kw_only=True):
    """What is looked at of a run's record; the rest of it is skipped."""

    plan: _Plan
    stages: list[_Record]


class RunDigests(Struct, frozen=True, kw_only=True):
    """The digests of a run's finished stages by name, and what its record is recognised by."""

    size: int
    mtime: int
    smoke: bool
    stages: Mapping[str, str]


def whole(
    parts: Mapping[str, Any], setting: Mapping[str, str], above: Mapping[str, str]
) -> Identity:
    """Return all that a result depends on; `above` are the digests of the stages it reads."""
    own = {name: value for name, value in parts.items() if not name.startswith(UP)}
    return Identity(parts={**own, **setting, **{f"{UP}{one}": above[one] for one in above}})


def of_records(records: Iterable[Any]) -> dict[str, Identity]:
    """Return all that each stage of a run was made of, by name; none where that is not recorded."""
    found: dict[str, Identity] = {}
    for one in records:
        names = [name.removeprefix(UP) for name in one.identity if name.startswith(UP)]
        if one.identity and one.setting and all(name in found for name in names):
            above = {name: found[name].digest for name in names}
            found[one.name] = whole(one.identity, one.setting, above)
    return found


class FinishedStages:
    """The finished stages of all runs below some folders, by their digests."""

    def __init__(self, runs: Path, roots: Sequence[Path], *, smoke: bool) -> None:
        self._path = runs / MEMORY
        self._smoke = smoke
        known = self._known()
        rows = {str(one): one for root in roots for one in history.folders(root)}
        self._rows = {
            name: row for name, one in rows.items() if (row := _row(one, known.get(name)))
        }
        self._places: dict[str, list[tuple[Path, str]]] = {}
        for name in sorted(self._rows, key=lambda one: Path(one).name, reverse=True):
            row = self._rows[name]
            for stage, digest in row.stages.items() if row.smoke == smoke else ():
                self._places.setdefault(digest, []).append((Path(name), stage))
        if self._rows != known and runs.is_dir():
            with suppress(OSError):
                files.write(self._path, json.dumps(msgspec.to_builtins(self._rows)), lasting=False)

    def find(self, identity: Identity, stage: Stage, but: Path | None) -> tuple[Source | None, str]:
        """Return the newest intact result of this very work, or None and why the last was not one.

        `but` is the folder of the run itself.
        """
        why = ""
        for folder, name in self._places.get(identity.digest, ()):
            if but is None or folder.resolve() != but.resolve():
                source, why = _source(folder, name, stage, identity)
                if source is not None:
                    return source, ""
        return None, why

    def others(self, stage: Stage, but: Path | None) -> Iterator[tuple[str, str, Identity]]:
        """Yield run, stage and what it was made of, for finished stages of a tool."""
        for name in sorted(self._rows, key=lambda one: Path(one).name, reverse=True):
            folder = Path(name)
            run = _read(folder) if self._rows[name].smoke == self._smoke else None
            if run is None or (but is not None and folder.resolve() == but.resolve()):
                continue
            made = of_records(run.stages)
            for one in run.stages:
                same = one.identity.get("tool") == stage.tool
                if one.state == State.FINISHED and same and one.name in made:
                    yield folder.name, one.name, made[one.name]

    def _known(self) -> dict[str, RunDigests]:
        try:
            return read_as(files.read_json(self._path) or {}, dict[str, RunDigests])
        except ValueError:
            return {}


def _row(folder: Path, known: RunDigests | None) -> RunDigests | None:
    """Return the digests of a run's finished stages; None for a run that cannot be read."""
    try:
        status = (folder / "run.json").stat()
    except OSError:
        return None
    if known and (known.size, known.mtime) == (status.st_size, status.st_mtime_ns):
        return known
    run = _read(folder)
    if run is None:
        return None
    made = of_records(run.stages)
    finished = [one.name for one in run.stages if one.state == State.FINISHED and one.name in made]
    return RunDigests(
        size=status.st_size,
        mtime=status.st_mtime_ns,
        smoke=run.plan.smoke,
        stages={name: made[name].digest for name in finished},
    )


def _read(folder: Path) -> _Run | None:
    try:
        data = reader.read(folder / "run.json", reader.RECORD)
        return msgspec.json.decode(data, type=_Run)
    except (OSError, ValueError, msgspec.MsgspecError, RecursionError):
        return None


def _source(folder: Path, name: str, stage: Stage, identity: Identity) -> tuple[Source | None, str]:
    """Return a finished stage of a run if its outputs can be taken, or None and why not."""
    manifest = history.read(folder)
    if manifest is None:
        return None, f"{folder.name} cannot be read"
    made = of_records(manifest.stages)
    finished = any(one.name == name and one.state is State.FINISHED for one in manifest.stages)
    if not finished or name not in made or made[name].digest != identity.digest:
        return None, f"{folder.name} has changed"
    return of_run(manifest, stage, name)


def of_run(manifest: Manifest, stage: Stage, name: str = "") -> tuple[Source | None, str]:
    """Return a run's stage called `name`, or like `stage`; None and why if it cannot be taken."""
    folder = Path(manifest.folder)
    raw = files.read_json(folder / "run.json") or {}
    source = Source(
        folder=folder,
        said=str(raw.get("folder", folder)),
        run=manifest.id,
        stage=manifest.plan.stage(name or stage.name),
        record=manifest.stage(name or stage.name),
    )
    why = _obstacle(source, stage)
    return (None, f"{folder.name}: {why}") if why else (source, "")


def _obstacle(source: Source, stage: Stage) -> str:
    """Return why a result cannot be taken, '' where it can."""
    if [*source.stage.outputs] != [*stage.outputs]:
        return "it made other outputs"
    if not history.is_audited(source.folder / source.stage.name):
        return "its audit is gone"
    places = Places(source.folder, source.stage)
    if {*source.record.prints} != places.finals:
        return "its record lists other outputs"
    changes = (digests.difference(Path(p), rows) for p, rows in source.record.prints.items())
    return next(filter(None, changes), "") or _odd_file(source, places)


def _odd_file(source: Source, places: Places) -> str:
    """Return which file of a result does not stand by itself, '' where all do."""
    for place in places.paths:
        for file in (place, *place.rglob("*")):
            if file.is_symlink():
                return f"{file} is a link"
            if file.is_file() and not is_text(file) and _names(file, source):
                return f"{file} names the folder of its run, where it would be looked for"
    return ""


def _names(file: Path, source: Source) -> bool:
    """Say whether a file that is no text of a tool names its run's folder, in its first part."""
    words = {f"{one}/".encode("utf-8", "surrogateescape") for one in source.spellings}
    with reader.unbuffered(file) as stream:
        head = stream.read(_HEAD)
    return any(word in head for word in words)
