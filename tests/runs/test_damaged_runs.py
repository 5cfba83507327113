"""A run's own files are not believed: whatever they are, nothing hangs, breaks, or is overwritten."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from damaged import damage, damages
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.cli import main
from runner.runs.manifest import Manifest, read_back

pytestmark = pytest.mark.slow

RECIPE = """
version: 1
stages:
  one:
    tool: data.mix
    params: {primary: new, replay: old, ratio: 0.5}
    expect: [metrics.realised_share >= 0.5]
  two:
    tool: data.mix
    params: {primary: "{{ stages.one.data }}", replay: old, ratio: 0.2, tolerance: 0.1}
"""
FILES = (
    *(["run.json"] * 6), "events.jsonl", "commands.sh", "recipe.yaml", "notes.txt", "report.html",
    ".lock", ".holder.json", ".reserve", ".replaced", "one", "one/.part", "one/.part/data",
    *(["one/effective.json"] * 3), "one/metrics.jsonl", "one/log.txt", "one/places.json",
    "one/config.json", "one/data", "one/data/train.jsonl", "../../.digests.json", "../latest",
)  # fmt: skip
VERBS = (
    ("runs",),
    ("runs", "r", "--format", "markdown"),
    ("status",),
    ("status", "--format", "json"),
    ("report", "--format", "json"),
    ("report", "--format", "markdown"),
    ("report", "-o", "page.html"),
    ("audit",),
    ("audit", "--format", "json"),
    ("diff", "r.yaml", "RUN"),
    ("r.yaml", "--resume", "--dry-run"),
    ("r.yaml", "--resume", "RUN", "--dry-run"),
)
SECONDS = 20


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ran")
    for name in ("new", "old"):
        (folder / name).mkdir()
        for split in ("train", "valid", "test"):
            rows = "".join(json.dumps({"text": f"{name} {split} {at}"}) + "\n" for at in range(8))
            (folder / name / f"{split}.jsonl").write_text(rows, encoding="utf-8")
    (folder / "r.yaml").write_text(RECIPE, encoding="utf-8")
    words = [sys.executable, "-m", "runner", "r.yaml"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def texts(folder):
    found = {}
    for name in set(FILES):
        if (folder / name).is_file():
            found[name] = (folder / name).read_text(encoding="utf-8", errors="replace")
    return found


def call(words, monkeypatch):
    """Call the command line in this process; return its exit code. Whatever else it raises, fails."""

    def late(*_):
        raise AssertionError(f"run-recipe {' '.join(words)} hangs")

    monkeypatch.setattr(sys, "argv", ["run-recipe", *words])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        main.main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    raise AssertionError("it does not end")


@settings(
    max_examples=int(os.environ.get("DAMAGED_RUNS", "40")),
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_no_verb_breaks_or_hangs_on_a_damaged_run(ran, tmp_path, monkeypatch, capfd, data):
    monkeypatch.chdir(tmp_path)
    project = tmp_path / str(len(list(tmp_path.iterdir())))
    shutil.copytree(ran, project, symlinks=True)
    monkeypatch.chdir(project)
    (victim := project / "victim").mkdir()
    (victim / "dear").write_text("dear", encoding="utf-8")
    (folder,) = project.glob("runs/r/2*")
    known = texts(folder)
    for _ in range(data.draw(st.integers(1, 2))):
        what = data.draw(damages(FILES, known))
        damage(folder, *what, data.draw(st.sampled_from([victim, victim / "dear"])))
    for verb in VERBS:
        words = [word.replace("RUN", f"runs/r/{folder.name}") for word in verb]
        assert call(words, monkeypatch) in {0, 1, 2, 6}, (words, capfd.readouterr())
    assert [path.name for path in victim.iterdir()] == ["dear"]
    assert (victim / "dear").read_text(encoding="utf-8") == "dear"


@settings(
    max_examples=int(os.environ.get("DAMAGED_RUNS", "8")), suppress_health_check=list(HealthCheck)
)
@given(data=st.data())
def test_going_on_with_a_damaged_run_overwrites_nothing(ran, tmp_path, data):
    project = tmp_path / str(len(list(tmp_path.iterdir())))
    shutil.copytree(ran, project, symlinks=True)
    (victim := project / "victim").mkdir()
    (victim / "dear").write_text("dear", encoding="utf-8")
    (folder,) = project.glob("runs/r/2*")
    for _ in range(2):
        what = data.draw(damages(FILES, texts(folder)))
        damage(folder, *what, data.draw(st.sampled_from([victim, victim / "dear"])))
    words = [sys.executable, "-m", "runner", "r.yaml", "--resume", str(folder)]
    done = subprocess.run(
        words, cwd=project, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode in {0, 1, 2}, done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in victim.iterdir()] == ["dear"]
    assert (victim / "dear").read_text(encoding="utf-8") == "dear"


@pytest.mark.parametrize("state", ["running", "failed", "finished"])
def test_a_note_of_places_moves_nothing_that_the_plan_does_not_name(ran, tmp_path, state):
    project = tmp_path / "p"
    shutil.copytree(ran, project, symlinks=True)
    (victim := project / "victim").write_text("dear", encoding="utf-8")
    (folder,) = project.glob("runs/r/2*")
    (folder / "evil").write_text("evil", encoding="utf-8")
    places = {str(victim): "${RUN_DIR}/evil", "${RUN_DIR}/one/data": "${RUN_DIR}/evil"}
    (folder / "one" / "places.json").write_text(json.dumps(places), encoding="utf-8")
    said = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    said["state"] = said["stages"][0]["state"] = state
    said["stages"][0]["prints"][str(victim)] = {}
    (folder / "run.json").write_text(json.dumps(said), encoding="utf-8")
    words = [sys.executable, "-m", "runner", "r.yaml", "--resume"]
    done = subprocess.run(words, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert victim.read_text(encoding="utf-8") == "dear"
    assert (folder / "evil").read_text(encoding="utf-8") == "evil"
    assert (folder / "one" / "data" / "train.jsonl").is_file()


def test_a_damaged_run_is_named_and_the_sound_one_meant(ran, tmp_path):
    project = tmp_path / "p"
    shutil.copytree(ran, project, symlinks=True)
    (folder,) = project.glob("runs/r/2*")
    bad = folder.with_name("29991231T000000Z-ffff")
    bad.mkdir()
    os.mkfifo(bad / "run.json")

    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "runner", *words],
            cwd=project, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    for words in (["runs"], ["status"], ["audit"], ["r.yaml", "--resume", "-n"]):
        done = run(*words)
        assert done.returncode == 0, done.stderr
        assert (
            f"the run runs/r/{bad.name} is damaged: run.json cannot be read: it is a pipe"
            in done.stderr
        )
        assert "skipped" in done.stderr
    done = run("status", bad.name)
    assert done.returncode == 2
    assert "is damaged: run.json cannot be read: it is a pipe" in done.stderr


def test_a_manifest_is_read_back_as_it_was_written(ran):
    (file,) = ran.glob("runs/r/2*/run.json")
    said = json.loads(file.read_text(encoding="utf-8"))
    found = read_back(said)
    assert isinstance(found, Manifest)
    assert json.loads(json.dumps(found.as_dict())) == said
