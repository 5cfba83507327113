"""Options and fixtures that more than one test module needs."""

import os

import pytest
from hypothesis import settings

# The same examples every time, and no folder of them left behind: a test is red or green.
settings.register_profile("tests", derandomize=True, database=None, deadline=None, max_examples=25)
settings.load_profile("tests")
# What was found sound in another session is judged again here, in child processes, too.
os.environ["RUN_RECIPE_CACHE"] = ""

collect_ignore = ["golden"]  # recipes that are wrong on purpose


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite the expected messages in tests/golden; read the diff before you commit it",
    )
    parser.addoption(
        "--faults",
        default="2",
        help="how many points of a run each harm of tests/faults strikes; 1000 is all of them",
    )


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))
