"""Runs on a disk: their order, and whether one is alive, whatever clocks and process ids say."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.base.errors import RunError
from runner.plan.model import Plan
from runner.runs import history, lock
from runner.runs.manifest import Manifest, State
from runner.system import machine


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""

    def set_to(stamp):
        monkeypatch.setattr(machine, "stamp", lambda: stamp)

    return set_to


def new(runs, recipe="r"):
    folder = history.fresh(runs, recipe)
    folder.mkdir(parents=True)
    return folder.name


def test_a_new_run_comes_after_all_there_are_though_the_clock_was_set_back(tmp_path, clock):
    clock("20261123T120000Z")
    names = [new(tmp_path), new(tmp_path)]
    clock("20251123T120000Z")
    names += [new(tmp_path), new(tmp_path, "another")]
    clock("20261123T120001Z")
    names += [new(tmp_path)]
    assert names == sorted(set(names))
    assert names[0].startswith("20261123T120000Z-")
    assert names[-1].startswith("20261123T120001Z-")


@pytest.mark.parametrize("last", ["ffff", "ffff0", "mine"])
def test_it_comes_after_names_of_any_kind(tmp_path, clock, last):
    clock("20261123T120000Z")
    (tmp_path / "r" / f"20261123T120000Z-{last}").mkdir(parents=True)
    assert new(tmp_path) > f"20261123T120000Z-{last}"


def manifest(folder, **facts):
    return Manifest(
        id="id",
        folder=str(folder),
        plan=Plan(name="r", file="r.yaml", stages=()),
        facts=facts,
        stages=(),
        state=State.RUNNING,
    )


def test_a_run_is_alive_while_its_lock_is_held(tmp_path):
    said = manifest(tmp_path, pid=os.getpid())
    assert not history.alive(said)
    with lock.lock(tmp_path):
        assert history.alive(said)
    assert not history.alive(said)


@pytest.mark.slow
def test_the_second_runner_is_told_who_is_the_first(tmp_path):
    code = (
        "import sys; from pathlib import Path; from runner.runs.lock import lock\n"
        "with lock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout.readline() == b"held\n"
        told = pytest.raises(RunError, match=f"is in use by process {first.pid} since 20")
        with told, lock.lock(tmp_path):
            pass
        first.kill()
        first.wait()
        assert (tmp_path / lock.HOLDER).exists()
        with lock.lock(tmp_path):
            assert lock.is_held(tmp_path)
        assert not (tmp_path / lock.HOLDER).exists()


@pytest.mark.parametrize("said", ["runs/r/latest", "runs/r/../r/latest/", "the folder"])
def test_a_run_is_itself_whatever_it_is_called(tmp_path, monkeypatch, said):
    monkeypatch.chdir(tmp_path)
    folder = Path("runs/r/20261123T120000Z-0000")
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(manifest(folder).as_dict()))
    Path("runs/r/latest").symlink_to(folder.name)
    named = str(folder.absolute()) if said == "the folder" else said
    assert history.find(Path("runs"), named).folder == str(folder)
    assert history.find(Path("elsewhere"), named).folder == str(folder)
    monkeypatch.chdir(folder)
    assert history.find(Path("runs"), ".").folder == str(tmp_path / folder)


def written(folder, name, at):
    """A run of a recipe whose manifest was last written at a time."""
    folder.mkdir(parents=True)
    said = Manifest(
        id=folder.name,
        folder=str(folder),
        plan=Plan(name=name, file=f"{name}.yaml", stages=()),
        facts={},
        stages=(),
    )
    (folder / "run.json").write_text(json.dumps(said.as_dict()))
    os.utime(folder / "run.json", (at, at))
    return folder.name


def test_the_last_run_is_the_one_that_was_worked_on_last(tmp_path):
    resumed = written(tmp_path / "a" / "20261123T120000Z-0000", "a", 300)
    begun = written(tmp_path / "a" / "20261123T130000Z-0000", "a", 100)
    other = written(tmp_path / "b" / "20261123T140000Z-0000", "b", 200)
    for said in (None, "latest", "a", "a.yaml", resumed):
        assert history.find(tmp_path, said).id == resumed
    assert history.find(tmp_path, "b").id == other
    assert history.find(tmp_path, begun).id == begun
    assert history.to_resume(tmp_path, "", "a", smoke=False).id == resumed
    assert [one.id for one in history.find_all(tmp_path)] == [resumed, begun, other]


def test_git_leaves_a_new_folder_of_runs_alone_and_an_old_one_is_its_owners(tmp_path):
    runs = tmp_path / "some" / "runs"
    history.make_folder(runs)
    assert (runs / ".gitignore").read_text().splitlines()[-1] == "*"
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (runs / "run.json").write_text("{}")
    status = ["git", "-C", str(tmp_path), "status", "--porcelain", "-uall"]
    assert subprocess.run(status, check=True, capture_output=True).stdout == b""
    (runs / ".gitignore").write_text("mine")
    history.make_folder(runs)
    assert (runs / ".gitignore").read_text() == "mine"
    (runs / ".gitignore").unlink()
    history.make_folder(runs)
    assert not (runs / ".gitignore").exists()
