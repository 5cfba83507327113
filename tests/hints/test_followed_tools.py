"""The hints that the tools for data refuse rows with are followed, and the tool does its work."""

import json
import re
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import pytest
import yaml

from runner.data import format as form
from runner.data import weight

CHAT = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
PAIR = {"prompt": "q", "completion": "a"}
FORMAT = ("--data", "data", "--out", "out", "--to")


def option(rows, words, hint):
    """Say the option that the hint says."""
    return rows, [*words, *re.findall(r"(--[\w-]+) (\w+)\.", hint)[0]]


def template(rows, words, hint):
    said = yaml.safe_load(re.findall(r'template (".*")', hint)[0])
    return rows, [*words, "--template", said]


def as_the_first(rows, words, hint):
    return [rows[0], {"text": "q a"}], words


def one_layout(rows, words, hint):
    return [{k: v for k, v in row.items() if k != "text"} for row in rows], words


def mapping(rows, words, hint):
    return rows, [*words[:-1], re.findall(r"as (\{.*\})", hint)[0]]


CASES = {
    "two layouts in a row": (form, [{"text": "q a", **PAIR}], (*FORMAT, "chat"), one_layout),
    "two layouts in a file": (form, [{"text": "q a"}, PAIR], (*FORMAT, "chat"), as_the_first),
    "other keys": (form, [{"instruction": "q", "output": "a"}], (*FORMAT, "chat"), option),
    "chat as text": (form, [CHAT], (*FORMAT, "text"), template),
    "no mapping": (
        weight,
        [{"text": "a", "kind": "high"}, {"text": "b", "kind": "low"}],
        ("--data", "data", "--out", "out", "--field", "kind", "--repeat", "high"),
        mapping,
    ),
    "no mapping of what is made": (
        weight,
        [{"text": "a", "kind": "high", "source": "noise"}, {"text": "b", "kind": "high"}],
        (
            *["--data", "data", "--out", "out", "--field", "kind", "--repeat"],
            '{"high": 2}',
            "--augmented",
            "noise",
        ),
        mapping,
    ),
}


def run(tool, rows, words):
    """Return what a tool hints at when it refuses rows, "" where it does its work."""
    Path("data").mkdir(exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    Path("data/train.jsonl").write_text(text, encoding="utf-8")
    with redirect_stderr(StringIO()) as said:
        try:
            tool.main(list(words))
        except SystemExit:
            return said.getvalue().rpartition("hint: ")[2] or "refused"
    return ""


@pytest.mark.parametrize("name", CASES)
def test_what_a_tool_for_data_tells_makes_it_work(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tool, rows, words, follow = CASES[name]
    hint = run(tool, rows, words)
    assert run(tool, *follow(rows, words, hint)) == ""
    assert Path("out/train.jsonl").stat().st_size
