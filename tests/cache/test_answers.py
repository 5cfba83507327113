"""Answers given before: given again while everything they were made of is as it was, and only then."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from runner.cache import answers, inputs
from runner.cli import check, run
from runner.system import files

RECIPE = """\
version: 1
extends: base.yaml
vars: {n: 20}
stages:
  train:
    tool: mlx_lm.lora
    params:
      model: some/model
      train: true
      data: data
      iters: "{{ env('ITERS', vars.n) }}"
"""
BASE = """\
version: 1
defaults:
  mlx_lm.lora: {batch_size: 2, val_batches: -1, num_layers: 4, learning_rate: 1e-5, seed: 1,
    lora_parameters: {rank: 8, scale: 2.0, dropout: 0.0, keys: [self_attn.q_proj]}}
"""


def rows(split, count):
    said = (json.dumps({"prompt": f"{split} {n}", "completion": "b"}) + "\n" for n in range(count))
    return "".join(said)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RUN_RECIPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ITERS", raising=False)
    place = tmp_path / "place"
    (place / "data").mkdir(parents=True)
    (place / "r.yaml").write_text(RECIPE)
    (place / "base.yaml").write_text(BASE)
    for split in ("train", "valid"):
        (place / "data" / f"{split}.jsonl").write_text(rows(split, 4))
    monkeypatch.chdir(place)
    return place


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Remember also what changed just before: nothing here changes while it is looked at."""
    monkeypatch.setattr(files, "RACE", 0)
    PROGRAM.cache_clear()
    yield
    PROGRAM.cache_clear()


@pytest.fixture
def made(monkeypatch):
    """Count how often a recipe is compiled."""
    from runner import workflow

    count = []
    before = workflow.compile_recipe
    monkeypatch.setattr(
        workflow, "compile_recipe", lambda *a, **k: count.append(1) or before(*a, **k)
    )
    return count


def dry_run(*words):
    return CliRunner().invoke(run.command, ["r.yaml", "-n", *words], standalone_mode=False)


def checked(*words):
    return CliRunner().invoke(check.command, ["r.yaml", *words], standalone_mode=False)


PROGRAM = answers.program
CHECKOUT = str(Path(__file__).parent.parent.parent)
VERBS = pytest.mark.parametrize("verb", [dry_run, checked])


@VERBS
def test_the_same_question_is_answered_alike_and_compiled_once(folder, made, verb):
    first, again = verb(), verb()
    assert first.return_value == again.return_value == 0
    assert first.output == again.output
    assert len(made) == 1


def test_the_script_is_the_one_that_a_fresh_look_prints(folder, monkeypatch):
    dry_run()
    told = dry_run().output
    monkeypatch.setenv("RUN_RECIPE_CACHE", "")
    assert dry_run().output == told


CHANGES = {
    "the recipe": lambda f: (f / "r.yaml").write_text(RECIPE.replace("20", "30")),
    "a parent": lambda f: (f / "base.yaml").write_text(BASE.replace("seed: 1", "seed: 2")),
    "a variable it reads": lambda f: os.environ.update(ITERS="12"),
    "a variable that names a var": lambda f: os.environ.update(RECIPE_VARS_N="12"),
    "a secret": lambda f: os.environ.update(MY_API_TOKEN="not-to-be-written"),
}
OF_THE_DISK = {
    "a row": lambda f: (f / "data" / "train.jsonl").write_text(rows("train", 3) + "{}\n"),
    "a split that came": lambda f: (f / "data" / "test.jsonl").write_text("x\n"),
    "a split that went": lambda f: (f / "data" / "valid.jsonl").unlink(),
    "a model that came": lambda f: (f / "some" / "model").mkdir(parents=True),
    "the data set": lambda f: shutil.rmtree(f / "data"),
}


@pytest.fixture
def environment(monkeypatch):
    for name in ("ITERS", "RECIPE_VARS_N", "MY_API_TOKEN"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@VERBS
@pytest.mark.parametrize("what", CHANGES)
def test_what_a_recipe_is_made_of_makes_it_compile_anew(folder, made, environment, verb, what):
    verb()
    CHANGES[what](folder)
    verb()
    assert len(made) == 2


@pytest.mark.parametrize("what", OF_THE_DISK)
def test_what_a_check_looked_at_makes_it_look_anew(folder, made, what):
    assert checked().return_value == 0
    OF_THE_DISK[what](folder)
    checked()
    assert len(made) == 2


def test_a_broken_row_is_found_although_the_recipe_was_sound_before(folder):
    assert checked().return_value == 0
    (folder / "data" / "train.jsonl").write_text(rows("train", 3) + "{}\n")
    done = checked()
    assert done.return_value == 2
    assert "train.jsonl:4" in done.output


def test_another_question_is_another_answer(folder, made):
    one = dry_run().output
    assert dry_run("--set", "vars.n=7").output != one
    assert "--iters=7" in dry_run("--set", "vars.n=7").output
    assert dry_run("--smoke").output != one
    assert len(made) == 3


def test_rows_that_a_budget_counts_are_looked_at(folder):
    text = RECIPE.replace(
        "      iters: \"{{ env('ITERS', vars.n) }}\"\n", "    budget: {epochs: 2}\n"
    )
    (folder / "r.yaml").write_text(text.replace("vars: {n: 20}\n", ""))
    assert "--iters=4" in dry_run().output
    assert "--iters=4" in dry_run().output
    (folder / "data" / "train.jsonl").write_text(rows("train", 8))
    assert "--iters=8" in dry_run().output


def test_what_is_wrong_is_said_each_time(folder, made):
    (folder / "r.yaml").write_text(RECIPE.replace("iters:", "itres:"))
    first, again = checked(), checked()
    assert first.return_value == again.return_value == 2
    assert first.output == again.output
    assert len(made) == 2


def test_what_changed_just_now_is_not_remembered(folder, made, monkeypatch):
    monkeypatch.setattr(files, "RACE", 60_000_000_000)
    (folder / "data" / "train.jsonl").write_text(rows("train", 6))
    checked()
    checked()
    assert len(made) == 2


def test_another_program_answers_for_itself(folder, made, monkeypatch):
    dry_run()
    monkeypatch.setattr(answers, "program", lambda: "another release")
    dry_run()
    assert len(made) == 2


def test_the_program_is_known_by_its_files_and_by_the_packages_beside_it():
    said = str([*answers._self()])
    for part in ("site-packages", "argv.py", "mlx_lm.lora.json", "envelope.json"):
        assert part in said
    assert all(path in said for path in sys.path if Path(path).is_dir() and path != CHECKOUT)
    assert "__pycache__" not in said


@pytest.mark.parametrize("harm", [b"", b"\xff\n", b"[]\n", b"[[\n", b"7\n", b'[["file"]]\n'])
def test_an_answer_that_cannot_be_read_is_none(folder, made, harm):
    told = dry_run().output
    for file in (folder.parent / "cache" / "answers").iterdir():
        file.write_bytes(harm)
    assert dry_run().output == told
    assert len(made) == 2


@pytest.mark.parametrize("harm", ["folder", "file", "owner", "pipe"])
def test_an_answer_that_another_user_may_have_written_is_none(folder, made, monkeypatch, harm):
    dry_run()
    (file,) = answer_files()
    match harm:
        case "folder":
            file.parent.chmod(0o777)
        case "file":
            file.parent.chmod(0o755)
            file.chmod(0o666)
        case "owner":
            monkeypatch.setattr("os.getuid", lambda: 4242)
        case "pipe":
            file.unlink()
            os.mkfifo(file)
    again = len(made)
    assert dry_run().exit_code == 0
    assert len(made) > again


def test_a_cache_of_a_generous_umask_is_believed(folder, made):
    before = os.umask(0o002)
    try:
        dry_run()
        dry_run()
    finally:
        os.umask(before)
    assert len(made) == 1


@pytest.mark.parametrize("seen", [[], [["secrets", "", "x"]], [["variable", "NOT_SET", ""]]])
def test_an_answer_that_was_made_of_no_file_is_none(folder, made, seen):
    dry_run()
    (file,) = answer_files()
    evil = "touch PWNED\n"
    file.write_text(json.dumps([answers._print(evil), seen]) + "\n" + evil)
    assert "PWNED" not in dry_run().output
    assert len(made) == 2


def answer_files():
    return [*(Path(os.environ["RUN_RECIPE_CACHE"]) / "answers").iterdir()]


def test_nothing_is_kept_where_nothing_can_be(folder, made, monkeypatch):
    (folder.parent / "taken").write_text("")
    monkeypatch.setenv("RUN_RECIPE_CACHE", str(folder.parent / "taken"))
    assert dry_run().return_value == dry_run().return_value == 0
    assert len(made) == 2


def test_a_place_too_large_to_look_through_is_looked_at_each_time(folder, made, monkeypatch):
    monkeypatch.setattr(inputs, "MOST", 1)
    checked()
    checked()
    assert len(made) == 2


def test_what_is_kept_is_the_users_own_and_holds_no_secret(folder, environment):
    os.environ["MY_API_TOKEN"] = "not-to-be-written"
    dry_run()
    kept = folder.parent / "cache" / "answers"
    assert kept.stat().st_mode & 0o077 == 0
    assert not any(b"not-to-be-written" in file.read_bytes() for file in kept.iterdir())


def test_only_so_many_answers_are_kept(folder, monkeypatch):
    monkeypatch.setattr(answers, "MOST", 8)
    kept = folder.parent / "cache" / "answers"
    dry_run("--set", "vars.n=1")
    (kept / ".half").write_text("of a process that is gone")
    os.utime(kept / ".half", (0, 0))
    for number in range(2, 20):
        dry_run("--set", f"vars.n={number}")
        dry_run("--set", "vars.n=1")  # what is asked for again and again stays
    assert len(list(kept.iterdir())) == 8
    monkeypatch.setattr(answers, "BYTES", 1)
    dry_run("--set", "vars.n=20")
    assert not list(kept.iterdir())


def test_the_same_answer_is_given_while_others_come_and_go(folder, made, monkeypatch):
    monkeypatch.setattr(answers, "MOST", 4)
    dry_run()
    for number in range(1, 9):
        dry_run("--set", f"vars.n={number}")
        dry_run()
    assert len(made) == 9


def test_rows_that_were_replaced_under_their_old_size_and_time_are_looked_at(folder, made):
    file = folder / "data" / "train.jsonl"
    before = file.stat()
    checked()
    wrong = file.read_text().replace("completion", "complexion")
    with file.open("r+") as stream:
        stream.write(wrong)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_ino) == (before.st_size, before.st_ino)
    assert checked().return_value == 2
    assert len(made) == 2


def test_half_an_answer_is_none(folder, made):
    told = dry_run().output
    (file,) = (folder.parent / "cache" / "answers").iterdir()
    file.write_bytes(file.read_bytes()[:-300])
    assert dry_run().output == told
    assert len(made) == 2


def test_a_program_that_changed_while_it_looked_does_not_answer_for_the_new_one(
    folder, made, monkeypatch
):
    from runner import workflow

    before = workflow.compile_recipe

    def changing(*args, **named):
        monkeypatch.setattr(answers, "program", lambda: "the new one")
        return before(*args, **named)

    with monkeypatch.context() as patch:
        patch.setattr(workflow, "compile_recipe", changing)
        dry_run()
    monkeypatch.setattr(answers, "program", lambda: "the new one")
    dry_run()
    assert len(made) == 2


def test_a_model_that_came_into_the_hubs_cache_is_looked_at(folder, made, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(folder / "hub"))
    fetched = """\
stages:
  get: {tool: hf.download, params: {repo_id: org/m}}
  train:
    params: {model: "{{ stages.get.path }}", train: true, data: data, iters: 20}
    tool: mlx_lm.lora
"""
    text = RECIPE.partition("stages:")[0].replace("vars: {n: 20}\n", "") + fetched
    (folder / "r.yaml").write_text(text)
    assert checked().return_value == 0, checked().output
    (folder / "hub" / "models--org--m" / "refs").mkdir(parents=True)
    checked()
    assert len(made) == 2


def test_in_a_folder_that_is_gone_nothing_is_remembered_and_all_is_said(folder, monkeypatch):
    recipe = str(folder / "r.yaml")
    gone = folder / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    done = CliRunner().invoke(check.command, [recipe], standalone_mode=False)
    assert not isinstance(done.exception, OSError)
