"""What is kept of files: given again while they are the same, and only then."""

import os
import subprocess
import sys

import pytest
from msgspec import Struct

from runner.cache.kept import kept
from runner.system import files

JUST_NOW = 2 * 10**9


class Answer(Struct, kw_only=True):
    """What is found."""

    text: str


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RUN_RECIPE_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "place"
    place.mkdir()
    (place / "a.jsonl").write_text("one")
    monkeypatch.setattr(files, "RACE", 0)  # nothing here changes while it is looked at
    return place


@pytest.fixture
def ask(folder):
    looks = []

    def asked(question="what", find=None):
        def look():
            looks.append(question)
            return Answer(text=(folder / "a.jsonl").read_text())

        return kept(question, [folder], find or look, Answer).text, len(looks)

    return asked


def test_the_same_files_are_looked_at_once(ask):
    assert [ask(), ask()] == [("one", 1), ("one", 1)]


def test_another_question_is_another_answer(ask):
    assert [ask(), ask("who")] == [("one", 1), ("one", 2)]


@pytest.mark.parametrize("change", ["text", "same size and time", "a file more"])
def test_changed_files_are_looked_at_again(ask, folder, change):
    ask()
    file = folder / "a.jsonl"
    status = file.stat()
    if change == "a file more":
        (folder / "b.jsonl").write_text("")
    else:
        file.write_text("two" if change == "same size and time" else "three")
    if change == "same size and time":
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert ask() == (file.read_text(), 2)


def test_what_changed_just_now_is_not_kept(ask, monkeypatch):
    monkeypatch.setattr(files, "RACE", JUST_NOW)
    assert [ask(), ask()] == [("one", 1), ("one", 2)]


def test_what_changes_while_it_is_looked_at_is_not_kept(ask, folder):
    def change():
        (folder / "a.jsonl").write_text("changed")
        return Answer(text="one")

    assert ask(find=change) == ("one", 0)
    assert ask() == ("changed", 1)


def test_nothing_is_kept_where_that_is_asked_for(ask, monkeypatch):
    monkeypatch.setenv("RUN_RECIPE_CACHE", "")
    assert [ask(), ask()] == [("one", 1), ("one", 2)]


@pytest.mark.parametrize("damage", [b"", b"{", b'{"text": 5}', b"\xff"])
def test_a_damaged_answer_is_none(ask, tmp_path, damage):
    ask()
    (file,) = (tmp_path / "cache" / "kept").iterdir()
    file.write_bytes(damage)
    assert ask() == ("one", 2)


def test_what_others_can_write_is_not_believed(ask, tmp_path):
    ask()
    (tmp_path / "cache" / "kept").chmod(0o777)
    assert ask() == ("one", 2)


def test_what_is_kept_is_only_this_users_to_read(ask, tmp_path):
    ask()
    assert (tmp_path / "cache" / "kept").stat().st_mode & 0o077 == 0


def test_an_error_is_not_kept(ask):
    def fail():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        ask(find=fail)
    assert ask() == ("one", 1)


LOOK = """
import sys
from runner.system import files
files.RACE = 0
from runner.data import read
look = read.check
read.check = lambda *a, **k: print("looked") or look(*a, **k)
from runner.cli.main import main
sys.argv = ["run-recipe", "check", "r.yaml"]
main()
"""
RECIPE = """
version: 1
stages:
  a: {tool: mlx_lm.lora, params: {model: owner/model, train: true, data: place}}
"""


@pytest.mark.slow
def test_rows_of_a_large_folder_are_read_once(folder, tmp_path):
    row = '{"text": "' + "a word " * 100 + '"}\n'
    for split in ("train", "valid"):
        (folder / f"{split}.jsonl").write_text(row * 4_000)
    (tmp_path / "r.yaml").write_text(RECIPE)
    argv = [sys.executable, "-P", "-c", LOOK]
    first, second = (
        subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
        for _ in range(2)
    )
    assert "looked\n" in first.stdout
    assert first.stdout.replace("looked\n", "") == second.stdout
    assert first.stderr == second.stderr
