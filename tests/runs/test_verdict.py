"""One verdict: whatever tells of a stage's audit says the same, and so does the exit code."""

import json
import os
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

RECIPE = """
version: 1
stages:
  replay:
    tool: data.mix
    params: {primary: ./data//new, replay: ./data/old/., ratio: 0.5}
"""
ENDS = {
    "at once": "os._exit(0)",
    "politely": "raise SystemExit(0)",
    "untrue": "",
}
CHANGED = """
import os
if os.environ.get("RUN_RECIPE_PARENT"):
    from runner.worker import observer
    from runner.data import mix
    made = mix.mix
    def mixed(*words, **named):
        made(*words, **named)
        END
    if "END":
        mix.mix = mixed
    else:
        written = observer.Observer.write
        def write(host, verdicts, **named):
            host.params["ratio"] = 0.25
            written(host, host.verdicts(), **named)
        observer.Observer.write = write
"""


@pytest.fixture
def project(tmp_path):
    for name in ("new", "old"):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        for split in ("train", "valid", "test"):
            rows = [json.dumps({"text": f"{name} {split} {at}"}) for at in range(8)]
            (folder / f"{split}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (tmp_path / "r.yaml").write_text(RECIPE, encoding="utf-8")
    return tmp_path


def run(*words, cwd, path=""):
    environ = {**os.environ, "PYTHONPATH": path}
    words = [sys.executable, "-m", "runner", *words]
    return subprocess.run(words, cwd=cwd, env=environ, capture_output=True, text=True, check=False)


def test_a_path_in_another_spelling_is_as_planned_everywhere(project):
    done = run("r.yaml", cwd=project)
    assert done.returncode == 0, done.stderr
    told = {
        "run": done.stderr,
        "status": run("status", cwd=project).stdout,
        "audit": run("audit", cwd=project).stdout,
        "report": run("report", "--format", "markdown", cwd=project).stdout,
    }
    (page,) = project.glob("runs/r/2*/replay/effective.json")
    said = json.loads(page.read_text(encoding="utf-8"))
    assert all(row["equal"] for row in said["parameters"])
    told["effective.json"] = said["summary"]
    found = {name: set(re.findall(r"\d+ of \d+ parameters", text)) for name, text in told.items()}
    assert all(words == {"12 of 12 parameters"} for words in found.values()), found
    assert run("audit", cwd=project).returncode == 0


@pytest.mark.parametrize("end", ENDS)
def test_a_stage_is_never_finished_where_its_audit_is_not(project, end, tmp_path):
    side = tmp_path / "side"
    side.mkdir()
    text = CHANGED.replace("END", ENDS[end])
    (side / "sitecustomize.py").write_text(text, encoding="utf-8")
    done = run("r.yaml", cwd=project, path=str(side))
    (page,) = project.glob("runs/r/2*/run.json")
    stage = json.loads(page.read_text(encoding="utf-8"))["stages"][0]
    if end == "politely":  # it is looked at all the same
        assert (done.returncode, stage["state"]) == (0, "finished"), done.stderr
        return
    kind = {"at once": "not audited", "untrue": "audit"}[end]
    assert (done.returncode, stage["state"]) == (6, "failed"), done.stderr
    assert f"replay failed: {kind}" in done.stderr
    assert not (page.parent / "replay" / "data").exists()
