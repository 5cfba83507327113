"""Going on where nothing is left to do: the run stays as it is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from runner.runs import history

RECIPE = """\
version: 1
vars: {seed: 3}
stages:
  mix:
    tool: data.mix
    params: {primary: new, replay: old, ratio: 0.2, tolerance: 0.5, seed: "{{ vars.seed }}"}
  again:
    extends: mix
    params: {primary: "{{ stages.mix.data }}", seed: 4}
"""
COUNTED = """\
import sys
from runner.cli.main import main
from runner.lint import findings
look = findings.all_problems
findings.all_problems = lambda *a, **k: print("examined", file=sys.stderr) or look(*a, **k)
main()
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path, monkeypatch):
    place = tmp_path / "place"
    for name in ("new", "old"):
        (place / name).mkdir(parents=True)
        rows = [json.dumps({"prompt": f"{name} {n}", "completion": str(n)}) for n in range(20)]
        (place / name / "train.jsonl").write_text("\n".join(rows) + "\n")
    (place / "r.yaml").write_text(RECIPE)
    monkeypatch.chdir(place)
    assert call().returncode == 0
    return place


def call(*words):
    argv = [sys.executable, "-P", "-c", COUNTED, "r.yaml", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def state(folder):
    (run,) = [path for path in (folder / "runs" / "r").iterdir() if not path.is_symlink()]
    return {
        path.relative_to(run): (
            path.name != "run.json" and path.stat().st_mtime_ns,
            path.stat().st_ino,
        )
        for path in run.rglob("*")
    }


def test_nothing_is_looked_at_and_nothing_written(folder):
    before = state(folder)
    done = call("--resume")
    assert done.returncode == 0
    assert "examined" not in done.stderr
    assert done.stderr.count("skipped: finished") == 2
    assert state(folder) == before


@pytest.mark.parametrize("change", ["recipe", "row", "output", "set", "variable"])
def test_what_changed_runs_again(folder, monkeypatch, change):
    words = ["--resume"]
    if change == "recipe":
        Path("r.yaml").write_text(RECIPE.replace("seed: 3", "seed: 5"))
    elif change == "row":
        with Path("new/train.jsonl").open("a") as file:
            file.write('{"prompt": "more", "completion": "x"}\n')
    elif change == "output":
        Path("runs/r/latest/mix/data/train.jsonl").write_text("{}\n")
    elif change == "set":
        words += ["--set", "vars.seed=5"]
    else:
        monkeypatch.setenv("RECIPE_VARS_SEED", "5")
    done = call(*words)
    assert done.returncode == 0, done.stderr
    assert "mix: data.mix, rerun" in done.stderr


def test_a_run_that_another_plan_went_on_with_is_not_taken_for_the_first_ones(folder):
    assert "rerun: seed changed" in call("--resume", "--set", "vars.seed=5").stderr
    assert "rerun: seed changed" in call("--resume").stderr
    assert "examined" not in call("--resume").stderr


def test_the_newest_run_is_latest_again(folder):
    call()
    runs = sorted(path for path in Path("runs/r").iterdir() if not path.is_symlink())
    assert Path("runs/r/latest").resolve().name == runs[1].name
    call("--resume", runs[0].name)
    assert Path("runs/r/latest").resolve().name == runs[0].name
    assert history.find(Path("runs"), None).id == runs[0].name


def test_a_run_that_is_not_there_is_said_so(folder):
    done = call("--resume", "nothing")
    assert done.returncode == 2
    assert "no run 'nothing'" in done.stderr


BY_PATH = """\
version: 1
vars: {place: mixed/rows}
stages:
  mix:
    tool: data.mix
    params: {primary: new, replay: old, ratio: 0.2, tolerance: 0.5, seed: 3, out: "{{ vars.place }}"}
  again:
    tool: data.mix
    params: {primary: mixed/rows, replay: old, ratio: 0.2, tolerance: 0.5, seed: 4}
"""


def test_what_is_handed_on_by_a_path_is_handed_on_anew(folder):
    Path("r.yaml").write_text(BY_PATH)
    assert call().returncode == 0
    Path("r.yaml").write_text(BY_PATH.replace("seed: 3", "seed: 5"))
    done = call("--resume")
    assert "mix: data.mix, rerun: seed changed: 3 -> 5" in done.stderr
    assert "again: data.mix, rerun: stage mix changed" in done.stderr
