"""Scenarios: a run is cut off, changed or damaged, and goes on with a reason for every stage."""

import importlib.util
import json
import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

if importlib.util.find_spec("mlx_lm") is None:
    pytest.skip("needs mlx-lm", allow_module_level=True)
pytestmark = pytest.mark.slow

RUN = (sys.executable, "-m", "runner")
RECIPE = """
version: 1
extends: builtin:base/lora
vars: {warmup: 1}
defaults: {mlx_lm.lora: {model: some/model, data: data, max_seq_length: 64}}
stages:
  first: {tool: mlx_lm.lora, params: {train: true, iters: 4, save_every: 2, seed: 3}}
  second:
    extends: first
    params: {seed: 4, resume_adapter_file: "{{ stages.first.adapter_file }}"}
  fuse:
    tool: mlx_lm.fuse
    params: {model: some/model, adapter_path: "{{ stages.second.adapter_path }}"}
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "data").mkdir()
    for split, count in (("train", 8), ("valid", 2), ("test", 2)):
        rows = [
            {
                "messages": [
                    {"role": "user", "content": f"{n}?"},
                    {"role": "assistant", "content": "!"},
                ]
            }
            for n in range(count)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "data" / f"{split}.jsonl").write_text(text, encoding="utf-8")
    (tmp_path / "r.yaml").write_text(RECIPE, encoding="utf-8")
    return tmp_path


def run(cwd, *words, code=0):
    done = subprocess.run(
        [*RUN, "r.yaml", "--smoke", *words], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def decisions(cwd, *words):
    """What --resume would do, by stage."""
    rows = run(cwd, "--resume", "--dry-run", *words).stdout.splitlines()
    return {
        row.partition(":")[0].split()[1]: (row.split()[0], row.partition(": ")[2]) for row in rows
    }


def folder(cwd):
    return (cwd / "runs" / "r" / "latest").resolve()


def weights(cwd):
    base = folder(cwd)
    files = ("first/adapters/adapters.safetensors", "second/adapters/adapters.safetensors")
    return [(base / name).read_bytes() for name in (*files, "fuse/model/model.safetensors")]


def test_an_unchanged_run_is_skipped_whole(project):
    run(project)
    before = weights(project)
    assert {do for do, _ in decisions(project).values()} == {"skip"}
    done = run(project, "--resume")
    assert done.stderr.count("skipped: finished") == 4
    assert weights(project) == before
    assert len(list((project / "runs" / "r").glob("2*"))) == 1


def test_only_what_matters_trains_again_and_the_cause_is_named(project):
    run(project)
    (project / "r.yaml").write_text(RECIPE + "# a comment\ndescription: other words\n")
    assert {do for do, _ in decisions(project).values()} == {"skip"}
    assert {
        do
        for do, _ in decisions(project, "--set", "stages.first.params.steps_per_report=1").values()
    } == {"skip"}
    second = decisions(project, "--set", "stages.second.params.learning_rate=1e-4")
    assert second["first"][0] == "reuse"  # in a new run
    rate = "learning_rate changed: 5e-06 -> 0.0001"
    schedule = "lr_schedule.arguments changed: [5e-06, 3, 0.0] -> [0.0001, 3, 0.0]"
    assert second["second"] == ("run", f"{rate}, {schedule}")
    assert second["fuse"] == ("run", "stage second changed")


def test_a_changed_input_is_noticed(project):
    run(project)
    with (project / "data" / "train.jsonl").open("a", encoding="utf-8") as file:
        file.write(
            '{"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}\n'
        )
    decided = decisions(project)
    assert decided["smoke_model"][0] == "skip"
    assert decided["first"] == ("run", "input data changed")
    assert [do for do, _ in decided.values()] == ["skip", "run", "run", "run"]


@pytest.mark.parametrize("harm", ["truncated", "altered", "gone", "touched"])
def test_a_damaged_output_is_noticed_and_a_touched_one_is_not_one(project, harm):
    run(project)
    file = folder(project) / "second" / "adapters" / "adapters.safetensors"
    data = file.read_bytes()
    match harm:
        case "truncated":
            file.write_bytes(data[:-10])
        case "altered":
            file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        case "gone":
            file.unlink()
        case "touched":
            os.utime(file)
    decided = decisions(project)
    if harm == "touched":
        assert {do for do, _ in decided.values()} == {"skip"}
        return
    assert decided["first"][0] == "skip"
    assert decided["second"][0] == "run"
    assert ("is gone" if harm == "gone" else "changed") in decided["second"][1]
    assert decided["fuse"] == ("run", "stage second runs again")
    run(project, "--resume")
    assert file.read_bytes() == data


OUTSIDE = """
version: 1
stages:
  tiny: {tool: model.tiny, params: {seed: 1}}
  convert:
    tool: mlx_lm.convert
    params: {hf_path: "{{ stages.tiny.model }}", mlx_path: out/model}
"""


def test_an_output_outside_of_the_run_makes_room_for_its_own_next_and_for_nobodys_else(project):
    (project / "r.yaml").write_text(OUTSIDE, encoding="utf-8")
    words = [*RUN, "r.yaml", "--resume", "--set", "stages.convert.params.dtype=float16"]
    real = {"cwd": project, "capture_output": True, "text": True}
    subprocess.run([*RUN, "r.yaml"], check=True, **real)
    subprocess.run(words, check=True, **real)
    assert {path.name for path in (project / "out").iterdir()} == {"model", ".model.replaced"}
    (project / "out" / "model" / "notes.txt").write_text("mine", encoding="utf-8")
    words[-1] = "stages.convert.params.dtype=bfloat16"
    done = subprocess.run(words, check=False, **real)
    assert done.returncode == 2
    assert "'out/model' already exists" in done.stderr
    assert (project / "out" / "model" / "notes.txt").exists()


def test_a_stage_can_run_on_what_an_earlier_run_made(project):
    run(project, "--to", "first")
    done = run(project, "--only", "second", code=2)
    assert "--resume" in done.stderr
    done = run(project, "--only", "second", "--resume")
    assert "[1/2] smoke_model: skipped" in done.stderr
    assert "[2/2] second: finished" in done.stderr


def test_results_of_different_runs_never_mix(project):
    run(project, "--to", "first")
    made = folder(project)
    real = [*RUN, "r.yaml", "--resume"]
    done = subprocess.run(real, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no real run of 'r' to resume" in done.stderr
    done = subprocess.run(
        [*real, str(made)], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "resuming would mix it with a real run" in done.stderr
    (project / "other.yaml").write_text(RECIPE, encoding="utf-8")
    other = [*RUN, "other.yaml", "--smoke", "--resume", str(made)]
    done = subprocess.run(other, cwd=project, capture_output=True, text=True, check=False)
    assert "that is a run of 'r', not of 'other'" in done.stderr


def test_a_stage_never_runs_on_what_was_made_otherwise(project):
    run(project, "--to", "first")
    change = ("--set", "stages.first.params.learning_rate=1e-3")
    done = run(project, "--resume", "--only", "second", *change, code=2)
    assert "reads from first, which is not as planned: learning_rate changed" in done.stderr
    assert "run it too: --from first" in done.stderr


def test_what_a_stopped_stage_made_does_not_look_like_a_result(project):
    (project / "r.yaml").write_text(RECIPE.replace("iters: 4", "iters: 400"), encoding="utf-8")
    process = subprocess.Popen(
        [*RUN, "r.yaml", "--smoke"],
        cwd=project,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    while not list(project.glob("runs/r/2*/first/.part/adapters/*.safetensors")):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 143
    first = folder(project) / "first"
    assert not (first / "adapters").exists()
    assert (first / ".part" / "adapters" / "adapters.safetensors").exists()
    run(project, "--resume")
    assert (first / "adapters" / "adapters.safetensors").exists()
    assert not (first / ".part").exists()


def test_how_to_go_on_is_said_with_the_options_that_asked_for_the_run(project):
    (project / "r.yaml").write_text(RECIPE.replace("iters: 4", "iters: 400"), encoding="utf-8")
    words = ["--set", "stages.first.params.seed=5", "--only", "first", "--runs", "my runs"]
    asked = [*RUN, "r.yaml", "--smoke", *words]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = subprocess.Popen(asked, cwd=project, text=True, **pipe)
    while not list(project.glob("my runs/r/2*/first/.part/adapters")):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=20)[0]
    (line,) = (line for line in said.splitlines() if line.startswith("  resume with: "))
    assert shlex.split(line)[2:] == ["run-recipe", "r.yaml", "--smoke", *words, "--resume"]
    there = ["--runs", "my runs"]
    assert decisions(project, *words)["first"] == ("run", "it was stopped")
    assert decisions(project, *there)["first"] == (
        "run",
        "it was stopped, and seed changed: 5 -> 3",
    )


def test_a_second_runner_is_refused_with_the_holders_name(project):
    run(project, "--to", "first")
    (project / "r.yaml").write_text(RECIPE.replace("iters: 4", "iters: 40"), encoding="utf-8")
    process = subprocess.Popen(
        [*RUN, "r.yaml", "--smoke", "--resume"],
        cwd=project,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    holder = folder(project) / ".holder.json"
    while not holder.exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGSTOP)  # or it may be done before the second one looks
    done = run(project, "--resume", code=1)
    process.send_signal(signal.SIGCONT)
    assert f"is in use by process {process.pid}" in done.stderr
    process.wait()


def test_a_read_only_directory_is_one_clear_line(project):
    if os.geteuid() == 0:
        (project / "runs").write_text("not a folder")
    else:
        (project / "runs").mkdir(mode=0o500)
    done = run(project, code=1)
    error, hint = done.stderr.splitlines()[-2:]
    assert error.startswith("error: cannot make runs/r/")
    assert hint == "  hint: choose another --runs"


def test_a_damaged_manifest_is_left_out(project):
    run(project, "--to", "first")
    (folder(project) / "run.json").write_text("{", encoding="utf-8")
    assert "no smoke run of 'r'" in run(project, "--resume", code=2).stderr
    done = run(project, "--resume", str(folder(project)), code=2)
    assert "cannot be read" in done.stderr


def test_a_log_of_any_bytes_is_shown(tmp_path):
    from runner.runs.journal import Tail, last_lines

    log = tmp_path / "log.txt"
    log.write_bytes(b"a\xff\x00b\n" + b"x" * 1_000_000 + b"\nlast\r\n")
    lines = last_lines(log).splitlines()
    assert lines[-1] == "last"
    assert max(map(len, lines)) <= 500
    (tmp_path / "m").write_bytes(b'{"a": 1}\n{"torn\n{"b": 2}\n{"half": ')
    assert list(Tail(tmp_path / "m").new()) == [{"a": 1}, {"b": 2}]
