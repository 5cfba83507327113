"""A dry run and a run decide alike: what would run, what is left, and what is refused."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.slow

RECIPE = """
version: 1
vars: {n: 2}
stages:
  cut:
    tool: data.split
    params: {data: raw/train.jsonl, seed: "{{ vars.n }}", valid: 0.25, test: 0.25}
  mix:
    tool: data.mix
    params: {primary: "{{ stages.cut.data }}", replay: raw, ratio: 0.25, tolerance: 0.1}
  again:
    tool: data.mix
    params: {primary: "{{ stages.mix.data }}", replay: raw, ratio: 0.1, tolerance: 0.1}
profiles: {other: {vars: {n: 5}}}
"""
STAGES = ("cut", "mix", "again")


def run(project, *words):
    done = subprocess.run(
        [sys.executable, "-m", "runner", "r.yaml", *words],
        cwd=project,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    (folder / "raw").mkdir()
    for split in ("train", "valid", "test"):
        rows = "".join(json.dumps({"text": f"{split} {at}" * at}) + "\n" for at in range(1, 25))
        (folder / "raw" / f"{split}.jsonl").write_text(rows, encoding="utf-8")
    (folder / "r.yaml").write_text(RECIPE, encoding="utf-8")
    done = run(folder)
    assert done.returncode == 0, done.stderr
    return folder


def some(flag, values):
    return st.sampled_from([(), *((flag, value) for value in values)])


@settings(max_examples=7, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    resume=st.sampled_from([("--resume",), ("--resume",), ()]),
    only=some("--only", STAGES),
    first=some("--from", STAGES),
    last=some("--to", STAGES),
    sets=some("--set", ["vars.n=3", "stages.again.params.ratio=0.3"]),
    profile=some("--profile", ["other"]),
    smoke=st.sampled_from([(), (), ("--smoke",)]),
)
def test_what_is_shown_is_what_is_done(
    project, tmp_path, resume, only, first, last, sets, profile, smoke
):
    words = [*only, *first, *last, *sets, *profile, *smoke, *resume]
    copy = tmp_path / str(len(list(tmp_path.iterdir())))
    shutil.copytree(project, copy, symlinks=True)
    shown = run(copy, "--dry-run", "--format", "json", *words)
    done = run(copy, *words)
    refused = {2: shown.returncode, 0: 0}.get(done.returncode)
    assert shown.returncode == done.returncode == refused, (words, shown.stderr, done.stderr)
    if done.returncode:
        assert shown.stderr == done.stderr
        return
    said = json.loads(shown.stdout)
    will = [s["name"] for s in said["stages"]]
    if "resume" in said:
        will = [action["stage"] for action in said["resume"] if action["do"] == "run"]
    began = re.findall(r"(?m)^\[\d/\d\] (\w+): finished in", done.stderr)
    assert began == will, (words, done.stderr)


def test_a_stage_whose_input_is_not_as_planned_is_refused_by_both(project):
    words = ["--resume", "--only", "again", "--set", "vars.n=3"]
    for more in ([], ["--dry-run"], ["--dry-run", "--format", "json"]):
        done = run(project, *words, *more)
        assert done.returncode == 2
        assert "stage 'again' reads from mix, which is not as planned" in done.stderr
        assert done.stdout == ""
