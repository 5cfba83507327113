"""Files that another process may leave torn: journals, digests, logs."""

import json
import os
import time

import pytest

from runner.runs import digests
from runner.runs.journal import Journal, Tail
from runner.system import files


def test_an_event_after_a_torn_line_stands_on_a_line_of_its_own(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"event": "a"}\n{"event": "to')
    journal = Journal(path)
    journal.write(event="b")
    journal.write(event="c")
    assert [event["event"] for event in Tail(path).new()] == ["a", "b", "c"]
    assert path.read_bytes().count(b"\n") == 4


def test_a_new_journal_has_no_empty_line(tmp_path):
    Journal(tmp_path / "events.jsonl").write(event="a", at="ä")
    assert (tmp_path / "events.jsonl").read_bytes() == b'{"event": "a", "at": "\\u00e4"}\n'


@pytest.fixture
def read(monkeypatch):
    """The files that are really read."""
    seen = []
    original = digests.sha256

    def sha256(path, *rest, **named):
        seen.append(path.name)
        return original(path, *rest, **named)

    monkeypatch.setattr(digests, "sha256", sha256)
    return seen


def age(path, seconds=60):
    """Let a file be older than the time in which it could change unseen."""
    stamp = time.time() - seconds
    os.utime(path, (stamp, stamp))


def test_a_model_is_read_once_and_again_only_on_doubt(tmp_path, read, monkeypatch):
    monkeypatch.setattr(files, "RACE", 0)  # nothing changes while it is read
    model = tmp_path / "model"
    model.mkdir()
    for name in ("a.safetensors", "config.json"):
        (model / name).write_text(name)
        age(model / name)

    def prints():
        memory = digests.Memory(tmp_path / "known.json")
        found = memory.prints(model)
        memory.save()
        return digests.digest(found)

    first = prints()
    assert sorted(read) == ["a.safetensors", "config.json"]
    assert prints() == first
    assert len(read) == 2
    age(model / "config.json", 30)
    assert prints() == first
    assert read[2:] == ["config.json"]
    before = (model / "config.json").stat()
    (model / "config.json").write_text("CONFIG.JSON")
    os.utime(model / "config.json", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert prints() != first  # its size and time are as before, but not when it was changed itself


def test_what_was_changed_a_moment_ago_is_not_remembered(tmp_path, read):
    (tmp_path / "rows.jsonl").write_text("{}")
    memory = digests.Memory(tmp_path / "known.json")
    memory.prints(tmp_path / "rows.jsonl")
    memory.prints(tmp_path / "rows.jsonl")
    assert read == ["rows.jsonl", "rows.jsonl"]


def test_a_memory_that_cannot_be_read_or_kept_is_none(tmp_path, read):
    (tmp_path / "known.json").write_text("{torn")
    file = tmp_path / "a"
    file.write_text("a")
    age(file)
    memory = digests.Memory(tmp_path / "known.json")
    memory.prints(file)
    memory.path = tmp_path / "absent" / "known.json"
    memory.save()
    assert read == ["a"]


def test_progress_of_a_large_file_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(digests, "WORTH", 10)
    monkeypatch.setattr(digests, "CHUNK", 8)
    (tmp_path / "a").write_bytes(b"x" * 20)
    heard = []
    digests.prints(tmp_path / "a", progress=lambda *said: heard.append(said))
    assert heard == [(8, 20), (16, 20), (20, 20)]


def test_a_file_of_ours_keeps_the_umask(tmp_path):
    from runner.system import files

    before = os.umask(0o027)
    try:
        files.write(tmp_path / "a.json", json.dumps({}))
    finally:
        os.umask(before)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
