"""pytest's items: a recipe's locked commands, and the cases of a test file."""

import difflib
import os
from collections.abc import Iterable, Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from runner.base.errors import InvalidRecipeError
from runner.base.problems import pictures
from runner.testing import cases
from runner.testing.snapshot import hold, keep, root_of, variants_of
from runner.testing.suite import Inputs


class NotAsLockedError(Exception):
    """A recipe's commands are not those of its snapshot."""


class RecipeFile(pytest.File):
    """A recipe: an item for each of its snapshots."""

    def collect(self) -> Iterable[pytest.Item]:
        """Yield the recipe as it is, and each variant that is locked."""
        root = self.config.rootpath
        file = name_of(self.path, root)
        with chdir(root):
            variants = cases.snapshot_inputs(file, variants_of(self.path))
        stem = self.path.stem
        for name, inputs in variants.items():
            title = f"{stem}[{name}]" if name else stem
            test = _test(self.path, inputs, root_of(self.path, title, root))
            yield LockedCommands.from_parent(self, name=title, callobj=test)


class LockedCommands(pytest.Function):
    """The commands of a recipe under some inputs, compared with a snapshot.

    It is a Function because syrupy counts only those.
    """

    def repr_failure(self, excinfo: Any, *args: Any, **more: Any) -> Any:
        """Return a sentence and a diff, or the recipe's own problems; no traceback of ours."""
        if isinstance(excinfo.value, NotAsLockedError | InvalidRecipeError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, *args, **more)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return the recipe's place."""
        return self.path, None, f"commands of {self.name}"


class TestFile(pytest.File):
    """A NAME.test.yaml: an item for each of its cases."""

    def collect(self) -> Iterable[pytest.Item]:
        """Yield the cases. Raises CollectError if the file is none that can be read."""
        root = self.config.rootpath
        with chdir(root):
            suite = cases.read(name_of(self.path, root))
        if suite.problems:
            texts = list(pictures(suite.problems, {suite.file: suite.text}))
            raise self.CollectError("\n".join(texts))
        for case in suite.cases:
            yield CaseItem.from_parent(self, name=case.name, suite=suite, case=case)


class CaseItem(pytest.Item):
    """One case of a test file."""

    def __init__(self, *, suite: Any, case: Any, **more: Any) -> None:
        super().__init__(**more)
        self.suite, self.case = suite, case

    def runtest(self) -> None:
        """Judge the case. Raises InvalidRecipeError with what does not hold."""
        with chdir(self.config.rootpath):
            outcome = cases.judge(self.suite, self.case)
        if outcome.problems:
            raise InvalidRecipeError(outcome.problems, outcome.sources)

    def repr_failure(self, excinfo: Any, *args: Any, **more: Any) -> Any:
        """Return what does not hold, each with its place."""
        if isinstance(excinfo.value, InvalidRecipeError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, *args, **more)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return the case's place."""
        return self.path, self.case.node.key_mark.line - 1, f"{self.path.name}: {self.name}"


def name_of(path: Path, root: Path) -> str:
    """Return a file as a recipe is named from a folder: the same on every machine."""
    return Path(os.path.relpath(path, root)).as_posix()


def _test(path: Path, inputs: Inputs, root: Path) -> Any:
    """Return the test of a recipe's commands under some inputs, made from the folder `root`."""
    file = name_of(path, root)

    def commands(snapshot: Any) -> None:
        with chdir(root):
            try:
                now = cases.commands(file, inputs)
            except BaseException:
                keep(snapshot)
                raise
            before = hold(snapshot, now)
            if before is not None:
                lines = cases.changes(file, inputs, before, now) if before.script else []
                raise NotAsLockedError(_difference(file, before.script, now.script, lines))

    return commands


def _difference(file: str, before: str, after: str, lines: Sequence[str]) -> str:
    if not before:
        return f"{file}: nothing is locked yet: review the commands, then run --snapshot-update"
    rows = difflib.unified_diff(
        before.splitlines(), after.splitlines(), "locked", "now", lineterm="", n=1
    )
    head = f"{file}: its commands differ from the locked ones"
    tail = "if intended, run --snapshot-update and review the diff before you commit it"
    return "\n".join([head, *(f"  {line}" for line in lines), *rows, tail])
