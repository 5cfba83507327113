"""Recipes of every shape are answered in a time that grows with their size, and in little memory.

What is measured is the processor's time of a child, twice the size beside once: nothing here is in
seconds, which are a machine's own.
"""

import os
import subprocess
import sys
from multiprocessing import get_context

import pytest
from fuzz import child
from shapes import HEAD, ONE, SHAPES

SIZE = 60_000
MEGABYTES = 300
VERBS = {
    "check": ("check", "r.yaml"),
    "json": ("check", "r.yaml", "--format", "sarif"),
    "show": ("show", "r.yaml", "--format", "json"),
    "dry-run": ("r.yaml", "-n"),
    "diff": ("diff", "r.yaml", "one.yaml"),
}
ALL_VERBS = {
    "a chain of vars",
    "stages",
    "stages that extend each other",
    "computed vars that stages read",
}
ALIKE = 3.4
"""Twice the size takes at most so many times as long: four times is what must not be."""
LEAST = 0.25
"""Seconds below which a time says nothing of how it grows."""


@pytest.fixture(scope="module")
def measured():
    """Measure a command in a child of a small process: this one's memory would be the child's."""
    with get_context("spawn").Pool(1, initializer=child.preload) as small:

        def measure(folder, text, words):
            (folder / "r.yaml").write_text(text)
            (folder / "one.yaml").write_text(ONE)
            environ = {**os.environ, "HOME": str(folder), "RUN_RECIPE_CACHE": ""}
            return small.apply(child.run, (words, folder, environ))

        yield measure


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_twice_the_size_takes_no_four_times_as_long(measured, tmp_path, shape):
    verbs = VERBS if shape in ALL_VERBS else {"check": VERBS["check"]}
    for verb, words in verbs.items():
        half, whole = (measured(tmp_path, SHAPES[shape](size), words) for size in (SIZE // 2, SIZE))
        assert not half.hung, verb
        assert not whole.hung, verb
        assert whole.code != child.INTERNAL, whole.err
        assert whole.megabytes < MEGABYTES, verb
        assert whole.seconds < ALIKE * max(half.seconds, LEAST), verb
        assert len(whole.said) < 300 * SIZE, verb


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_a_megabyte_is_answered_within_five_seconds_or_refused(measured, tmp_path, shape):
    """Where a limit refuses it at once, a smaller one is asked for that reaches further."""
    for size in (1_000_000, 250_000):
        whole = measured(tmp_path, SHAPES[shape](size), VERBS["check"])
        assert not whole.hung, f"more than {child.SECONDS} s of the processor"
        assert whole.code in {0, 2}, whole.err
        assert whole.megabytes < MEGABYTES
        if b"[too-large]" not in whole.out:
            break


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["unknown parameters on a line", "wrong needs of one stage"])
def test_what_is_printed_of_thousands_of_problems_is_little(measured, tmp_path, shape):
    (tmp_path / "r.yaml").write_text(SHAPES[shape](SIZE))
    words = [sys.executable, "-m", "runner", "check", "r.yaml"]
    found = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert "errors more; fix these first" in found.stdout
    assert len(found.stdout) < 60_000


def test_shapes_begin_as_recipes_do():
    for shape, make in SHAPES.items():
        assert make(100).startswith(HEAD) or shape == "open brackets"
