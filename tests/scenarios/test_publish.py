"""hub.publish: what is uploaded, what is not, and what the card says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hub import Hub

from runner.runs.failures import classify
from runner.tools.publish import publish

SECRET = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345"
WORDS = ("--repo-id", "someone/thing", "--license", "mit")


@pytest.fixture
def model(tmp_path):
    """A folder with the files of a model; what is in them is of no matter here."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("model.safetensors", "tokenizer.json", "LICENSE"):
        (folder / name).write_bytes(name.encode() * 100)
    (folder / "config.json").write_text('{"quantization": {"bits": 4}}', encoding="utf-8")
    return folder


def dry(folder, capsys, *words, code=0):
    """Call it in this process; return what it printed, and the card's front and text."""
    out = folder.parent / "card"
    arguments = ["--path", str(folder), "--out", str(out), *WORDS, *words]
    if code:
        with pytest.raises(SystemExit) as stop:
            publish.main(arguments)
        assert stop.value.code == code
        return capsys.readouterr().err, {}, ""
    publish.main(arguments)
    _, front, text = (out / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return capsys.readouterr().out, yaml.safe_load(front), text


def test_a_dry_run_says_what_would_be_uploaded_and_writes_the_card(model, capsys):
    said, front, text = dry(model, capsys, "--language", "en", "--tag", "mine")
    assert said.splitlines()[0] == "someone/thing: a private repository, licence mit"
    assert "  model.safetensors  1.7 kB" in said
    assert "dry run: nothing was uploaded" in said
    assert front == {
        "license": "mit",
        "language": ["en"],
        "library_name": "mlx",
        "pipeline_tag": "text-generation",
        "tags": ["mlx", "run-recipe", "mine"],
    }
    assert "mlx_lm.generate --model someone/thing" in text
    record = json.loads((model.parent / "card" / "publish.json").read_text(encoding="utf-8"))
    assert (record["files"], record["uploaded"]) == (5, 0)


def test_the_page_shows_what_happens(model, capsys, monkeypatch):
    page = (Path(__file__).parent.parent.parent / "docs" / "publishing.md").read_text(
        encoding="utf-8"
    )
    command, _, shown = page.partition("```console\n$ ")[2].partition("```")[0].partition("\n")
    (model / ".env").write_text("mine", encoding="utf-8")
    monkeypatch.chdir(model.parent)
    publish.main(command.removeprefix("run-recipe hub publish ").split())
    assert capsys.readouterr().out == shown


def test_a_public_repository_and_another_licence_are_said_aloud(model, capsys):
    words = ("--no-private", "--license", "other", "--license-name", "house")
    text = model.parent / "terms.txt"
    text.write_text("Ours.", encoding="utf-8")
    words = (*words, "--license-file", str(text), "--base-model", "some/base")
    said, front, _ = dry(model, capsys, *words)
    assert "a PUBLIC repository, licence other" in said
    assert (front["license_name"], front["license_link"]) == ("house", "LICENSE")
    assert (front["base_model"], front["base_model_relation"]) == ("some/base", "quantized")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (".env", "hidden"),
        ("model.safetensors.part", "no part of a model"),
        ("model.safetensors.incomplete", "no part of a model"),
        ("train.jsonl", "no part of a model"),
        ("id_rsa", "no part of a model"),
        ("README.md", "the model card replaces it"),
    ],
)
def test_only_what_a_model_consists_of_is_uploaded(name, why, model, capsys):
    (model / name).write_text("mine", encoding="utf-8")
    (model / "deep").mkdir()
    said, *_ = dry(model, capsys)
    rows = dict(line.strip().split("  ", 1) for line in said.splitlines() if "left out" in line)
    assert {key: value.strip() for key, value in rows.items()} == {
        name: f"left out: {why}",
        "deep": "left out: a folder",
    }


def test_of_an_adapter_the_last_weights_go_and_the_checkpoints_stay(tmp_path, capsys):
    folder = tmp_path / "adapters"
    folder.mkdir()
    for name in ("adapters.safetensors", "0000100_adapters.safetensors", "notes.json"):
        (folder / name).write_bytes(b"x")
    config = {"model": "some/base", "lora_parameters": {"rank": 8}}
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    said, front, text = dry(folder, capsys)
    assert "3 files" in said
    assert "0000100_adapters.safetensors  left out: a checkpoint" in said
    assert (front["base_model"], front["base_model_relation"]) == ("some/base", "adapter")
    assert "--model some/base --adapter-path thing" in text


@pytest.mark.parametrize(
    "secret",
    [SECRET, "ghp_" + "a1B2" * 9, "-----BEGIN RSA PRIVATE KEY-----", "AKIA" + "ABCDEFGH12345678"],
)
def test_what_looks_like_a_secret_is_not_uploaded(secret, model, capsys):
    (model / "config.json").write_text(f'{{\n"key": "{secret}"}}', encoding="utf-8")
    said, *_ = dry(model, capsys, code=1)
    assert f"{model}/config.json:2: '{secret[:6]}…' looks like a secret" in said
    assert secret not in said


def test_a_secret_of_the_environment_is_not_uploaded(model, capsys, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "swordfish-and-more")
    (model / "config.json").write_text('{"key": "swordfish-and-more"}', encoding="utf-8")
    said, *_ = dry(model, capsys, code=1)
    assert "config.json:1: contains a secret from the environment" in said
    assert "swordfish" not in said


def test_a_secret_on_the_card_is_found_too(model, capsys):
    said, *_ = dry(model, capsys, "--description", f"see {SECRET}", code=1)
    assert "README.md:" in said


@pytest.mark.parametrize(
    ("remove", "why"),
    [
        (["model.safetensors"], "has no *.safetensors: its weights are missing"),
        (["config.json"], "is neither a model (config.json) nor an adapter"),
    ],
)
def test_a_folder_that_is_nothing_whole_is_refused(remove, why, model, capsys):
    for name in remove:
        (model / name).unlink()
    assert why in dry(model, capsys, code=1)[0]


# --- with the real client, and a hub of our own


@pytest.fixture(scope="module")
def hub():
    pytest.importorskip("huggingface_hub")
    with Hub(SECRET) as hub:
        yield hub


def call(hub, place, *words, token=SECRET):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING_FACE"))}
    done = subprocess.run(
        [sys.executable, "-m", "runner", *words],
        cwd=place,
        env={**kept, **hub.env(place / "home"), **({"HF_TOKEN": token} if token else {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert SECRET not in done.stdout + done.stderr
    return done


def uploaded(hub, model, repo, *words, **rest):
    known = ("--path", str(model), "--repo-id", repo, "--license", "mit", "--out", "card")
    return call(hub, model.parent, "hub", "publish", *known, "--no-dry-run", *words, **rest)


@pytest.mark.slow
def test_a_folder_is_stored_whole_however_often_it_is_uploaded(hub, model):
    wanted = {path.name: path.read_bytes() for path in model.iterdir()}
    for repo in ("someone/first", "someone/second", "someone/first"):
        done = uploaded(hub, model, repo)
        assert done.returncode == 0, done.stderr
        stored = dict(hub.repos[repo].files)
        del stored[".gitattributes"]
        card = stored.pop("README.md")
        assert stored == wanted
        assert f"# {repo.rpartition('/')[2]}".encode() in card
        assert hub.repos[repo].private
        assert f"as commit {hub.repos[repo].refs['main']}" in done.stdout
    assert {path.name for path in model.iterdir()} == set(wanted), "the folder stays as it is"


@pytest.mark.slow
def test_private_files_do_not_go_to_a_public_repository(hub, model):
    hub.repo("someone/public").commit({"a.txt": b"a"})
    done = uploaded(hub, model, "someone/public")
    assert done.returncode == 1
    assert "someone/public is already public" in done.stderr
    assert set(hub.repos["someone/public"].files) == {"a.txt"}
    assert uploaded(hub, model, "someone/public", "--no-private").returncode == 0


@pytest.mark.slow
def test_weights_of_an_earlier_model_do_not_stay_beside_new_ones(hub, model):
    repo = hub.repo("someone/sharded")
    repo.private = True
    repo.commit({"model-00001-of-00002.safetensors": b"old", "notes.txt": b"kept"})
    done = uploaded(hub, model, "someone/sharded")
    assert done.returncode == 1
    assert "contains weights that this upload does not replace: model-00001-of-00002" in done.stderr
    assert uploaded(hub, model, "someone/sharded", "--replace").returncode == 0
    assert "model-00001-of-00002.safetensors" not in repo.files
    assert {"notes.txt", "model.safetensors"} <= set(repo.files)


@pytest.mark.slow
def test_a_branch_is_made_and_the_main_one_stays(hub, model):
    assert uploaded(hub, model, "someone/branched", "--revision", "trial").returncode == 0
    repo = hub.repos["someone/branched"]
    assert set(repo.files) == {".gitattributes"}
    assert "model.safetensors" in repo.commits[repo.refs["trial"]]


@pytest.mark.slow
def test_a_file_that_did_not_arrive_is_told(hub, model):
    hub.loses = "model.safetensors"
    try:
        done = uploaded(hub, model, "someone/lossy")
    finally:
        hub.loses = ""
    assert done.returncode == 1
    assert "model.safetensors is not there: upload again" in done.stderr
    record = model.parent / "card" / "publish.json"
    assert not record.exists()


@pytest.mark.slow
def test_a_stranger_is_told_how_to_log_in(hub, model):
    done = uploaded(hub, model, "someone/never", token=None)
    assert done.returncode == 1
    assert "someone/never" not in hub.repos
    assert classify(1, done.stderr).kind == "not logged in"


RECIPE = """
version: 1
name: shared
description: A model for everybody.
stages:
  tiny: {tool: model.tiny}
  convert:
    tool: mlx_lm.convert
    params: {hf_path: "{{ stages.tiny.model }}", quantize: true, q_bits: 4, q_group_size: 32}
  answers:
    tool: eval.score
    params: {model: "{{ stages.convert.model }}", prompts: prompts.jsonl, max_tokens: 2}
    expect: [metrics.score >= 0.5]
  publish:
    tool: hub.publish
    needs: [answers]
    params:
      path: "{{ stages.convert.model }}"
      repo_id: someone/shared
      license: apache-2.0
      dry_run: false
"""


@pytest.mark.slow
def test_the_card_of_a_run_holds_its_recipe_script_audit_and_figures(hub, tmp_path):
    pytest.importorskip("mlx_lm")
    (tmp_path / "shared.yaml").write_text(RECIPE, encoding="utf-8")
    row = {"prompt": "Hi", "category": "calm", "rules": [{"not_contain": "\0"}]}
    (tmp_path / "prompts.jsonl").write_text(json.dumps(row), encoding="utf-8")
    done = call(
        hub, tmp_path, str(tmp_path / "shared.yaml"), "--trust", "--runs", str(tmp_path / "runs")
    )
    assert done.returncode == 0, done.stderr
    (folder,) = (path.parent for path in tmp_path.glob("runs/shared/2*/run.json"))
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))["stages"][-1]
    assert record["metrics"]["uploaded"] == 1
    card = hub.repos["someone/shared"].files["README.md"].decode()
    assert card == (folder / "publish" / "card" / "README.md").read_text(encoding="utf-8")
    assert "A model for everybody." in card
    assert "| answers | score_calm | 1.000 |" in card
    assert "- [x] answers: `metrics.score >= 0.5`" in card
    assert "- convert: 11 of 11 parameters as planned (only parsed)" in card
    assert "      q_bits: 4\n" in card
    assert '  --mlx-path="$RUN_DIR/convert/model" \\\n' in card
    for place in (tmp_path, Path.home()):
        assert str(place) not in card, "a path of this machine"


@pytest.mark.slow
def test_what_a_smoke_run_made_is_not_uploaded(hub, tmp_path):
    pytest.importorskip("mlx_lm")
    text = RECIPE.replace('"{{ stages.tiny.model }}"', "some/model").replace(
        "tiny: {tool: model.tiny}", ""
    )
    text = (
        text.partition("  answers:")[0]
        + text.partition("  publish:")[1]
        + text.partition("  publish:")[2]
    )
    (tmp_path / "shared.yaml").write_text(
        text.replace("    needs: [answers]\n", ""), encoding="utf-8"
    )
    done = call(hub, tmp_path, "shared.yaml", "--smoke")
    assert done.returncode == 0, done.stderr
    (folder,) = (path.parent for path in tmp_path.glob("runs/shared/2*/run.json"))
    card = (folder / "publish" / "card" / "README.md").read_text(encoding="utf-8")
    assert "Made by a smoke run at toy scale" in card
    done = uploaded(hub, folder / "convert" / "model", "someone/smoke")
    assert done.returncode == 1
    assert "a smoke run's weights are close to random" in done.stderr
    assert "someone/smoke" not in hub.repos
