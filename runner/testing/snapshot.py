"""Syrupy's snapshots of a recipe NAME.yaml: ``__snapshots__/NAME.sh``, with its plan next to it."""

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from syrupy.data import SnapshotCollections
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from runner.command.script import source_recipe
from runner.system import reader
from runner.testing.cases import CommandLock

if TYPE_CHECKING:
    from syrupy.location import PyTestLocation


class ScriptSnapshot(SingleFileSnapshotExtension):
    """A snapshot is a script, named for its recipe and what lies over it: NAME[PROFILE].sh."""

    _write_mode = WriteMode.TEXT
    file_extension = "sh"

    @classmethod
    def dirname(cls, *, test_location: "PyTestLocation") -> str:
        """Return the folder of the snapshots: one for all recipes of a folder."""
        return str(Path(test_location.filepath).parent / cls.snapshot_dirname)

    @classmethod
    def matches_test_location(
        cls, *, test_location: "PyTestLocation", snapshot_location: str
    ) -> bool:
        """Return whether a snapshot is the one of a test."""
        path = Path(snapshot_location)
        folder = Path(cls.dirname(test_location=test_location))
        name = f"{test_location.snapshot_name}.{cls.file_extension}"
        return path.parent == folder and path.name == name

    def discover_snapshots(
        self,
        *,
        test_location: "PyTestLocation",
        ignore_extensions: list[str] | None = None,  # noqa: ARG002  (syrupy's own signature)
    ) -> SnapshotCollections:
        """Return the scripts beside a test: nothing else in the folder is ours to remove."""
        collections = SnapshotCollections()
        folder = Path(self.dirname(test_location=test_location))
        for path in sorted(folder.glob(f"*.{self.file_extension}")):
            collections.add(self.read_snapshot_collection(snapshot_location=str(path)))
        return collections


class PlanSnapshot(ScriptSnapshot):
    """What a script is made of, which explains how it changed: NAME[PROFILE].plan.json."""

    file_extension = "plan.json"


def root_of(recipe: Path, name: str, root: Path) -> Path:
    """Return the folder that a recipe's snapshot is made from: the one it was made from before.

    The script itself says how it called the recipe; if nothing is locked under this name, a
    script beside it does, and `root` is taken where none does. So it is the same wherever pytest is
    called from, and in a project without settings of pytest.
    """
    folder = recipe.parent / ScriptSnapshot.snapshot_dirname
    own = folder / f"{name}.{ScriptSnapshot.file_extension}"
    for script in (own, *sorted(folder.glob(f"*.{ScriptSnapshot.file_extension}"))):
        origin = (
            source_recipe(reader.read_text(script, reader.SCRIPT)) if script.is_file() else None
        )
        above = PurePosixPath(origin).parts[:-1] if origin else None
        if (
            above is not None
            and recipe.parent.parts[len(recipe.parent.parts) - len(above) :] == above
        ):
            return recipe.parents[len(above)]
    return root


def variants_of(recipe: Path) -> list[str]:
    """Return the names of what is locked of a recipe, '' for the recipe as it is."""
    folder = recipe.parent / ScriptSnapshot.snapshot_dirname
    stem = re.escape(recipe.stem)
    pattern = re.compile(rf"{stem}(?:\[(.*)\])?\.{ScriptSnapshot.file_extension}", re.DOTALL)
    matches = [
        pattern.fullmatch(path.name)
        for path in sorted(folder.glob(f"*.{ScriptSnapshot.file_extension}"))
    ]
    return [match[1] or "" for match in matches if match]


def hold(snapshot: Any, now: CommandLock) -> CommandLock | None:
    """Compare a script and its plan with what is locked; return that where it is something else.

    Two empty texts mean that nothing is locked yet; None that all is equal, or written again. A
    script that is locked without its plan, as earlier releases did, is held alone.
    """
    script, plan = snapshot.use_extension(ScriptSnapshot), snapshot.use_extension(PlanSnapshot)
    same = script == now.script
    if same and not _place(plan).exists() and not _updates(plan):
        return None
    same = (plan == now.plan) and same
    return None if same else CommandLock(script=_locked_text(script), plan=_locked_text(plan))


def _locked_text(snapshot: Any) -> str:
    """Return what was locked, "" for nothing."""
    (result,) = snapshot.executions.values()
    if result.exception is not None:
        raise result.exception
    return str(result.recalled_data or "")


def _place(snapshot: Any) -> Path:
    location = snapshot.extension.get_location(test_location=snapshot.test_location, index=0)
    return Path(location)


def _updates(snapshot: Any) -> bool:
    option = snapshot.session.pytest_session.config.option
    return bool(option.update_snapshots or getattr(option, "update_new_snapshots_only", False))


def keep(snapshot: Any) -> None:
    """Count what is locked as used: the recipe is there, and cannot say its commands."""
    for locked in (snapshot.use_extension(ScriptSnapshot), snapshot.use_extension(PlanSnapshot)):
        if _place(locked).exists():
            _ = locked == reader.read_text(_place(locked), reader.SCRIPT)
