"""Options and fixtures that more than one test module needs."""

import os

import pytest
from hypothesis import settings

# The same examples every time, and no folder of them left behind: a test is red or green.
settings.register_profile("tests", derandomize=True, database=None, deadline=None, max_examples=25)
settings.load_profile("tests")
# What was found sound in another session is judged again here, in child processes, too.
os.environ["RUN_RECIPE_CACHE"] = ""

collect_ignore = ["golden", "scenarios/team"]  # wrong on purpose, and a project of its own


# With the fast lane these reach what runs in MLX's process; coverage slows the others for nothing.
MEASURED = (
    "tests/worker/",
    "tests/tools/",
    "tests/test_recipes.py::test_a_recipe_runs_to_its_end_at_toy_scale[basic]",
    "tests/scenarios/test_resume.py::test_only_what_matters_trains_again",
    "tests/scenarios/test_evaluation.py::test_the_page_shows_what_happens",
    "tests/scenarios/test_publish.py::",
    "tests/scenarios/test_remote.py::",
    "tests/scenarios/test_preference_modes.py::",
    "tests/data/rows/test_rendering.py::test_a_row_that_the_template_refuses_is_found",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith(MEASURED) and item.get_closest_marker("slow"):
            item.add_marker("measured")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite the expected messages in tests/golden; read the diff before you commit it",
    )
    parser.addoption(
        "--faults",
        default="1",
        help="how many points of a run each harm of tests/faults strikes; 1000 is all of them",
    )


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))
