"""What another run has finished is taken where it is the same work, and only there."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from msgspec.structs import replace

import runner
from runner import workflow
from runner.catalog import load
from runner.runs import history, taking
from runner.runs.decide import decide
from runner.runs.job import Search
from runner.runs.manifest import Manifest, StageRecord, State, Text
from runner.system import clone, files, machine

RECIPE = """
version: 1
vars: {ratio: 0.2}
stages:
  mix: {tool: data.mix, params: {primary: new, replay: old, ratio: "{{ vars.ratio }}"}}
  again: {tool: data.mix, params: {primary: "{{ stages.mix.data }}", replay: old, ratio: 0.375, seed: 1}}
"""
LOOK = Search(explain=True)


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """A project in which the recipe has run once."""
    place, here = tmp_path_factory.mktemp("once"), Path.cwd()
    for name in ("new", "old"):
        (place / name).mkdir()
        rows = [{"prompt": f"{name} {n}", "completion": str(n)} for n in range(20)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (place / name / "train.jsonl").write_text(text)
    (place / "r.yaml").write_text(RECIPE)
    os.chdir(place)
    run()
    os.chdir(here)
    return place


@pytest.fixture
def project(tmp_path, monkeypatch, once):
    shutil.copytree(once, tmp_path, dirs_exist_ok=True, symlinks=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def older():
    return history.find(Path("runs"), None)


def run(*sets, **more):
    return runner.run(runner.load("r.yaml", sets=sets), progress=False, **more)


def content(folder):
    """The bytes of a run's outputs, by path."""
    places = [Path(folder) / name for name in ("mix/data", "again/data")]
    return {
        path.relative_to(folder): path.read_bytes() for one in places for path in one.rglob("*.*")
    }


def prints(folder):
    rows = ((one, one.stat()) for one in Path(folder).rglob("*") if one.is_file())
    return {one: (row.st_ino, row.st_mtime_ns, one.read_bytes()) for one, row in rows}


def actions(text=None, search=LOOK, before=None):
    """What would be done with each stage, and why nothing is taken for it."""
    if text is not None:
        Path("r.yaml").write_text(text)
    recipe = runner.load("r.yaml")
    plan = workflow.compile_recipe(recipe).plan
    names = [stage.name for stage in plan.stages]
    made = decide(plan, load.installed_catalog(), names, before, Path("runs"), search)
    return {one.stage: (one.do, made.reuse.reasons.get(one.stage, "")) for one in made.actions}


def finished(text, folder="runs"):
    """A run whose stages have finished, as a run would record it; none of them makes anything."""
    Path("r.yaml").write_text(text)
    catalog = load.installed_catalog()
    plan = workflow.compile_recipe(runner.load("r.yaml")).plan
    made = decide(plan, catalog, [one.name for one in plan.stages], None, Path(folder))
    rows = tuple(
        StageRecord(
            name=one.name,
            state=State.FINISHED,
            identity=dict(made.identities[one.name].parts),
            setting=dict(made.settings[one.name]),
        )
        for one in plan.stages
    )
    place = Path(folder) / "r" / "20200101T000000Z-0000"
    whole = Manifest(id=place.name, folder=str(place), plan=plan, facts={}, stages=rows)
    for one in rows:
        (place / one.name).mkdir(parents=True)
        (place / one.name / "effective.json").write_text('{"ended": true}')
    (place / "run.json").write_text(Text().of(replace(whole, state=State.FINISHED)))


@pytest.mark.slow
def test_a_second_run_takes_what_is_equal_and_stands_by_itself(project):
    first, plain = older(), run(fresh=True)
    second = run("stages.again.params.seed=2")
    assert [one.reused for one in second.stages.values()] == [plain.id, ""]
    third = run()
    assert third.stages["again"].reused
    assert content(third.folder) == content(plain.folder)
    assert third.stages["again"].verdicts
    assert third.stages["again"].metrics == plain.stages["again"].metrics
    shutil.rmtree(first.folder)
    shutil.rmtree(plain.folder)
    shutil.rmtree(second.folder)
    decided = actions(RECIPE, before=history.find(Path("runs"), None))
    assert {do for do, _ in decided.values()} == {"skip"}
    record = history.read(third.folder).stage("mix")
    assert record.reused["stage"] == "mix"
    assert record.reused["seconds"] >= 0


def test_what_was_taken_is_told_before_anything_runs(project, capsys):
    first = older()
    runner.run(runner.load("r.yaml"))
    said = capsys.readouterr().err
    begin = said.index("r: 2 stages, in ")
    assert f"mix: reused from {first.id} (" in said[:begin]
    assert "--fresh runs it again" in said[:begin]


def resumed(*sets):
    job = workflow.prepare("r.yaml", sets=sets, runs=Path("runs"), resume="")
    return workflow.run(job, workflow.hearers(progress=True))


def test_a_finished_run_that_is_resumed_with_a_change_stays_as_it_is(project, capsys):
    folder = Path(older().folder)
    before = prints(folder)
    other = resumed("stages.again.params.seed=2")
    assert other.ok
    assert other.folder != folder
    assert prints(folder) == before
    assert [one.reused for one in other.stages.values()] == [folder.name, ""]
    said = capsys.readouterr().err
    assert f"{folder.name} has finished and stays as it is: --set starts a new run" in said
    assert "again: data.mix, rerun: seed changed: 1 -> 2" in said
    assert resumed("stages.again.params.seed=2").folder == other.folder  # nothing is to run


def test_a_fresh_run_takes_nothing(project):
    again = run(fresh=True)
    assert [one.reused for one in again.stages.values()] == ["", ""]


def test_results_of_another_folder_of_runs_are_taken_where_it_is_named(project):
    Path("runs").rename("elsewhere")
    assert actions()["mix"][0] == "run"
    decided = actions(search=Search(more=(Path("elsewhere"),)))
    assert {do for do, _ in decided.values()} == {"reuse"}


def test_expectations_are_judged_anew(project):
    lines = RECIPE.replace("seed: 1}}", "seed: 1}, expect: [metrics.rows < 0]}")
    Path("r.yaml").write_text(lines)
    again = run()
    assert again.stages["again"].reused
    assert again.stages["again"].failure == "expectation"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("ratio: 0.2", "ratio: 0.5", "ratio changed: 0.2 -> 0.5"),
        ("seed: 1", "seed: 2", "seed changed: 1 -> 2"),
    ],
)
def test_what_the_recipe_changes_is_not_taken_and_is_explained(project, old, new, why):
    told = {reason.partition(": ")[2] for _, reason in actions(RECIPE.replace(old, new)).values()}
    assert why in told


def test_a_changed_row_is_not_taken(project):
    with Path("old/train.jsonl").open("a") as file:
        file.write('{"prompt": "x", "completion": "y"}\n')
    decided = actions()
    assert decided["mix"][0] == decided["again"][0] == "run"
    assert decided["mix"][1].endswith("stage mix: input old changed")
    assert decided["again"][1] == "stage mix, which it reads from, runs"


def test_another_release_or_device_or_variable_is_not_taken(project, monkeypatch):
    real = machine.installed
    monkeypatch.setattr(machine, "installed", lambda n: "9.9" if n == "mlx" else real(n))
    assert "release of mlx changed: " in actions()["mix"][1]
    monkeypatch.setattr(machine, "installed", real)
    monkeypatch.setattr(machine, "device", lambda: "Metal, Apple M9")
    assert '-> "Metal, Apple M9"' in actions()["mix"][1]
    monkeypatch.undo()
    os.chdir(project)
    monkeypatch.setenv("MLX_ENABLE_TF32", "0")
    assert actions()["mix"][1].endswith("variable MLX_ENABLE_TF32 changed")


HUB = """
version: 1
stages:
  ask: {tool: mlx_lm.perplexity, params: {model: org/name, data_path: org/rows}}
"""


def test_a_model_that_moved_on_the_hub_is_not_taken(project, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(project / "hub"))
    refs = [project / "hub" / f"{kind}--org--{name}" / "refs" for kind, name in PLACES]
    for place in refs:
        place.mkdir(parents=True)
        (place / "main").write_text("1" * 40)
    finished(HUB)
    assert actions() == {"ask": ("reuse", "")}
    (refs[0] / "main").write_text("2" * 40)
    assert actions()["ask"][1].startswith(
        '20200101T000000Z-0000, stage ask: commit of org/name changed: "1111'
    )
    (refs[0] / "main").unlink()
    assert actions()["ask"] == ("run", "the commit of org/name is not known")


PLACES = [("models", "name"), ("datasets", "rows")]


def test_what_acts_outside_of_this_disk_is_never_taken(project):
    finished(
        "version: 1\nstages:\n  up: {tool: hf.upload, params: {repo_id: a/b, local_path: new}}\n"
    )
    assert actions()["up"] == (
        "run",
        "hf.upload acts outside of this disk, or measures this moment",
    )
    tools = load.catalog()
    never = {name for name in tools.names if not tools.get(name).reusable}
    assert never == {"hf.upload", "hub.publish", "mlx_lm.upload", "mlx_lm.benchmark"}


@pytest.mark.parametrize("harm", ["changed", "gone", "link", "audit"])
def test_a_result_that_is_not_intact_is_not_taken(project, harm):
    file = Path(older().folder) / "mix" / "data" / "train.jsonl"
    if harm == "changed":
        file.write_text(file.read_text().replace("new 1", "new X"))
    elif harm == "gone":
        file.unlink()
    elif harm == "link":
        (file.parent / "more").symlink_to("/etc/passwd")
    else:
        (file.parent.parent / "effective.json").unlink()
    decided = actions()["mix"]
    assert decided[0] == "run"
    assert {"changed": "changed", "gone": "is gone", "link": "more", "audit": "its audit is gone"}[
        harm
    ] in decided[1]


def test_a_result_that_goes_while_it_is_taken_is_made(project, monkeypatch):
    first = older()

    def late(*words):
        shutil.rmtree(first.folder)
        return real(*words)

    real = clone.copy
    monkeypatch.setattr(taking.clone, "copy", late)
    again = run()
    assert again.ok
    assert again.stages["mix"].reused == ""


@pytest.mark.slow
def test_a_kill_at_any_point_damages_nothing(project):
    """The runner is killed at each of its first 20 steps that write; then the run is resumed."""
    folder = Path(older().folder)
    before, plain = prints(folder), content(folder)
    for at in range(1, 21):
        pid = os.fork()
        if pid == 0:
            die_at(at)
            run()
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status), f"there is no step {at}"
        assert prints(folder) == before
        newest = max(Path("runs/r").glob("2*"))
        if newest != folder and history.read(newest) is not None:
            done = run(resume=str(newest))
            assert done.ok
            assert content(done.folder) == plain
            shutil.rmtree(newest)
    assert prints(folder) == before


def die_at(count):
    """Let this process be killed at the n-th time that it writes, moves or copies."""
    left = [count]

    def watch(module, name):
        real = getattr(module, name)

        def die(*words, **more):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*words, **more)

        setattr(module, name, die)

    watch(files, "write_bytes")
    watch(clone, "_file")
    watch(Path, "replace")
    watch(Path, "mkdir")
