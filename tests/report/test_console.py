"""What people and programs see of a run: rows at a terminal, lines elsewhere, events as JSON."""

import io
import json
import sys

import pytest

from runner.plan.model import Plan, Stage
from runner.plan.training import Training
from runner.report.console import reporter
from runner.report.wording import metric
from runner.runs.decisions import FIRST, Action
from runner.runs.manifest import Manifest, StageRecord, State

TRAIN = Stage(
    name="train",
    tool="mlx_lm.lora",
    params={"train": True, "iters": 100, "batch_size": 4},
    outputs={"adapter_path": "a"},
)
TEST = Stage(name="test", tool="mlx_lm.lora", params={"train": False, "test": True}, outputs={})
OLD = Stage(name="old", tool="data.mix", params={}, outputs={})
STAGES = (OLD, TRAIN, TEST)
EVENT = {
    "event": "train",
    "iteration": 10,
    "train_loss": 2.5,
    "learning_rate": 1e-5,
    "iterations_per_second": 0.01,
    "tokens_per_second": 1234.5,
    "peak_memory": 12.3,
}
FAILURE = {
    "kind": "out of memory",
    "guidance": "The machine ran out of memory.",
    "changes": [{"path": "batch_size", "from": 4, "to": 2}],
    "try": "--set stages.test.params.batch_size=2",
    "tail": "Testing",
    "log": "runs/r/1/test/log.txt",
}


def play(heard):
    """A run: one stage skipped, one finished, one failed."""
    records = tuple(StageRecord(name=stage.name) for stage in STAGES)
    manifest = Manifest(
        id="1",
        folder="runs/r/1",
        plan=Plan(name="r", file="r.yaml", stages=STAGES),
        facts={},
        stages=records,
    )
    actions = [
        Action(stage="old", do="skip", cause="finished yesterday"),
        Action(stage="train", do="run", cause=FIRST),
        Action(stage="test", do="run", cause=FIRST),
    ]
    heard.run_started(manifest, actions)
    for number, (stage, action) in enumerate(zip(STAGES, actions, strict=True), start=1):
        heard.stage_started(stage, action, number, len(STAGES))
        if stage is TRAIN:
            heard.event(stage, EVENT)
            heard.event(stage, {"event": "said", "text": "resumes after iteration 4"})
            heard.stage_ended(stage, StageRecord(name="train", state=State.FINISHED, seconds=75.0))
    failed = StageRecord(name="test", state=State.FAILED, exit_code=1, failure=FAILURE)
    heard.stage_ended(TEST, failed)
    heard.run_ended(manifest)


@pytest.fixture
def screen(monkeypatch, capsys):
    """A terminal; returns what it was shown."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    return lambda: capsys.readouterr().err


def test_a_terminal_shows_every_stage_its_figures_and_the_time_left(screen):
    with reporter("text", "always", notes=["a note"]) as heard:
        play(heard)
    shown = screen()
    for part in (
        "a note",
        "r: 3 stages, in runs/r/1",
        "skipped: finished yesterday",
        "resumes after iteration 4",
        "finished in 1 min 15 s",
        "test failed: out of memory (exit 1)",
        "change batch_size: 4 -> 2",
        "try: --set stages.test.params.batch_size=2",
    ):
        assert part in shown, part
    rows = shown[shown.rindex("old") :]
    assert [name in rows for name in ("train", "test")] == [True, True]


def test_a_running_training_has_its_figures_and_what_is_left_in_its_row(screen):
    with reporter("text", "always") as heard:
        heard.run_started(
            Manifest(
                id="1",
                folder="f",
                plan=Plan(name="r", file="r.yaml", stages=(TRAIN,)),
                facts={},
                stages=(),
            ),
            [Action(stage="train", do="run", cause=FIRST)],
        )
        heard.stage_started(TRAIN, Action(stage="train", do="run", cause=FIRST), 1, 1)
        heard.event(TRAIN, EVENT)  # the first report says nothing of the speed
        heard._screen.refresh()
        assert "left" not in screen()
        heard.event(TRAIN, {**EVENT, "iteration": 20})
        heard._screen.refresh()
    shown = screen()
    assert "20/100" in shown
    assert "train 2.500  tok/s 1,234  GB 12.300" in shown
    assert "about 2 h 13 min of training left" in shown


def test_the_time_left_is_said_until_nothing_is_left():
    lines = [metric(Training(iterations=100), EVENT, left) for left in (1.1, 0.5, 1.1, 0.0, None)]
    ends = [line.rpartition(", ")[2] for line in lines]
    assert ends == ["1.1 s left", "less than 1 s left", "1.1 s left", "12.3 GB", "12.3 GB"]


def test_elsewhere_each_event_is_a_line(screen, monkeypatch):
    monkeypatch.setenv("CI", "1")
    with reporter("text", "always") as heard:
        play(heard)
    shown = screen()
    lines = shown.splitlines()
    assert "[1/3] old: skipped: finished yesterday" in lines
    assert (
        "[2/3] train: iteration 10/100, train loss 2.500, learning rate 1e-05, 1,234 tokens/s, "
        "12.3 GB"
    ) in lines
    assert "[2/3] train: resumes after iteration 4" in lines
    assert "\x1b" not in shown


def test_a_program_gets_an_object_a_line_and_knows_each_by_its_kind(capsys):
    with reporter("json", notes=["a note"]) as heard:
        play(heard)
    said = capsys.readouterr()
    events = [json.loads(line) for line in said.out.splitlines()]
    assert [event["event"] for event in events] == [
        "run", "stage-started", "stage-started", "metric", "said", "stage-ended", "stage-started",
        "stage-ended", "run-ended",
    ]  # fmt: skip
    metric = events[3]
    assert (metric["stage"], metric["kind"], metric["train_loss"]) == ("train", "train", 2.5)
    assert events[7]["failure"]["changes"] == FAILURE["changes"]
    assert said.err == ""


def test_who_listened_may_be_gone(screen, monkeypatch):
    class Gone(io.StringIO):
        def write(self, text):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys, "stderr", Gone())
    monkeypatch.setattr(sys, "stdout", Gone())
    for style, color in (("text", "never"), ("json", "never"), ("text", "always")):
        with reporter(style, color) as heard:
            play(heard)
