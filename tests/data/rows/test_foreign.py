"""Files that hold no lines of JSON: told what they are, and the hint that is followed makes rows."""

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from runner.data.read import check
from runner.data.rows.parsing import HEAD, foreign, holding

ROWS = [{"prompt": f"q{n}, „ü“; \t x", "completion": f'a "{n}"\nmore'} for n in range(4)]
PLAIN = [{"prompt": f"q {n} ü", "completion": f"a {n}"} for n in range(4)]


def lines(rows=ROWS):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def table(delimiter, rows=ROWS):
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def zipped(name, text):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, text)
    return stream.getvalue()


FILES = {  # what it is called where its name says it, and its content
    "gz": ("jsonl.gz", gzip.compress(lines().encode())),
    "bz2": ("jsonl.bz2", bz2.compress(lines().encode())),
    "xz": ("jsonl.xz", lzma.compress(lines().encode())),
    "a packed table": ("csv.gz", gzip.compress(table(",").encode())),
    "csv": ("csv", table(",").encode()),
    "csv of Excel": ("csv", table(";").encode("utf-8-sig")),
    "csv of Windows": ("csv", table(",", PLAIN).encode("cp1252")),
    "tsv": ("tsv", table("\t").encode()),
    "an array": ("json", json.dumps(ROWS).encode()),
    "an array over lines": ("json", json.dumps(ROWS, indent=2).encode("utf-8-sig")),
    "an array in an object": ("json", json.dumps({"data": ROWS}, indent=1).encode()),
    "objects over lines": ("json", "\n".join(json.dumps(row, indent=2) for row in ROWS).encode()),
    "objects in a line": ("json", "".join(map(json.dumps, ROWS)).encode()),
    "utf-16": ("jsonl", lines().encode("utf-16")),
    "utf-16 without a mark": ("ndjson", lines().encode("utf-16-le")),
    "utf-32": ("jsonl", lines().encode("utf-32")),
    "carriage returns": ("jsonl", lines().replace("\n", "\r").encode()),
}


def follow(folder):
    """Do what the first hint says, until nothing is said of the file; return how often it was."""
    python = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for count in range(4):
        found = [
            p for p in check(folder).problems if p.rule in {"split-not-jsonl", "split-misnamed"}
        ]
        if not found:
            return count
        subprocess.run(["sh", "-ec", found[0].hint], check=True, env={**os.environ, "PATH": python})
    raise AssertionError(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "named"),
    [(kind, kind in {"gz", "a packed table", "csv of Windows", "tsv"}) for kind in FILES]
    + [("csv", True), ("bz2", True), ("an array over lines", True)],
)
def test_the_hint_makes_rows_of_a_file(kind, named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name, content = FILES[kind]
    folder = Path("a folder")
    folder.mkdir()
    (folder / ("train." + (name if named else "jsonl"))).write_bytes(content)
    assert follow("a folder") > 0
    made = [json.loads(line) for line in (folder / "train.jsonl").read_text("utf-8").splitlines()]
    assert made == (PLAIN if kind == "csv of Windows" else ROWS)
    assert not check("a folder").failed


@pytest.mark.slow
def test_the_hint_unpacks_an_archive(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/train.zip").write_bytes(zipped("train.jsonl", lines()))
    assert follow("data") == 1
    assert not check("data").failed


def test_a_file_that_is_only_called_otherwise_is_renamed(tmp_path):
    for name in ("train.json", "train.ndjson", "training.jsonl", "train-00000-of-00001.jsonl"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text(lines())
        (found,) = (p for p in check(folder).problems if p.severity == "error")
        assert (found.rule, found.hint) == ("split-misnamed", "rename it to train.jsonl")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"PAR1\x15\x04", "Parquet"),
        (b"ARROW1\0\0", "Arrow"),
        (b"\x28\xb5\x2f\xfd\0", "packed by zstd"),
        (zipped("xl/workbook.xml", "<x/>"), "an Excel workbook"),
        (zipped("a.jsonl", "{}"), "a zip archive"),
        (b"\x7fELF\x02\x01\x01\0\0\0\0\0", "no text"),
    ],
)
def test_what_needs_another_program_is_named(content, what):
    assert holding(content, "data/train.jsonl").what == what
    assert foreign(content, "data/train.jsonl").hint


@pytest.mark.parametrize(
    "content",
    [
        lines().encode(),
        lines().replace("\n", "\r\n").encode(),
        b"",
        b"\n\n",
        b'{"text": "a"',
        b'{"text": "a"\n{"text": "b"}\n',
        b'{"messages": [{"role": "user", "content": "a"}]}',
        b'{"conversations": [{"from": "human", "value": "a"}]}\n',
        b'{"text": "a,b"}\n{"text": "c"}',
        b'["a", "b"]\n["c"]\n',
        b"{'text': 'a'}\n",
        (lines() * 2000).encode()[:HEAD],
        ('{"text": "' + "ü" * HEAD).encode()[: HEAD - 1],
        b'{"text": "a\\u0000b"}\n',
        b'{"text": "a\0b"}\n',
    ],
)
def test_lines_of_json_however_flawed_are_lines(content):
    assert foreign(content, "data/train.jsonl") is None
