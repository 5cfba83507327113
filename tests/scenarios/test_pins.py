"""Pins: a recipe locked, run, moved and damaged, with the real client against a hub on the loopback."""

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

if importlib.util.find_spec("mlx_lm") is None:
    pytest.skip("needs mlx-lm", allow_module_level=True)
from hub import Hub

from runner.tools import tiny_model

pytestmark = pytest.mark.slow

SECRET = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345"
RECIPE = """\
version: 1
vars: {model: some/model}
stages:
  train:
    tool: mlx_lm.lora
    params:
      model: "{{ vars.model }}"
      data: data
      train: true
      iters: 1
      batch_size: 1
      num_layers: 1
      max_seq_length: 64
      lora_parameters: {keys: null}
profiles:
  tagged: {vars: {model: some/model@v1}}
"""
DATA = """\
version: 1
stages:
  train:
    tool: mlx_lm.lora
    params:
      model: data/model
      num_layers: 1
      iters: 1
      train: true
      lora_parameters: {keys: null}
      hf_dataset: {path: some/rows, text_feature: text}
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "model"
    tiny_model.build(folder)
    (folder / "weights.bin").write_bytes(b"nobody loads this")
    return folder


class Project:
    """A folder with a recipe and rows, and a hub beside it."""

    def __init__(self, place, hub):
        self.place, self.hub = place, hub
        (place / "data").mkdir()
        for split in ("train", "valid"):
            rows = [json.dumps({"text": f"{split} {n}"}) for n in range(2)]
            (place / "data" / f"{split}.jsonl").write_text("\n".join(rows), encoding="utf-8")
        (place / "r.yaml").write_text(RECIPE, encoding="utf-8")

    def type_in(self, command, code=0, **env):
        """Type a command of ours; return both its outputs."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING_FACE"))}
        words = shlex.split(command)
        assert words[0] == "run-recipe"
        done = subprocess.run(
            [sys.executable, "-m", "runner", *words[1:]],
            cwd=self.place,
            env={**kept, **self.hub.env(self.place / "home"), **env},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def lock(self):
        return (self.place / "r.lock").read_text(encoding="utf-8")

    @property
    def run(self):
        (file,) = self.place.glob("runs/r/2*/run.json")
        return json.loads(file.read_text(encoding="utf-8"))

    def snapshot(self, commit):
        return self.place / f"home/hub/models--some--model/snapshots/{commit}"


@pytest.fixture
def project(tmp_path, model):
    with Hub(SECRET) as hub:
        repo = hub.repo("some/model", model)
        repo.refs["v1"] = repo.refs["main"]
        yield Project(tmp_path, hub)


def moved(project):
    """Move the main branch; return the commit before and the one after."""
    repo = project.hub.repos["some/model"]
    before = repo.refs["main"]
    return before, repo.commit({**repo.files, "config.json": repo.files["config.json"] + b"\n"})


def test_a_locked_recipe_trains_on_its_commit_and_a_moved_branch_changes_nothing(project):
    commit = project.hub.repos["some/model"].refs["main"]
    said = project.type_in("run-recipe check r.yaml")
    assert said.count("[moving-target]") == 1
    (hint,) = re.findall(r"hint: pin what it holds now: (.*)", said)
    project.type_in(hint)
    assert project.lock.count(commit) == 2  # as it is, and under its profile
    assert "weights.bin" not in project.lock
    asked = len(project.hub.requests)
    assert "moving-target" not in project.type_in("run-recipe check r.yaml")
    script = project.type_in("run-recipe r.yaml --dry-run")
    assert len(project.hub.requests) == asked  # looking is offline
    assert f'HUB_MODEL="$(hf download some/model --revision {commit} --quiet' in script
    assert '--model="$HUB_MODEL"' in script
    project.type_in("run-recipe r.yaml")
    (stage,) = project.run["plan"]["stages"]
    assert (stage["params"]["model"], stage["pins"][0]["commit"]) == ("some/model", commit)
    assert project.run["stages"][0]["hub"] == {"HUB_MODEL": str(project.snapshot(commit))}
    assert project.run["stages"][0]["identity"]["model"] == f"some/model@{commit}"

    before, after = moved(project)
    said = project.type_in("run-recipe lock r.yaml --check", code=3)
    assert f"some/model: {before[:12]} -> {after[:12]}: config.json" in said
    project.hub.leave()  # the cache has all of it
    assert "skipped" in project.type_in("run-recipe r.yaml --resume")
    folder = f"runs/r/{project.run['id']}"
    assert commit in project.type_in(f"run-recipe {folder}/recipe.yaml --dry-run")


def test_a_renewed_lock_makes_a_resume_train_again_and_a_diff_says_why(project):
    project.type_in("run-recipe lock r.yaml")
    for words in ("init -q", "add -A", "-c user.name=n -c user.email=e commit -qm one"):
        subprocess.run(["git", *shlex.split(words)], cwd=project.place, check=True)
    before, after = moved(project)
    project.type_in("run-recipe lock r.yaml")
    assert after not in project.lock  # what is locked stays
    (hint,) = re.findall(
        r"renew it: (.*)", project.type_in("run-recipe lock r.yaml --check", code=3)
    )
    project.type_in(hint)
    assert after in project.lock
    said = project.type_in("run-recipe diff r.yaml --check", code=3)
    assert f"some/model@{before}" in said
    assert f"some/model@{after}" in said
    assert "r.lock:" in said
    said = project.type_in("run-recipe lock r.yaml --update some/modle", code=2)
    assert "did you mean 'some/model'?" in said


def test_a_script_does_the_same_without_the_runner(project):
    project.type_in("run-recipe lock r.yaml")
    commit = project.hub.repos["some/model"].refs["main"]
    moved(project)
    script = project.type_in("run-recipe r.yaml --dry-run")
    (project.place / "r.sh").write_text(script, encoding="utf-8")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, **project.hub.env(project.place / "home"), "PATH": path}
    done = subprocess.run(
        ["bash", "r.sh"], cwd=project.place, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (config,) = project.place.glob("runs/r/script/train/adapters/adapter_config.json")
    trained = json.loads(config.read_text(encoding="utf-8"))["model"]
    assert trained == str(project.snapshot(commit))
    assert not (project.snapshot(commit) / "weights.bin").exists()


def test_a_file_that_is_not_the_locked_one_is_refused_and_what_is_advised_helps(project):
    project.type_in("run-recipe lock r.yaml")
    repo = project.hub.repos["some/model"]
    good = repo.files["config.json"]
    repo.swap("config.json", good.replace(b'"', b"'"))  # of the same size, under the same commit
    said = project.type_in("run-recipe r.yaml", code=3)
    assert "config.json of some/model@" in said
    assert "is not the locked file: its digest is" in said
    assert not list(project.place.glob("runs/r/2*"))
    assert "serves other files than the locked ones: config.json" in project.type_in(
        "run-recipe lock r.yaml --check", code=3
    )
    repo.swap("config.json", good)
    (blob,) = re.findall(r"delete (\S+) and run again", said)
    Path(blob).unlink()
    project.type_in("run-recipe r.yaml")


def test_a_download_that_is_cut_short_is_no_model(project):
    project.type_in("run-recipe lock r.yaml")
    project.hub.cuts = "tokenizer.json"
    said = project.type_in("run-recipe r.yaml", code=5, HF_HUB_DOWNLOAD_TIMEOUT="1")
    assert "hub cannot be asked about some/model@" in said or "is not whole" in said
    assert not list(project.place.glob("runs/r/2*"))


def test_a_hub_that_is_gone_changes_no_lock_and_is_asked_again(project):
    project.hub.repo("some/later", None).commit({"config.json": b"{}"})
    project.type_in("run-recipe lock r.yaml")
    before = project.lock
    text = RECIPE.replace("some/model}", "some/later}").replace("some/model@v1", "some/other")
    (project.place / "r.yaml").write_text(text, encoding="utf-8")
    said = project.type_in("run-recipe lock r.yaml", code=5)
    assert "the hub has no some/other, or does not show it to you" in said
    (project.place / "r.yaml").write_text(text.replace("some/other", "some/later"), "utf-8")
    url = project.hub.url
    project.hub.url = "http://127.0.0.1:9"
    said = project.type_in("run-recipe lock r.yaml", code=5)
    assert "hint: try again later, or check HF_ENDPOINT and the network" in said
    assert project.lock == before
    project.hub.url = url
    said = project.type_in("run-recipe lock r.yaml")
    assert "some/model: removed" in said
    assert "some/later: " in said


def test_what_the_hub_does_not_show_is_shown_to_who_is_logged_in(project, model):
    project.hub.repo("some/model", model, gated=True)
    said = project.type_in("run-recipe lock r.yaml", code=5)
    assert "accept its terms on its page of the hub, and log in: hf auth login" in said
    project.hub.repos.clear()
    said = project.type_in("run-recipe lock r.yaml", code=5)
    assert "correct the name; a private one needs a login: hf auth login" in said
    repo = project.hub.repo("some/model", model)
    repo.refs["v1"] = repo.refs["main"]
    project.type_in("run-recipe lock r.yaml", HF_TOKEN=SECRET)


def test_a_data_set_is_pinned_and_one_that_cannot_be_says_what_can(project, model):
    shutil.copytree(model, project.place / "data" / "model")
    rows = "\n".join(json.dumps({"text": f"row {n}"}) for n in range(3)).encode()
    project.hub.repo("datasets/some/rows").commit({"README.md": b"# rows", "train.jsonl": rows})
    text = DATA.replace("hf_dataset: {path: some/rows, text_feature: text}", "data: some/rows")
    (project.place / "r.yaml").write_text(text, encoding="utf-8")
    said = project.type_in("run-recipe check r.yaml")
    assert "name it in hf_dataset: {path: ORG/NAME}, or download its rows" in said
    (project.place / "r.yaml").write_text(DATA, encoding="utf-8")
    project.type_in("run-recipe lock r.yaml")
    assert "datasets:\n  some/rows:" in project.lock
    assert "README.md" in project.lock
    script = project.type_in("run-recipe r.yaml --dry-run")
    assert "--repo-type=dataset --quiet" in script
    assert '"path": "${HUB_ROWS}"' in script


def test_a_download_stage_gets_the_locked_commit(project, model):
    text = "version: 1\nstages: {get: {tool: hf.download, params: {repo_id: some/model@v1}}}\n"
    (project.place / "r.yaml").write_text(text, encoding="utf-8")
    commit = project.hub.repos["some/model"].refs["v1"]
    project.type_in("run-recipe lock r.yaml")
    assert "weights.bin" in project.lock  # it downloads whatever is there
    project.hub.repos["some/model"].commit({"config.json": b"{}"}, "v1")
    script = project.type_in("run-recipe r.yaml --dry-run")
    assert f"--revision={commit}" in script
    assert "\n  -- some/model" in script
    project.type_in("run-recipe r.yaml")
    (path,) = project.place.glob("runs/r/2*/get/files/config.json")
    assert path.read_bytes() == (model / "config.json").read_bytes()


def test_a_lock_that_cannot_be_read_says_how_to_make_it_anew(project):
    (project.place / "r.lock").write_text("version: 1\nmodels: [some/model]\n", encoding="utf-8")
    said = project.type_in("run-recipe check r.yaml", code=2)
    assert "r.lock:1:1: this lock cannot be read: " in said
    (hint,) = re.findall(r"or delete it and lock the recipe again: (.*)", said)
    (project.place / "r.lock").unlink()
    project.type_in(hint.replace("RECIPE", "r.yaml"))


def test_a_check_that_would_write_is_refused(project):
    said = project.type_in("run-recipe lock r.yaml --check --update", code=2)
    assert "leave out --check or --update" in said
    assert "write run-recipe lock RECIPE" in project.type_in("run-recipe lock", code=2)
    project.type_in("run-recipe lock --update r.yaml")
