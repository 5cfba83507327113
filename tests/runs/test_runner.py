"""A run's record at the moments at which a kill would leave it as it is."""

import os
import signal

import pytest

from runner import workflow
from runner.base.errors import Exit
from runner.catalog import load
from runner.report.console.plain import Silent
from runner.runs import history, signals
from runner.runs.decisions import Identity
from runner.runs.job import Job
from runner.runs.manifest import Manifest, StageRecord, State
from runner.runs.outputs import Places
from runner.runs.runner import Run
from runner.runs.warm_start import WarmStart

RECIPE = """
version: 1
stages:
  make: {tool: model.tiny, params: {path: model}}
  four: {tool: mlx_lm.convert, params: {hf_path: "{{ stages.make.model }}", mlx_path: four}}
"""
MADE = {"sha256": "0", "size": 1}


class KilledError(Exception):
    """The runner is gone."""


@pytest.fixture
def walk(tmp_path):
    file = tmp_path / "r.yaml"
    file.write_text(RECIPE)
    recipe = workflow.load(str(file), environ={})
    plan = workflow.plan(workflow.compile_recipe(recipe, {}), recipe)
    rows = tuple(
        StageRecord(name=one, state=State.FINISHED, prints={path: {".": MADE}})
        for one, path in (("make", "model"), ("four", "four"))
    )
    before = Manifest(
        id="id", folder=str(tmp_path), plan=plan, facts={}, stages=rows, state=State.FINISHED
    )
    job = Job(plan=plan, names=(), runs=tmp_path, before=before)
    return Run(job, load.catalog(), WarmStart(tmp_path, plan, load.catalog()), Silent())


def test_nothing_is_put_aside_while_it_is_said_to_be_finished(walk, monkeypatch):
    def killed(places, record):
        raise KilledError

    monkeypatch.setattr(Places, "clear", killed)
    with pytest.raises(KilledError):
        walk.tries(walk.plan.stages[0], Identity(parts={}), ())
    for record in history.read(walk.folder).stages:
        assert record.state is State.PENDING
        assert record.prints, "what stands outside of the run is no longer known to be its own"


def test_a_run_that_was_stopped_has_no_stage_that_runs(walk):
    walk.manifest = walk.manifest.with_stage(StageRecord(name="make", state=State.RUNNING))
    walk.end(Exit.INTERRUPTED)
    said = history.read(walk.folder)
    assert [record.state for record in said.stages] == [State.INTERRUPTED, State.FINISHED]


def test_a_signal_while_a_run_is_closed_leaves_it_closed(walk, monkeypatch):
    def struck(patience):
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(walk.revision, "join", struck)
    with signals.interrupts(), pytest.raises(signals.Interrupt):
        walk.end(Exit.OK)
    assert history.read(walk.folder).state is State.FINISHED
