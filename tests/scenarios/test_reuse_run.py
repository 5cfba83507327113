"""Scenario: the second stage changes, and the first is not trained again."""

import importlib.util
import shutil

import pytest
from test_resume import RECIPE, project, run  # noqa: F401  (a fixture)

if importlib.util.find_spec("mlx_lm") is None:
    pytest.skip("needs mlx-lm", allow_module_level=True)
pytestmark = pytest.mark.slow

TWO = RECIPE[: RECIPE.index("  fuse:")]
FASTER = ("--set", "stages.second.params.learning_rate=1e-4")


def outputs(folder):
    """Every byte that a run's stages have made, with the run's name taken out."""
    places = (folder / name for name in ("smoke_model/model", "first/adapters", "second/adapters"))
    name = folder.name.encode()
    return {
        file.relative_to(folder): file.read_bytes().replace(name, b"RUN")
        for place in places
        for file in place.rglob("*.*")
    }


def test_what_is_reused_has_the_bits_of_a_fresh_run(project):  # noqa: F811
    (project / "r.yaml").write_text(TWO)
    run(project)
    (older,) = (project / "runs" / "r").glob("2*")
    said = run(project, *FASTER).stderr
    begin = said.index("r: 3 stages, in ")
    assert f"first: reused from {older.name} (" in said[:begin]
    assert "--fresh trains it again" in said[:begin]
    assert "[3/3] second: iteration 0/4" in said
    reused = max((project / "runs" / "r").glob("2*"))
    shutil.rmtree(older)
    run(project, "--fresh", *FASTER)
    fresh = max((project / "runs" / "r").glob("2*"))
    assert outputs(reused) == outputs(fresh)
    assert len(outputs(fresh)) == 14
    again = run(project, "--resume", str(reused), *FASTER).stderr
    assert again.count("skipped: finished") == 3
