"""Rows read by all tools: in pieces, in several processes, wherever they are bad."""

import json
from functools import partial

import pytest

from runner.base.errors import ToolError
from runner.data import index, pieces
from runner.data.format import convert
from runner.data.index import Index
from runner.data.mix import mix
from runner.data.reader import Reader, find
from runner.data.sort import sort
from runner.data.split import split
from runner.data.weight import weight
from runner.system.workers import Crew

ROWS = [
    {"text": f"row {i % 90} " + "x" * (i * 37 % 211), "kind": "abc"[i % 7 % 3], "w": i % 5}
    for i in range(200)
]
TOOLS = {
    "mix": lambda data, out, **more: mix(
        data, data, out, ratio=0.2, weight_by="w", stratify_by="kind", **more
    ),
    "split": lambda data, out, **more: split(data, out, test=0.2, group_by="kind", valid=5, **more),
    "weight": lambda data, out, **more: weight(data, out, field="kind", repeat={"b": 2.3}, **more),
    "sort": sort,
    "format": partial(convert, to="chat"),
}


@pytest.fixture
def small(monkeypatch):
    """Read pieces of a few rows."""

    def small(size):
        monkeypatch.setattr(pieces, "PIECE", size)
        monkeypatch.setattr(pieces.pieces, "__defaults__", (size, 32 << 20))

    return small


def written(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("name", TOOLS)
def test_pieces_change_nothing(name, rows_in, tmp_path, small):
    data = rows_in("in", ROWS)
    if name == "split":
        data = rows_in("in", [{**row, "kind": f"{i // 3}"} for i, row in enumerate(ROWS)])
    TOOLS[name](data, tmp_path / "whole")
    for size in (10, 100, 1000, 5000):
        small(size)
        TOOLS[name](data, tmp_path / "pieces")
        assert written(tmp_path / "pieces") == written(tmp_path / "whole")


@pytest.mark.slow
def test_processes_change_nothing(rows_in, tmp_path, small):
    data = rows_in("in", [{**row, "kind": f"{i // 3}"} for i, row in enumerate(ROWS)])
    TOOLS["split"](data, tmp_path / "one")
    small(2000)
    with Crew(2) as crew:
        TOOLS["split"](data, tmp_path / "two", reader=Reader(crew=crew))
    assert written(tmp_path / "one") == written(tmp_path / "two")


@pytest.mark.slow
def test_rows_written_by_several_are_those_of_one(rows_in, tmp_path, monkeypatch):
    data = rows_in("in", ROWS)
    file = data / "train.jsonl"
    file.write_bytes(file.read_bytes()[:-1])  # the last row has no newline
    TOOLS["mix"](data, tmp_path / "one")
    monkeypatch.setattr(index, "PART", 7)
    TOOLS["mix"](data, tmp_path / "parts")
    with Crew(2) as crew:
        TOOLS["mix"](data, tmp_path / "two", reader=Reader(crew=crew))
    assert written(tmp_path / "one") == written(tmp_path / "parts") == written(tmp_path / "two")


@pytest.mark.slow
def test_a_bad_row_in_another_process_is_named_with_its_line(rows_in, tmp_path, small):
    data = rows_in("in", [*ROWS, {"text": 3}])
    small(2000)
    with Crew(2) as crew, pytest.raises(ToolError, match=r"train\.jsonl:201:10: the row has a n"):
        sort(data, tmp_path / "out", reader=Reader(crew=crew))


def test_a_row_of_another_format_is_named_in_whatever_piece_it_is(rows_in, small):
    file = rows_in("in", [*ROWS, {"prompt": "a", "completion": "b"}]) / "train.jsonl"
    small(1000)
    with pytest.raises(ToolError) as caught:
        Reader().learn(file, partial(Index, file=file))
    assert str(caught.value).startswith(f"{file}:1 is text and {file}:201 is completions; ")


def test_a_row_that_is_too_long_to_be_held_is_refused(tmp_path, monkeypatch):
    file = tmp_path / "train.jsonl"
    file.write_text(json.dumps({"text": "a"}) + "\n" + json.dumps({"text": "b" * 5000}) + "\n")
    monkeypatch.setattr(pieces.pieces, "__defaults__", (20, 100))
    with pytest.raises(ToolError, match=r"train\.jsonl:2:1: the row is 0 MB long"):
        Reader().learn(file, partial(Index, file=file))


def test_the_meter_hears_of_every_piece(rows_in, small):
    file = rows_in("in", ROWS) / "train.jsonl"
    heard = []
    small(1000)
    reader = Reader(meter=lambda done, total, what: heard.append((done, total, what)))
    reader.learn(file, partial(Index, file=file))
    size = file.stat().st_size
    assert heard[-1] == (size, size, "reading train.jsonl")
    assert [done for done, _, _ in heard] == sorted({done for done, _, _ in heard})
    assert len(heard) > 10


def test_a_dotted_name_leads_into_objects():
    row = {"a": {"b": {"c": 1}, "b.c": 2}, "x.y": 3}
    assert find(row, "a.b.c") == 2
    assert find({"a": {"b": {"c": 1}}}, "a.b.c") == 1
    assert find(row, "x.y") == 3
    assert find({"a": [1]}, "a.0") is find(row, "a.z") is find(row, "z")
