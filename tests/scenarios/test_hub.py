"""Stages that talk to a hub: the real client against a double of it on the loopback."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version

import pytest

if importlib.util.find_spec("mlx_lm") is None:
    pytest.skip("needs mlx-lm", allow_module_level=True)
from hub import Hub

from runner.tools import tiny_model

pytestmark = pytest.mark.slow

SECRET = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345"
# huggingface_hub 2.0 took away the function mlx_lm uploads with, up to 0.32.2 at least.
CAN_UPLOAD = int(version("huggingface_hub").partition(".")[0]) < 2


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "model"
    tiny_model.build(folder)
    (folder / "README.md").write_text("---\nlibrary_name: mlx\n---\n# Tiny\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def hub(model):
    with Hub(SECRET) as hub:
        hub.repo("some/model", model)
        hub.repo("some/gated", model, gated=True)
        yield hub


class Project:
    """A folder to run recipes in, as somebody the hub knows or does not."""

    def __init__(self, place, hub):
        self.place = place
        self.hub = hub

    def run(self, stages, *words, token=SECRET, code=0, **env):
        """Run stages; return the folder of the run, its manifest, and what the screen showed."""
        said = {"version": 1, "stages": stages}
        (self.place / "r.yaml").write_text(json.dumps(said), encoding="utf-8")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING_FACE"))}
        known = {"HF_TOKEN": token} if token else {}
        done = subprocess.run(
            [sys.executable, "-m", "runner", "r.yaml", "--trust", *words],
            cwd=self.place,
            env={**kept, **self.hub.env(self.place / "home"), **known, **env},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        (folder,) = (path.parent for path in self.place.glob("runs/r/2*/run.json"))
        assert SECRET not in done.stdout + done.stderr
        assert told(folder, SECRET) == []
        manifest = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        return folder, manifest, done


def told(folder, secret):
    """The files that hold a secret."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return [path for path in files if secret.encode() in path.read_bytes()]


def content(folder):
    """The files of a folder; the client keeps its own in .cache."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".cache" not in path.relative_to(folder).parts
    }


@pytest.fixture
def project(tmp_path, hub):
    return Project(tmp_path, hub)


def test_a_download_gets_exactly_the_files_of_its_revision(project, hub, model):
    repo = hub.repo("some/moving", model)
    pinned = repo.refs["main"]
    repo.commit({"config.json": b"{}", "later.txt": b"later"})
    stages = {
        "pinned": {"tool": "hf.download", "params": {"repo_id": "some/moving", "revision": pinned}},
        "newest": {"tool": "hf.download", "params": {"repo_id": "some/moving"}},
        "part": {
            "tool": "hf.download",
            "params": {"repo_id": "some/moving", "revision": pinned, "include": ["*.json"],
                       "exclude": ["tokenizer*"]},
        },
        # What it downloads is what the next stage reads.
        "convert": {"tool": "mlx_lm.convert", "params": {"hf_path": "{{ stages.pinned.path }}"}},
    }  # fmt: skip
    folder, _, _ = project.run(stages, token=None)
    assert content(folder / "pinned" / "files") == content(model)
    assert content(folder / "newest" / "files") == {"config.json": b"{}", "later.txt": b"later"}
    assert set(content(folder / "part" / "files")) == {
        "config.json", "generation_config.json", "tiny.json",
    }  # fmt: skip
    assert (folder / "convert" / "model" / "model.safetensors").is_file()


def test_a_download_that_was_cut_off_goes_on_with_what_is_missing(project, hub, model):
    stages = {"get": {"tool": "hf.download", "params": {"repo_id": "some/model"}}}
    hub.withholds = "/tokenizer.json"
    try:
        folder, _, _ = project.run(stages, code=1)
    finally:
        hub.withholds = "nothing"
    here = folder / "get"
    assert not (here / "files").exists()
    there = {path.name for path in (here / ".part" / "files").iterdir() if path.is_file()}
    before = len(hub.requests)
    assert project.run(stages, "--resume")[0] == folder
    assert content(here / "files") == content(model)
    asked = {said.rpartition("/")[2] for said in hub.requests[before:] if said.startswith("GET")}
    assert "tokenizer.json" in asked
    assert there
    assert not there & asked


def test_an_upload_stores_every_file_of_a_folder(project, hub, model):
    params = {"repo_id": "someone/folder", "local_path": str(model)}
    some = {"revision": "trial", "path_in_repo": "deep", "include": ["*config.json"]}
    stages = {
        "all": {"tool": "hf.upload", "params": params},
        "some": {
            "tool": "hf.upload",
            "params": {**params, **some, "commit_message": "Try ünicode"},
        },
    }
    project.run(stages)
    repo = hub.repos["someone/folder"]
    stored = {name: data for name, data in repo.files.items() if name != ".gitattributes"}
    assert stored == content(model)
    assert set(hub.large.values()) >= {stored["model.safetensors"]}
    trial = repo.commits[repo.refs["trial"]]
    assert {"deep/config.json", "deep/generation_config.json"} <= set(trial)
    assert "deep/tokenizer.json" not in trial


def test_a_hub_id_is_converted(project, hub, model):
    params = {"hf_path": "some/model", "quantize": True, "q_bits": 4, "q_group_size": 32}
    folder, _, _ = project.run({"convert": {"tool": "mlx_lm.convert", "params": params}})
    config = json.loads((folder / "convert" / "model" / "config.json").read_text(encoding="utf-8"))
    assert config["quantization"]["bits"] == 4
    assert any("GET /some/model/resolve/" in said for said in hub.requests)


@pytest.mark.skipif(not CAN_UPLOAD, reason="this huggingface_hub has no upload_large_folder")
def test_mlx_lm_uploads_a_model(project, hub, model):
    # Each from a folder of its own: the client remembers in it what it has uploaded, and not where
    # to, so that a second repository would get nothing but the README, and exit code 0.
    own = shutil.copytree(model, project.place / "own")
    stages = {
        "convert": {
            "tool": "mlx_lm.convert",
            "params": {"hf_path": str(model), "upload_repo": "someone/converted"},
        },
        "upload": {
            "tool": "mlx_lm.upload",
            "params": {"path": str(own), "upload_repo": "someone/uploaded"},
        },
    }
    folder, _, _ = project.run(stages)
    for name, made in (("converted", folder / "convert" / "model"), ("uploaded", own)):
        stored = dict(hub.repos[f"someone/{name}"].files)
        del stored[".gitattributes"]
        assert stored == content(made)
        assert f"# someone/{name}".encode() in stored["README.md"]


@pytest.mark.skipif(CAN_UPLOAD, reason="this huggingface_hub has upload_large_folder")
def test_an_upload_of_mlx_lms_beside_a_newer_hub_is_refused_before_it_starts(project, model):
    params = {"path": str(model), "upload_repo": "someone/never"}
    stage = {"tool": "mlx_lm.upload", "params": params, "allow": ["upload-needs-older-hub"]}
    _, manifest, _ = project.run({"upload": stage}, code=1)
    assert manifest["stages"][0]["failure"]["kind"] == "hub too new"
    with pytest.raises(AssertionError, match="it would fail at the end"):
        project.run({"upload": {**stage, "allow": []}})


CONVERT = ("mlx_lm.convert", "hf_path")
DOWNLOAD = ("hf.download", "repo_id")
NOWHERE = {"HF_ENDPOINT": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("tool", "repo", "token", "env", "kind"),
    [
        # To a stranger the hub says 401 of a repository that is not there.
        (CONVERT, "some/missing", None, {}, "model not found"),
        (CONVERT, "some/missing", SECRET, {}, "model not found"),
        (DOWNLOAD, "some/missing", None, {}, "model not found"),
        (CONVERT, "some/gated", None, {}, "gated model"),
        (CONVERT, "some/gated", SECRET, {}, "gated model"),
        (DOWNLOAD, "some/gated", None, {}, "gated model"),
        (CONVERT, "some/other", None, NOWHERE, "hub not reachable"),
        (CONVERT, "some/other", None, {"HF_HUB_OFFLINE": "1"}, "hub not reachable"),
        (DOWNLOAD, "some/other", None, NOWHERE, "hub not reachable"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_what_the_hub_refuses_has_a_name_and_a_way_out(tool, repo, token, env, kind, project):
    name, parameter = tool
    stages = {"get": {"tool": name, "params": {parameter: repo}}}
    _, manifest, done = project.run(stages, token=token, code=1, **env)
    failure = manifest["stages"][0]["failure"]
    assert failure["kind"] == kind
    assert f"get failed: {kind} (exit 1)" in done.stderr
    assert failure["guidance"] in done.stderr


@pytest.mark.parametrize(
    ("params", "kind"),
    [
        ({"repo_id": "some/model", "revision": "v9"}, "model not found"),
        ({"repo_id": "some/model", "filenames": ["absent.txt"]}, "model not found"),
    ],
)
def test_a_revision_or_a_file_that_is_not_there_is_told(params, kind, project):
    stages = {"get": {"tool": "hf.download", "params": params}}
    _, manifest, _ = project.run(stages, code=1)
    assert manifest["stages"][0]["failure"]["kind"] == kind


@pytest.mark.parametrize("token", [None, SECRET[::-1]])
def test_an_upload_by_a_stranger_says_how_to_log_in(token, project, model, hub):
    stages = {
        "put": {
            "tool": "hf.upload",
            "params": {"repo_id": "someone/refused", "local_path": str(model)},
        }
    }
    folder, manifest, done = project.run(stages, token=token, code=1)
    assert "someone/refused" not in hub.repos
    assert token is None or told(folder, token) == []
    assert token is None or token not in done.stdout + done.stderr
    failure = manifest["stages"][0]["failure"]
    assert failure["kind"] == "not logged in"
    assert "hf auth login" in failure["guidance"]


def test_a_token_in_a_recipe_is_refused_before_anything_is_asked(project, hub):
    asked = len(hub.requests)
    said = {
        "version": 1,
        "stages": {"get": {"tool": "hf.download", "params": {"repo_id": "a/b", "token": SECRET}}},
    }
    (project.place / "r.yaml").write_text(json.dumps(said), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "runner", "r.yaml"],
        cwd=project.place, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "HF_TOKEN" in done.stderr
    assert len(hub.requests) == asked
    assert not (project.place / "runs").exists()
