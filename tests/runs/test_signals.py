"""Ctrl-C and its kin in every phase of a run: the exit code, the state, and no process left."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

# A shell starts what runs in its background with SIGINT ignored, and nohup what it starts with
# SIGHUP: a terminal ignores neither.
START = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
sys.argv[0] = "run-recipe"
from runner.cli.main import main
main()
"""
# The stage's process: it says when it runs, and how it was asked to end.
STUBBORN = """
import os, pathlib, signal, sys, time
if "runner.worker" in sys.orig_argv and "make" in sys.orig_argv:
    here = pathlib.Path(os.environ["PYTHONPATH"])
    (here / "pid").write_text(str(os.getpid()))
    def asked(number, _):
        (here / f"asked-{number}").touch()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, asked)
    (here / "runs-now").touch()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        (here / "grandchild").write_text(str(os.getpid()))
    while True:
        time.sleep(0.01)
"""
RECIPE = """
version: 1
stages:
  make: {tool: model.tiny, params: {path: model}}
  mixed: {tool: data.mix, params: {primary: data, replay: data, ratio: 0.5}}
"""
OFFLINE = """
version: 1
stages:
  make:
    tool: hf.download
    retry: {attempts: 2, delay: 1h}
    params: {repo_id: some/model}
"""
ENDS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)]
HOW_TO_KILL = {
    signal.SIGINT: "Stopping. Press Ctrl-C again to kill it.",
    signal.SIGTERM: "Received SIGTERM, stopping. A second signal kills it.",
    signal.SIGHUP: "Received SIGHUP, stopping. A second signal kills it.",
}


@pytest.fixture
def start(tmp_path):
    """Start a recipe; it is gone when the test is over."""
    pytest.importorskip("mlx")
    started = []

    def begin(recipe, *words, **env):
        (tmp_path / "data").mkdir(exist_ok=True)
        for split in ("train", "valid", "test"):
            (tmp_path / "data" / f"{split}.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n')
        (tmp_path / "r.yaml").write_text(recipe)
        with (tmp_path / "said").open("w") as said:
            started.append(
                subprocess.Popen(
                    [sys.executable, "-c", START, "r.yaml", *words],
                    cwd=tmp_path,
                    env={**os.environ, **env},
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                )
            )
        return started[0]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def manifest(cwd):
    return json.loads(next(cwd.glob("runs/r/2*/run.json")).read_text())


def gone(cwd, name):
    """Whether the process that wrote its number into a file has ended."""
    try:
        os.kill(int((cwd / name).read_text()), 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize(("sign", "code"), ENDS, ids=str)
def test_a_second_signal_ends_a_stubborn_stage_and_all_it_started_at_once(
    tmp_path, start, sign, code
):
    (tmp_path / "sitecustomize.py").write_text(STUBBORN)
    process = start(RECIPE, PYTHONPATH=str(tmp_path))
    wait_for((tmp_path / "grandchild").exists)
    process.send_signal(sign)
    wait_for((tmp_path / f"asked-{int(signal.SIGINT)}").exists)
    wait_for(lambda: HOW_TO_KILL[sign] in (tmp_path / "said").read_text())
    process.send_signal(sign)
    assert process.wait(30) == code
    assert not (tmp_path / f"asked-{int(signal.SIGTERM)}").exists()
    wait_for(lambda: gone(tmp_path, "pid") and gone(tmp_path, "grandchild"))
    said = manifest(tmp_path)
    assert said["state"] == "interrupted"
    assert [row["state"] for row in said["stages"]] == ["interrupted", "pending"]


@pytest.mark.parametrize(("sign", "code"), ENDS, ids=str)
def test_a_signal_ends_the_wait_for_another_try(tmp_path, start, sign, code):
    pytest.importorskip("huggingface_hub")
    process = start(OFFLINE, HF_ENDPOINT="http://127.0.0.1:9")
    wait_for(lambda: "attempt 2 of 2 in 1 h 00 min" in (tmp_path / "said").read_text())
    said = manifest(tmp_path)["stages"][0]
    assert (said["state"], said["failure"]["kind"]) == ("running", "hub not reachable")
    process.send_signal(sign)
    assert process.wait(30) == code
    assert manifest(tmp_path)["stages"][0]["state"] == "interrupted"


@pytest.mark.parametrize(("sign", "code"), ENDS, ids=str)
def test_a_signal_ends_the_reading_of_a_large_model(tmp_path, start, sign, code):
    text = RECIPE.replace(
        "params: {path: model}}",
        "params: {path: model}}\n  fuse: {tool: mlx_lm.convert, params: {hf_path: base},\n    allow: [model-not-loadable]}",
    )
    (tmp_path / "base").mkdir()
    with (tmp_path / "base" / "model.safetensors").open("wb") as file:
        file.truncate(200 << 30)
    (tmp_path / "base" / "config.json").write_text("{}")
    process = start(text)
    # The checks before it open the file for a moment: to be hashed it is open for minutes.
    wait_for(lambda: all(reads(process.pid, "model.safetensors", after=0.1) for _ in range(5)))
    process.send_signal(sign)
    assert process.wait(30) == code
    assert not list(tmp_path.glob("runs/r/2*"))


def reads(pid, name, after=0.0):
    """Whether a process has a file open, some seconds later."""
    time.sleep(after)
    folder = Path(f"/proc/{pid}/fd")
    if folder.is_dir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            return any(path.readlink().name == name for path in folder.iterdir())
        return False
    done = subprocess.run(["lsof", "-p", str(pid)], capture_output=True, text=True, check=False)
    return name in done.stdout
