"""pytest --recipes: recipes and their NAME.test.yaml as test items; --recipes-only: nothing else.

Every pytest run in an environment with run-recipe loads this module, so it imports only pytest
until --recipes is given.
"""

import os
from collections.abc import Generator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_NEVER = {"", "0", "false", "no"}
_CI = ("CI", "BUILD_NUMBER")  # the two that pytest looks at, too


def pytest_addoption(parser: Any) -> None:
    """Add --recipes and --recipes-only."""
    group = parser.getgroup("run-recipe")
    group.addoption(
        "--recipes",
        action="store_true",
        help="collect recipes, compare their commands with snapshots, and run NAME.test.yaml",
    )
    group.addoption(
        "--recipes-only",
        action="store_true",
        help="like --recipes, but collect nothing else: no Python file is imported",
    )


def pytest_configure(config: Any) -> None:
    """Refuse what cannot work, in a sentence. Raises UsageError."""
    config.option.recipes = config.option.recipes or config.option.recipes_only
    if not config.getoption("recipes"):
        return
    if find_spec("syrupy") is None or not hasattr(config.option, "update_snapshots"):
        raise pytest.UsageError(
            "--recipes needs syrupy, which stores the snapshots: pip install 'run-recipe[test]'"
        )
    updates = config.option.update_snapshots or getattr(
        config.option, "update_new_snapshots_only", False
    )
    here = [name for name in _CI if os.environ.get(name, "").lower() not in _NEVER]
    if updates and here:
        raise pytest.UsageError(
            f"snapshots are not updated in CI (the variable {here[0]} is set): run "
            "--snapshot-update on your machine, review the diff, and commit it"
        )


@pytest.hookimpl(tryfirst=True)
def pytest_ignore_collect(collection_path: "Path", config: Any) -> bool | None:
    """Leave out every file that is no YAML, where only recipes are wanted."""
    from runner.base.constants import SUFFIXES

    foreign = collection_path.suffix not in SUFFIXES and not collection_path.is_dir()
    return True if config.option.recipes_only and foreign else None


@pytest.hookimpl(tryfirst=True)
def pytest_collect_directory(path: "Path", parent: Any) -> Any:
    """Take a folder for a plain one, where only recipes are wanted: a package would be imported."""
    if not parent.config.option.recipes_only:
        return None
    return pytest.Dir.from_parent(parent, path=path)


def pytest_collect_file(file_path: "Path", parent: Any) -> Any:
    """Return the collector of a recipe or of a test file, None for any other file."""
    from runner.base.constants import SUFFIXES

    if not parent.config.getoption("recipes") or file_path.suffix not in SUFFIXES:
        return None
    from runner.recipe import find
    from runner.testing import items

    if find.is_suite(file_path):
        return items.TestFile.from_parent(parent, path=file_path)
    locked = file_path.parent / parent.config.option.snapshot_dirname / f"{file_path.stem}.sh"
    # What is locked stays a recipe, whatever has become of its text.
    if find.is_recipe(file_path) or locked.exists():
        return items.RecipeFile.from_parent(parent, path=file_path)
    return None


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: Any, exitstatus: int) -> Generator[None, None, None]:
    """Keep what is locked where tests could not be collected or were interrupted.

    syrupy would take every snapshot for unused then, and --snapshot-update would remove them.
    """
    option = session.config.option
    if option.recipes and exitstatus not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        option.update_snapshots, option.warn_unused_snapshots = False, True
    return (yield)
