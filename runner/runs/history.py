"""Runs on this disk: found, read back, and whether one is still alive."""

import errno
import os
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from runner.base.constants import RUN_DIR, SUFFIXES
from runner.base.errors import RecipeError
from runner.base.patterns import pattern
from runner.base.problems import listing, suggest
from runner.base.values import read_as
from runner.plan.staging import PART
from runner.runs import manifest as manifests
from runner.runs.audit import Verdict
from runner.runs.manifest import Manifest, State
from runner.system import files as disk
from runner.system import machine, printer, reader

LATEST, IGNORE = "latest", ".gitignore"
BEGIN = "remove --resume to start a new run"
_HEX = pattern("[0-9a-f]{4}")
_STAMP = len("20261123T214807Z")


class DamagedError(RecipeError):
    """A run whose own files are not those that a run of ours has written."""

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(f"the run {folder} is damaged: {why}", "remove it, or start a new run")


def folders(folder: Path) -> list[Path]:
    """Return the run folders below ``runs``, the oldest first.

    Raises RecipeError if ``runs`` is a link to nowhere: whether there are any is not known then.
    """
    if (target := _nowhere(folder)) is not None:
        why = f"{folder} is a link to {target}, which does not exist"
        raise RecipeError(why, "mount or create it, or choose another folder with --runs")
    paths = {
        path.parent
        for path in folder.glob("*/*/run.json")
        if not path.parent.is_symlink() and not path.parent.name.startswith(".")
    }
    return sorted(paths, key=lambda path: path.name)


def make_folder(runs: Path) -> None:
    """Make the folder for runs if there is none, with a .gitignore.

    An existing folder is left as it is. Raises OSError.
    """
    if runs.exists():
        return
    if (target := _nowhere(runs)) is not None:
        raise OSError(
            errno.ENOENT, f"{runs} is a link to {target}, which does not exist", str(runs)
        )
    runs.mkdir(parents=True, exist_ok=True)
    if not (runs / IGNORE).exists():
        disk.write(runs / IGNORE, "# Made by run-recipe.\n*\n", lasting=False)


def _nowhere(runs: Path) -> Path | None:
    """Return where a link to nowhere, or one in a cycle, leads; None for everything else."""
    try:
        return runs.readlink() if runs.is_symlink() and not runs.exists() else None
    except OSError:
        return None


def fresh(runs: Path, recipe: str, name: str = "") -> Path:
    """Return a name for a new run's folder that comes after all there are, and ends in `name`.

    A clock that was set back, or two runs in one second, must not make the newest look older.
    """
    stamp, token = machine.stamp(), name or secrets.token_hex(2)
    last = max((path.name for path in runs.glob("*/2*-*")), default="")
    if last[:_STAMP] >= stamp:
        stamp, _, number = last.partition("-")
        plain = _HEX.fullmatch(number) and number != "ffff"
        token = f"{int(number, 16) + 1:04x}" if plain else f"{number}0"
        token = f"{number}0-{name}" if name else token
    return runs / recipe / f"{stamp}-{token}"


def find_all(runs: Path, recipe: str | None = None) -> list[Manifest]:
    """Return the manifests of a recipe's runs, or of all; a damaged one is named, and left out.

    Raises RecipeError for a recipe that has none while others have.
    """
    name = _name(recipe) if recipe else None
    sound_runs = [one for path in folders(runs) if (one := _sound(path)) is not None]
    names = sorted({one.plan.name for one in sound_runs})
    if name is not None and sound_runs and name not in names:
        hint = suggest(name, names, f"there are: {listing(names)}")
        raise RecipeError(f"no runs of '{name}'", hint)
    return [one for one in sound_runs if name in {None, one.plan.name}]


def find(runs: Path, run: str | None) -> Manifest:
    """Return a run by its folder, its id or a part of it, or a recipe's name.

    Of several runs of a recipe it is the last worked on.

    That is also meant by ``latest`` and by None. A damaged one that was not meant by its own name
    is named, and left out. Raises RecipeError.
    """
    paths = sorted(folders(runs), key=_worked_on)
    if run is None or run == LATEST:
        candidates = paths
    elif os.path.lexists(Path(run) / "run.json"):
        return look(_itself(Path(run), paths))
    else:
        name = _name(run)
        candidates = [one for one in paths if one.name == run or one.parent.name == name]
        candidates = candidates or _named(run, paths) or _short(run, paths)
        if len(candidates) == 1:
            return look(candidates[0])
    manifest = next(
        (one for path in reversed(candidates) if (one := _sound(path)) is not None), None
    )
    if manifest is None:
        why = f"no run '{run}'" if run else f"no runs in {runs}"
        ids = listing([one.name for one in reversed(paths)], 4)
        raise RecipeError(why, f"there are: {ids}" if ids else "run a recipe first")
    return manifest


def _named(run: str, paths: Sequence[Path]) -> list[Path]:
    """Return the runs that were given this name; four letters of an id are none."""
    own = not _HEX.fullmatch(run)
    return [one for one in paths if own and one.name.endswith(f"-{run}")]


def _short(run: str, paths: Sequence[Path]) -> list[Path]:
    """Return the run whose id ends in these letters, or begins so. Raises RecipeError for two."""
    matches = [one for one in paths if is_short(run, one.name)]
    if len(matches) > 1:
        ids = listing([one.name for one in reversed(matches)], 4)
        raise RecipeError(f"'{run}' means {len(matches)} runs", f"write one of them out: {ids}")
    return matches


def is_short(word: str, name: str) -> bool:
    """Return whether a word is short for a run's id: the letters behind its time, or its start.

    The letters may be cut, too: ``6b92`` and ``6b9`` are ``20261201T043733Z-6b92``.
    """
    letters = name.rpartition("-")[2]
    enough = len(word) >= _LETTERS and word.isalnum()
    return enough and (letters.startswith(word) or name.startswith(word))


_LETTERS = 3


def _worked_on(folder: Path) -> tuple[int, str]:
    """Return a key by which the latest run comes last: each step writes its manifest.

    One that was resumed is older by its name than what began after it, and later by this.
    """
    try:
        return (folder / "run.json").stat().st_mtime_ns, folder.name
    except OSError:
        return 0, folder.name


def _itself(path: Path, paths: Sequence[Path]) -> Path:
    """Return a run's folder by its own name, as ``latest`` and ``.`` are not.

    It is spelled as the run itself did, by which it knows what it made.
    """
    real = path.resolve()
    here = Path.cwd().resolve()
    near = real.relative_to(here) if real.is_relative_to(here) and real != here else real
    return next((one for one in paths if one.resolve() == real), near)


def to_resume(runs: Path, run: str, recipe: str, *, smoke: bool) -> Manifest:
    """Return the run of `recipe` to resume: RUN, or the last worked on of its kind.

    Raises RecipeError for a run of another recipe, and for a smoke run if none is wanted or the
    other way round: their results must not mix.
    """
    kind = "smoke run" if smoke else "real run"
    if not run:
        alike = [one for one in find_all(runs, recipe) if one.plan.smoke == smoke]
        if not alike:
            why = f"no {kind} of '{recipe}' to resume"
            raise RecipeError(why, BEGIN)
        return own(max(alike, key=lambda one: _worked_on(Path(one.folder))))
    manifest = find(runs, run)
    if manifest.plan.name != recipe:
        why = f"that is a run of '{manifest.plan.name}', not of '{recipe}'"
        ids = listing([one.name for one in reversed(folders(runs)) if one.parent.name == recipe], 4)
        raise RecipeError(why, f"name a run of this recipe: {ids}" if ids else BEGIN)
    if manifest.plan.smoke != smoke:
        other = "a real run" if smoke else "a smoke run"
        hint = "remove --smoke" if smoke else "add --smoke"
        raise RecipeError(
            f"{manifest.folder} is {other}: resuming would mix it with a {kind}", hint
        )
    return own(manifest)


def look(folder: Path) -> Manifest:
    """Return the manifest of a run folder. Raises DamagedError, which says what is wrong."""
    file = folder / "run.json"
    try:
        manifest = manifests.read_back(reader.read_record(file))
    except (OSError, ValueError) as error:
        why = f"run.json cannot be read: {reader.reason(error)}"
        raise DamagedError(folder, why) from error
    for record in manifest.stages:
        if (folder / record.name).is_symlink():
            raise DamagedError(folder, f"{record.name} is a link")
    return _here(manifest, str(folder))


def _here(manifest: Manifest, folder: str) -> Manifest:
    """Return a run as of the folder it lies in now: it may have been moved, copied, or renamed."""
    lead = f"{manifest.folder}/"

    def now(path: str) -> str:
        return f"{folder}/{path.removeprefix(lead)}" if path.startswith(lead) else path

    stages = tuple(
        replace(
            one,
            prints={now(path): prints for path, prints in one.prints.items()},
            outputs={name: now(path) for name, path in one.outputs.items()},
        )
        for one in manifest.stages
    )
    return replace(
        manifest, folder=folder, stages=stages if manifest.folder != folder else manifest.stages
    )


def read(folder: Path) -> Manifest | None:
    """Return the manifest of a run folder, None if there is none that can be read."""
    try:
        return look(folder)
    except DamagedError:
        return None


def _sound(folder: Path) -> Manifest | None:
    """Return the manifest of a run folder; one that is damaged is named on stderr."""
    try:
        return look(folder)
    except DamagedError as error:
        printer.say(f"{error}; skipped")
        return None


def own(manifest: Manifest) -> Manifest:
    """Return a run that may be gone on with: what is written in its folder is files of its own.

    Raises DamagedError for a link, a pipe or a device if a record or an unfinished output lies.
    """
    folder = Path(manifest.folder)
    for path in _files_of(folder, manifest):
        mode = path.lstat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            what = "a link" if stat.S_ISLNK(mode) else "not a file"
            raise DamagedError(folder, f"{path.relative_to(folder)} is {what}")
    return manifest


def _files_of(folder: Path, manifest: Manifest) -> Iterator[Path]:
    """Yield all that lies in a run's folder, but for what its stages have made and finished."""
    yield from folder.iterdir()
    for stage in manifest.plan.stages:
        place = folder / stage.name
        outputs = {place / path.split("/")[2] for path in stage.outputs.values() if _inside(path)}
        if place.is_dir():
            yield from (one for one in place.iterdir() if one not in outputs)
        for above, names, files in os.walk(place / PART):
            yield from (Path(above, name) for name in (*names, *files))


def _inside(path: str) -> bool:
    return path.startswith(f"{RUN_DIR}/") and path.count("/") > 1


def link(folder: Path) -> None:
    """Point ``latest`` at a run; a file system without links does without."""
    latest, beside = folder.parent / LATEST, folder.parent / f".{LATEST}-{folder.name}"
    try:
        if latest.is_symlink() and latest.readlink() == Path(folder.name):
            return
        beside.unlink(missing_ok=True)
        beside.symlink_to(folder.name)
        beside.replace(latest)
    except OSError:
        beside.unlink(missing_ok=True)


def relink(folder: Path) -> None:
    """Point ``latest`` at the run of a recipe that was last worked on, after others are gone."""
    paths = [path.parent for path in folder.glob("[!.]*/run.json") if not path.parent.is_symlink()]
    if paths:
        link(max(paths, key=_worked_on))
    elif (folder / LATEST).is_symlink():
        (folder / LATEST).unlink()


def _name(recipe: str) -> str:
    return Path(recipe).stem if recipe.endswith(SUFFIXES) else recipe


def alive(manifest: Manifest) -> bool:
    """Return whether a runner works on it: whether its lock is held."""
    from runner.runs import lock  # not on every system

    return manifest.state is State.RUNNING and lock.is_held(Path(manifest.folder))


def audits(manifest: Manifest) -> dict[str, list[Verdict]]:
    """Return the verdicts of each stage that was audited, by its name."""
    rows_of = {one.name: verdicts(Path(manifest.folder) / one.name) for one in manifest.stages}
    return {name: rows for name, rows in rows_of.items() if rows}


def verdicts(place: Path) -> list[Verdict]:
    """Return the verdicts of the stage in a folder, none where it was not audited.

    A file that is damaged, or that another release of ours wrote otherwise, is no audit.
    """
    report = disk.read_json(place / "effective.json") or {}
    try:
        return read_as(report.get("parameters", []), list[Verdict])
    except ValueError:
        return []


def observations(place: Path) -> Mapping[str, Any]:
    """Return what was observed beside the parameters of the stage in a folder."""
    facts = (disk.read_json(place / "effective.json") or {}).get("observed")
    return facts if isinstance(facts, dict) else {}


def is_audited(place: Path) -> bool:
    """Return whether the audit of the stage in a folder was made to its end."""
    return (disk.read_json(place / "effective.json") or {}).get("ended") is True
