"""Batches of rows that follow each other: what of them is padding (T64)."""

import json

import pytest

from runner.data.read import check


def write(folder, sizes):
    rows = [{"text": "x" * size} for size in sizes]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "train.jsonl").write_text(text, encoding="utf-8")


def found(folder, batch_size):
    report = check(folder, batch_size=batch_size)
    return [problem for problem in report.problems if problem.rule == "batches-mostly-padding"]


def test_short_rows_beside_long_ones_are_mostly_padding(tmp_path):
    write(tmp_path, [10, 10, 10, 1000] * 20)
    (problem,) = found(tmp_path, 4)
    assert problem.message.startswith("74% of the tokens in batches of 4 are padding")


@pytest.mark.parametrize("batch_size", [1, 4])
def test_the_same_rows_sorted_by_length_are_not(tmp_path, batch_size):
    write(tmp_path, sorted([10, 1000] * 20))
    assert found(tmp_path, batch_size) == []
