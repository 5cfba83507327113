"""Runs that are removed: which, which never, what that frees, and where latest points afterwards."""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from runner import workflow
from runner.base.errors import RecipeError
from runner.cli.run import LABEL
from runner.cli.run import command as run
from runner.cli.runs_care import du, prune
from runner.runs import history, lock
from runner.runs import prune as pruning
from runner.runs.manifest import Manifest, State, Text
from runner.runs.prune import Choice

NOW = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for day, state in ((1, State.FINISHED), (10, State.FAILED), (20, State.FINISHED)):
        make("a", day, state)
    make("b", 5)
    return tmp_path / "runs"


def make(recipe, day, state=State.FINISHED, primary="new"):
    """A run that ended on a day of November, with a file of 4 kB."""
    Path(f"{recipe}.yaml").write_text(
        "version: 1\nstages:\n"
        f"  mix: {{tool: data.mix, params: {{primary: {primary}, replay: old, ratio: 0.2}}}}\n"
    )
    plan = workflow.compile_recipe(workflow.load(f"{recipe}.yaml", environ={}), {}).plan
    folder = Path("runs") / recipe / f"202611{day:02}T000000Z-00{day:02}"
    (folder / "mix" / "data").mkdir(parents=True)
    (folder / "mix" / "data" / "train.jsonl").write_bytes(b"x" * 4096)
    end = f"2026-11-{day:02}T00:00:00.000Z"
    manifest = Manifest(id=folder.name, folder=str(folder), plan=plan, facts={}, stages=())
    (folder / "run.json").write_text(Text().of(replace(manifest, state=state, ended=end)))
    history.link(folder)
    return folder


def gone(**choice):
    plan = pruning.prune(history.find_all(Path("runs")), Choice(**choice), NOW)
    return [one.id[-2:] for one in plan.runs], [(one.id[-2:], why) for one, why in plan.needed]


def test_each_option_narrows_what_goes(runs):
    assert gone(keep=1) == (["01", "10"], [])
    assert gone(failed=True) == (["10"], [])
    assert gone(older=15 * 86_400) == (["01", "05", "10"], [])
    assert gone(older=15 * 86_400, keep=2) == (["01"], [])
    assert gone(keep=0, recipes=frozenset({"b"})) == (["05"], [])


def test_what_a_kept_run_has_read_stays_and_what_that_has_read(runs):
    first = make("c", 2)
    second = make("d", 3, primary=f"{first}/mix/data")
    make("e", 4, primary=f"{second}/mix/data")
    away, needed = gone(keep=0, recipes=frozenset({"c", "d"}))
    assert away == []
    assert sorted(needed) == [
        ("02", f"{second.name} reads it"),
        ("03", "20261104T000000Z-0004 reads it"),
    ]
    assert gone(keep=0, recipes=frozenset({"c", "d", "e"})) == (["02", "03", "04"], [])


def test_a_run_that_is_worked_on_stays(runs):
    folder = make("f", 25, State.RUNNING)
    with lock.lock(folder):
        assert gone(keep=0, recipes=frozenset({"f"})) == ([], [("25", "it runs now")])
    assert gone(keep=0, recipes=frozenset({"f"})) == (["25"], [])


def test_a_hard_link_counts_once_and_is_not_freed_while_the_other_is_there(runs):
    one, two = (runs / "a" / name / "mix" / "data" for name in ids("a")[:2])
    os.link(one / "train.jsonl", two / "linked.jsonl")
    assert pruning.size([one, two]) == 8192
    assert pruning.size([one], [two]) == 0


def ids(recipe):
    return sorted(path.name for path in Path("runs", recipe).glob("2*"))


def test_nothing_goes_where_nobody_confirms(runs, capsys):
    assert call(prune, "--keep", "1") == 0
    said = capsys.readouterr()
    assert [line.split()[0][-2:] for line in said.out.splitlines()] == ["01", "10"]
    assert said.err.startswith("2 runs, ")
    assert said.err.endswith("; nothing was removed: add --yes\n")
    assert len(ids("a")) == 3


def test_what_a_refusal_to_prune_advises_is_done(runs):
    with pytest.raises(RecipeError, match="nothing says which runs to remove"):
        call(prune)
    with pytest.raises(RecipeError, match="--older must be a duration, not 'long'"):
        call(prune, "--older", "long")
    for words in (
        ("--keep", "3"),
        ("--failed",),
        *(("--older", one) for one in ("30d", "12h", "90m")),
    ):
        assert call(prune, *words) == 0
    assert len(ids("a")) == 3
    for command in (prune, du):
        assert call(command, "--help") == 0


def test_a_name_that_no_run_can_have_is_refused(runs):
    with pytest.raises(RecipeError, match="'a/b' cannot name a run"):
        call(run, "a.yaml", "--name", "a/b", "-n")
    with pytest.raises(RecipeError, match="--name is for a new run"):
        call(run, "a.yaml", "--name", "a_1", "--resume", "a", "-n")
    assert call(run, "a.yaml", "--name", "a_1", "-n") == 0


def test_latest_never_points_to_what_is_gone(runs, capsys):
    (runs / "a" / ".removed-20261101T000000Z-0001").mkdir()
    assert call(prune, "a", "--older", "5d", "--yes") == 0
    assert "removed 3, freed " in capsys.readouterr().err
    assert [path.name for path in (runs / "a").iterdir()] == []
    kept, newest = make("a", 21), make("a", 22)
    assert (runs / "a" / "latest").readlink() == Path(newest.name)
    pruning.remove(history.find(Path("runs"), newest.name))
    assert (runs / "a" / "latest").readlink() == Path(kept.name)


def test_what_runs_take_is_shown(runs, capsys):
    assert call(du, "b") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("20261105T000000Z-0005  b")
    assert lines[-1].endswith("  all; a file that runs share counts once")
    shutil.rmtree(runs)


def test_a_named_run_is_found_by_its_name_and_comes_after_all_others(runs):
    folder = history.fresh(runs, "a", "warm_up")
    assert folder.name.endswith("-warm_up")
    assert folder.name > ids("a")[-1]
    assert not LABEL.fullmatch("a/b")
    shutil.copytree(runs / "a" / ids("a")[0], folder)
    assert history.find(Path("runs"), "warm_up").folder == str(Path("runs/a") / folder.name)


def call(command, *words):
    return command.main([*words], standalone_mode=False)
