"""pytest --recipes: recipes and their NAME.test.yaml as test items.

Every pytest run of an environment that has run-recipe loads this module: it imports nothing but
pytest until --recipes is given.
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
    """Add --recipes."""
    group = parser.getgroup("run-recipe")
    group.addoption(
        "--recipes",
        action="store_true",
        help="collect recipes, whose commands are held against snapshots, and NAME.test.yaml",
    )


def pytest_configure(config: Any) -> None:
    """Refuse what cannot work, in a sentence. Raises UsageError."""
    if not config.getoption("recipes"):
        return
    if find_spec("syrupy") is None or not hasattr(config.option, "update_snapshots"):
        raise pytest.UsageError(
            "--recipes needs syrupy, which keeps the snapshots: pip install 'run-recipe[test]'"
        )
    updates = config.option.update_snapshots or getattr(
        config.option, "update_new_snapshots_only", False
    )
    here = [name for name in _CI if os.environ.get(name, "").lower() not in _NEVER]
    if updates and here:
        raise pytest.UsageError(
            f"snapshots are not updated in CI (the variable {here[0]} is set): "
            "run --snapshot-update on your machine, read the diff, and commit it"
        )


def pytest_collect_file(file_path: "Path", parent: Any) -> Any:
    """Return the collector of a recipe or of a test file, None for any other file."""
    from runner.core.naming import SUFFIXES  # noqa: PLC0415

    if not parent.config.getoption("recipes") or file_path.suffix not in SUFFIXES:
        return None
    from runner.edges import collection  # noqa: PLC0415
    from runner.testing import items  # noqa: PLC0415

    if collection.is_suite(file_path):
        return items.TestFile.from_parent(parent, path=file_path)
    locked = file_path.parent / parent.config.option.snapshot_dirname / f"{file_path.stem}.sh"
    # What is locked stays a recipe, whatever has become of its text.
    if collection.is_recipe(file_path) or locked.exists():
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
