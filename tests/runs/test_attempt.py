"""One try of a stage whose process is any other: watched, stopped, and never left behind."""

import os
import signal
import sys
from pathlib import Path

import pytest

from runner.catalog import load
from runner.plan.model import Plan, Stage
from runner.runs import signals
from runner.runs.attempt import Attempt
from runner.runs.manifest import Manifest, StageRecord
from runner.runs.process import Child
from runner.runs.signals import Interrupt

STAGE = Stage(
    name="s",
    tool="model.tiny",
    params={"path": "${RUN_DIR}/s/model"},
    outputs={"model": "${RUN_DIR}/s/model"},
)


class Ready:
    """Gives a process that runs a text instead of a stage."""

    def __init__(self, code):
        self.code = code
        self.child = None

    def take(self, stage):
        self.child = Child([sys.executable, "-c", self.code], dict(os.environ))
        return self.child

    def start(self, coming):
        pass


def attempt(folder, code):
    tool = load.catalog().get("model.tiny")
    stage = Stage(
        name="s", tool="model.tiny", params={**tool.defaults, **STAGE.params}, outputs=STAGE.outputs
    )
    plan = Plan(name="r", file="r.yaml", stages=(stage,))
    manifest = Manifest(
        id="1", folder=str(folder), plan=plan, facts={}, stages=(StageRecord(name="s"),)
    )
    ready = Ready(code)
    return ready, Attempt(manifest, stage, tool, ready)


def run(one, heard):
    record, timed_out = one.run(StageRecord(name="s"), heard.append, lambda record: None)
    return one.diagnose(record, timed_out=timed_out)


def test_a_signal_while_the_process_starts_leaves_none_behind(tmp_path, monkeypatch):
    ready, one = attempt(tmp_path, "import time; time.sleep(60)")
    prepare = one.prepare

    def interrupted(*said):
        words = prepare(*said)
        os.kill(os.getpid(), signal.SIGTERM)
        return words

    monkeypatch.setattr(one, "prepare", interrupted)
    heard = []
    with signals.interrupts(), pytest.raises(Interrupt) as stop:
        run(one, heard)
    assert stop.value.number == signal.SIGTERM
    assert heard[-1]["text"] == "Received SIGTERM, stopping. A second signal kills it."
    with pytest.raises(ProcessLookupError):
        os.killpg(ready.child.pid, 0)


def test_a_log_that_cannot_be_written_stops_the_stage(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("needs a device that is always full")
    code = "import sys\nwhile True: print('x' * 1000, flush=True)"
    ready, one = attempt(tmp_path, code)
    prepare = one.prepare

    def full(*said):
        words = prepare(*said)
        (tmp_path / "s" / "log.txt").symlink_to("/dev/full")
        return words

    one.prepare = full
    with pytest.raises(OSError, match="No space left on device"):
        run(one, [])
    with pytest.raises(ProcessLookupError):
        os.killpg(ready.child.pid, 0)


@pytest.mark.slow
def test_what_a_process_prints_last_is_in_the_log_and_its_end_is_told(tmp_path):
    code = (
        "import sys; sys.stdout.buffer.write(b'x' * 3_000_000 + b'\\n\\xff last\\n'); sys.exit(7)"
    )
    _, one = attempt(tmp_path, code)
    ending = run(one, [])
    assert (ending.record.exit_code, ending.record.failure["kind"]) == (7, "unknown")
    assert ending.record.failure["tail"].endswith("\\xff last")
    assert (tmp_path / "s" / "log.txt").stat().st_size == 3_000_000 + 11
