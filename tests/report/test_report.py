"""Reports and comparisons, from values."""

import json

import pytest
from msgspec.structs import replace

from runner.catalog import load
from runner.plan.expectations import Judgement
from runner.plan.model import Plan, Stage
from runner.report.comparison import comparison
from runner.report.comparison import markdown as side_by_side
from runner.report.curves import curves
from runner.report.report import markdown, report
from runner.report.wording import gates, standing, unenforced
from runner.runs.audit import compare
from runner.runs.manifest import Manifest, StageRecord, State, read_back
from runner.runs.next_steps import going_on


def run(name="one", *, rate=1e-5, loss=2.0, smoke=False, data="aa", state=State.FINISHED):
    tool = load.catalog().get("mlx_lm.lora")
    params = {p.name: p.default for p in tool.parameters.values()}
    params |= {"train": True, "model": "m", "data": "d", "learning_rate": rate}
    stage = Stage(name="train", tool="mlx_lm.lora", params=params, outputs={})
    record = StageRecord(
        name="train",
        state=state,
        seconds=90.0,
        metrics={"val_loss": loss, "tokens_per_second": 100.0},
        expectations=(("metrics.val_loss <= 2.5", loss <= 2.5),),
        identity={"model": "m", "data": "d", "input d": data},
    )
    plan = Plan(
        name="demo", file="demo.yaml", stages=(stage,), description="A description.", smoke=smoke
    )
    manifest = Manifest(
        id=name, folder=f"runs/demo/{name}", plan=plan, facts={}, stages=(record,), state=state
    )
    rows = [{"iteration": 1, "val_loss": loss}]
    seen = {"train": (compare(params, params, {}, {}), {"train_rows": 7})}
    return report(
        manifest,
        load.catalog(),
        seen,
        curves([("train", rows)]),
        ("bash", "yaml", "budget train: 3"),
    )


def test_what_was_changed_is_known_from_what_was_left():
    rows = {row.name: row for row in run(rate=1e-5).stages[0].rows}
    assert rows["train"].changed
    assert not rows["learning_rate"].changed
    assert run(rate=2e-5).as_dict()["stages"][0]["changed"]["learning_rate"] == 2e-5


def test_a_run_whose_process_is_gone_was_cut_off():
    assert run(state=State.RUNNING).state == "cut off"
    assert replace(run(state=State.RUNNING), alive=True).state == "running"


def test_markdown_says_gates_figures_and_failures():
    one = run(loss=3.0)
    record = replace(one.stages[0].record, failure={"kind": "expectation", "guidance": "Too high."})
    one = replace(one, stages=(replace(one.stages[0], record=record),))
    text = markdown(one)
    assert "# demo: finished" in text
    assert "| train | mlx_lm.lora | finished | 1 min 30 s | val_loss 3.000" in text
    assert "| `metrics.val_loss <= 2.5` | train | **no** |" in text
    assert "**train: expectation**. Too high." in text


def test_a_gate_of_a_smoke_run_says_that_it_stopped_nothing():
    one = run(loss=3.0, smoke=True)
    missed = Judgement(
        expected="metrics.val_loss <= 2.5", place="", held=False, figures={"metrics.val_loss": 3.0}
    )
    record = replace(one.manifest.stages[0], unenforced=(missed.as_dict(),))
    whole = one.manifest.with_stage(record)
    assert read_back(json.loads(json.dumps(whole.as_dict()))) == whole
    assert unenforced(record) == ["not enforced in a smoke run: metrics.val_loss <= 2.5 (3.000)"]
    assert unenforced(record)[0] in standing(whole, alive=False)
    assert gates(record, smoke=True) == [
        ("metrics.val_loss <= 2.5", False, "no, not enforced in a smoke run (3.000)")
    ]
    held = replace(record, expectations=(("metrics.val_loss <= 9", True),), unenforced=())
    assert [words for *_, words in gates(held, smoke=True)] == ["yes, not enforced in a smoke run"]
    assert [words for *_, words in gates(held, smoke=False)] == ["yes"]
    one = replace(one, stages=(replace(one.stages[0], record=record),))
    assert "| train | **no**, not enforced in a smoke run (3.000) |" in markdown(one)


def test_an_option_that_a_remedy_changes_is_said_once():
    options = ("--profile", "p", "--set", "vars.lr=1", "--set", "vars.n=2", "--from", "train")
    manifest = replace(run().manifest, options=options)
    file = manifest.plan.file
    assert going_on(manifest, "vars.lr=0.1") == (
        f"run-recipe {file} --profile p --set vars.n=2 --from train --set vars.lr=0.1 --resume"
    )
    assert going_on(manifest) == f"run-recipe {file} {' '.join(options)} --resume"


def test_why_an_expectation_does_not_hold_is_said_with_every_figure_it_reads():
    two = {"metrics.val_loss": 3.0, "stages.a.metrics.val_loss": 2.0}
    judged = [
        Judgement(expected="a", place="", held=False, figures=two),
        Judgement(expected="b", place="", held=False, figures={}, trouble="nothing measured it"),
        Judgement(expected="c", place="", held=False, figures={}),
    ]
    record = StageRecord(name="train", unenforced=tuple(one.as_dict() for one in judged))
    assert [one.partition("run: ")[2] for one in unenforced(record)] == [
        "a (metrics.val_loss is 3.000, stages.a.metrics.val_loss is 2.000)",
        "b (nothing measured it)",
        "c (it is false)",
    ]


def test_two_runs_show_what_differs_and_which_figure_is_better():
    found = comparison([run("one", loss=2.0), run("two", rate=2e-5, loss=1.5)])
    assert [(row.name, row.values) for row in found.parameters] == [
        ("learning_rate", (1e-05, 2e-05))
    ]
    best = {row.name: row.best for row in found.metrics}
    assert best == {"val_loss": (1,), "tokens_per_second": (), "seconds": ()}
    assert found.warnings == ()
    assert "| train.val_loss | 2 | **1.5** |" in side_by_side(found)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"data": "bb"}, "stage train read different content: d"),
        ({"smoke": True}, "one is a smoke run and another is not"),
        ({"state": State.FAILED}, "two did not finish: failed"),
    ],
)
def test_runs_that_cannot_be_compared_say_why(other, why):
    found = comparison([run("one"), run("two", **other)])
    assert any(why in warning for warning in found.warnings)
