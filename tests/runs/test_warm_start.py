"""The next stage's interpreter: it waits without a trace, goes when told, ends with its runner."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from runner import workflow
from runner.catalog import load
from runner.runs.warm_start import WarmStart
from runner.system import machine

TOOL = """
import sys, threading
print("imported", flush=True)
def main():
    print("ran", sys.argv[1:], sys.stdin.read() == "")
"""


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """A module that says when it is imported."""
    (tmp_path / "heavy.py").write_text(TOOL)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def waiting(*modules, **more):
    code = (
        "import sys; from runner.worker.wait import wait; wait(sys.argv[1:]);"
        "print(sorted({'heavy', 'broken'} & set(sys.modules)), sys.stdin.read() == '')"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen([sys.executable, "-c", code, *modules], text=True, **pipes, **more)


@pytest.mark.slow
def test_it_imports_before_it_is_told_and_then_reads_the_end_of_input(tool):
    process = waiting("heavy")
    assert process.stdout.readline() == "imported\n"
    said, _ = process.communicate("go\n")
    assert said == "['heavy'] True\n"
    assert process.returncode == 0


@pytest.mark.slow
def test_without_a_word_it_ends_and_says_nothing(tool):
    process = waiting("heavy")
    assert process.stdout.readline() == "imported\n"
    said, _ = process.communicate()
    assert said == ""


@pytest.mark.slow
def test_what_cannot_be_imported_is_left_to_the_stage_to_tell(tool):
    (tool / "broken.py").write_text("raise RuntimeError('no')")
    process = waiting("broken", "heavy", "absent")
    assert process.stdout.readline() == "imported\n"
    said, _ = process.communicate("go\n")
    assert said == "['heavy'] True\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.slow
def test_no_thread_keeps_the_low_priority_when_the_stage_begins():
    pytest.importorskip("mlx_lm")
    code = (
        "import os, sys; from runner.worker.wait import wait; wait(['mlx_lm.lora']);"
        "from pathlib import Path\n"
        "for task in Path('/proc/self/task').iterdir():\n"
        "    print(task.joinpath('stat').read_text().rpartition(')')[2].split()[16])\n"
        "print('mlx_lm.lora' in sys.modules)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    wait_for(lambda: nice_of(process.pid) == {0, 10})
    wait_for(lambda: nice_of(process.pid) == {0})
    said, _ = process.communicate("go\n")
    assert set(said.split()) == {"0", "True"}


def nice_of(pid):
    """The nice values of a process's threads."""
    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        found.add(int((task / "stat").read_text().rpartition(")")[2].split()[16]))
    return found


RECIPE = """
version: 1
extends: builtin:base/lora
vars: {warmup: 1}
defaults: {mlx_lm.lora: {model: m, data: d}}
stages:
  first: {tool: mlx_lm.lora, params: {train: true, iters: 20}}
  mixed: {tool: data.mix, params: {primary: a, replay: b, ratio: 0.1}}
  second: {tool: mlx_lm.lora, launch: {hosts: 2}, params: {train: true, iters: 20}}
  fuse: {tool: mlx_lm.fuse, params: {model: m, adapter_path: "{{ stages.first.adapter_path }}"}}
"""


@pytest.fixture
def plan(tmp_path):
    file = tmp_path / "r.yaml"
    file.write_text(RECIPE)
    recipe = workflow.load(str(file), environ={})
    return workflow.plan(workflow.compile_recipe(recipe, {}), recipe)


class Spawned:
    def __init__(self, stage):
        self.stage = stage
        self.ended = False
        self.code = None

    def wait(self, timeout):
        return self.code

    def finish(self):
        self.ended = True


@pytest.fixture
def early(plan, tmp_path, monkeypatch):
    found = WarmStart(tmp_path, plan, load.catalog())
    monkeypatch.setattr(found, "_spawn", lambda stage: Spawned(stage.name))
    monkeypatch.setattr(machine, "cores", lambda: 2)
    return found


def test_one_child_waits_for_the_next_stage_that_is_worth_it(early, plan):
    _, mixed, second, fuse = plan.stages
    early.start([mixed, second, fuse])
    early.start([fuse])
    waits = early._waiting["fuse"]
    assert waits.stage == "fuse"
    assert early.take(mixed) is not waits
    assert early.take(fuse) is waits
    assert early.take(fuse) is not waits


def test_before_the_first_stage_runs_two_may_wait(early, plan):
    first, _, second, fuse = plan.stages
    early.start(plan.stages)
    assert [*early._waiting] == ["first"]
    early.start(plan.stages, most=2)
    assert [*early._waiting] == ["first", "fuse"]
    waits = early._waiting["fuse"]
    early.take(first)
    early.start([second, fuse])
    assert [*early._waiting] == ["fuse"]
    early.end()
    assert waits.ended


def test_one_that_was_killed_while_it_waited_is_replaced(early, plan):
    early.start([plan.stages[3]])
    killed = early._waiting["fuse"]
    killed.code = -9
    assert early.take(plan.stages[3]) is not killed
    assert killed.ended


def test_it_is_ended_with_the_run(early, plan):
    early.start([plan.stages[3]])
    waits = early._waiting["fuse"]
    early.end()
    early.end()
    assert waits.ended


def test_on_one_core_and_before_the_last_stage_none_is_started(early, plan, monkeypatch):
    early.start([])
    assert early._waiting == {}
    monkeypatch.setattr(machine, "cores", lambda: 1)
    early.start(plan.stages)
    assert early._waiting == {}


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
