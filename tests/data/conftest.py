"""Data sets of a few rows, as the data tools read and write them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def rows_in(tmp_path):
    """Write rows as a split of a folder of that name; return the folder."""

    def rows_in(name: str, rows: Iterable[Any], split: str = "train") -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")
        return folder

    return rows_in


@pytest.fixture
def rows_of():
    """Return the rows of a split of a folder."""

    def rows_of(folder: Path, split: str = "train") -> list[Any]:
        file = folder / f"{split}.jsonl"
        return [json.loads(line) for line in file.read_bytes().split(b"\n")[:-1]]

    return rows_of
