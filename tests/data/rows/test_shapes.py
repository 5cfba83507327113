"""Rows of other programs: told what they are, and the hint that is followed makes rows of them."""

import json
import shlex
from pathlib import Path

import pytest

from runner.data.format import main
from runner.data.read import check
from runner.data.rows import Features


def said(role, text):
    return {"role": role, "content": text}


def turn(role, text):
    return {"from": role, "value": text}


def rows(make, count=4):
    return [make(f"q{n}", f"a{n}") for n in range(count)]


# Rows, the rule that tells them, and the messages that training on them means, None for any.
SHAPES = {
    "alpaca": (
        lambda q, a: {"instruction": q, "input": f"in {q}", "output": a},
        "row-without-format",
        lambda q, a: [said("user", f"{q}\n\nin {q}"), said("assistant", a)],
    ),
    "alpaca without inputs": (
        lambda q, a: {"instruction": q, "input": "", "output": a},
        "row-without-format",
        lambda q, a: [said("user", q), said("assistant", a)],
    ),
    "alpaca with a response": (
        lambda q, a: {"Instruction": q, "context": f"in {q}", "Response": a},
        "row-without-format",
        lambda q, a: [said("user", f"{q}\n\nin {q}"), said("assistant", a)],
    ),
    "question and context": (
        lambda q, a: {"question": q, "context": f"in {q}", "answer": a, "id": 1},
        "row-without-format",
        lambda q, a: [said("user", f"{q}\n\nin {q}"), said("assistant", a)],
    ),
    "prompt with an input": (
        lambda q, a: {"prompt": q, "input": f"in {q}", "completion": a},
        "row-key-unread",
        lambda q, a: [said("user", f"{q}\n\nin {q}"), said("assistant", a)],
    ),
    "sharegpt": (
        lambda q, a: {"conversations": [turn("human", q), turn("gpt", a)], "system": "s"},
        "row-without-format",
        lambda q, a: [said("system", "s"), said("user", q), said("assistant", a)],
    ),
    "sharegpt as messages": (
        lambda q, a: {"messages": [turn("system", "s"), turn("user", q), turn("assistant", a)]},
        "row-message-without-role",
        lambda q, a: [said("system", "s"), said("user", q), said("assistant", a)],
    ),
    "dpo": (
        lambda q, a: {"prompt": q, "chosen": a, "rejected": f"not {a}"},
        "row-of-preferences",
        lambda q, a: [said("user", q), said("assistant", a)],
    ),
    "dpo of messages": (
        lambda q, a: {
            "prompt": [said("system", "s"), said("user", q)],
            "chosen": [said("assistant", a)],
            "rejected": [said("assistant", f"not {a}")],
        },
        "row-of-preferences",
        lambda q, a: [said("system", "s"), said("user", q), said("assistant", a)],
    ),
    "dpo without a prompt": (
        lambda q, a: {
            "chosen": [said("user", q), said("assistant", a)],
            "rejected": [said("user", q), said("assistant", f"not {a}")],
        },
        "row-of-preferences",
        lambda q, a: [said("user", q), said("assistant", a)],
    ),
    "dpo of sharegpt": (
        lambda q, a: {
            "conversations": [turn("human", q)],
            "chosen": turn("gpt", a),
            "rejected": turn("gpt", f"not {a}"),
        },
        "row-of-preferences",
        lambda q, a: [said("user", q), said("assistant", a)],
    ),
    "dpo beside messages": (
        lambda q, a: {"messages": [said("user", q)], "chosen": a, "rejected": f"not {a}"},
        "row-of-preferences",
        lambda q, a: [said("user", q), said("assistant", a)],
    ),
    "dpo of an instruction": (
        lambda q, a: {"instruction": q, "input": f"in {q}", "chosen": a, "rejected": f"not {a}"},
        "row-of-preferences",
        lambda q, a: [said("user", f"{q}\n\nin {q}"), said("assistant", a)],
    ),
    "preferences of openai": (
        lambda q, a: {
            "input": {"messages": [said("user", q)], "tools": []},
            "preferred_output": [said("assistant", a)],
            "non_preferred_output": [said("assistant", f"not {a}")],
        },
        "row-of-preferences",
        lambda q, a: [said("user", q), said("assistant", a)],
    ),
}


def write(made, folder="a data set"):
    Path(folder).mkdir()
    for name, start in (("train", "q"), ("valid", "v")):
        text = "".join(json.dumps(row).replace(': "q', f': "{start}') + "\n" for row in made)
        Path(folder, f"{name}.jsonl").write_text(text)
    return folder


def told(folder, **said_so):
    return [(p.rule, p.hint) for p in check(folder, **said_so).problems if p.rule[:4] == "row-"]


@pytest.mark.parametrize("name", SHAPES)
def test_the_hint_makes_rows_that_mlx_lm_reads_as_they_are_meant(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, rule, meant = SHAPES[name]
    found = told(write(rows(make)))
    assert {one for one, _ in found} >= {rule}
    (command,) = {
        hint.partition("run-recipe data format ")[2] for one, hint in found if one == rule
    }
    main(shlex.split(command))
    text = Path("a data set-chat/train.jsonl").read_text()
    made = [json.loads(line) for line in text.splitlines()]
    assert [row["messages"] for row in made] == [meant(f"q{n}", f"a{n}") for n in range(4)]
    assert told("a data set-chat") == []


@pytest.mark.parametrize(
    ("row", "features"),
    [
        ({"question": "q", "answer": "a"}, Features(prompt="question", completion="answer")),
        ({"instruction": "q", "completion": "a"}, Features(prompt="instruction")),
        ({"conversations": [said("user", "q"), said("assistant", "a")]}, Features(chat="conversations")),
        ({"content": "a text"}, Features(text="content")),
    ],
)  # fmt: skip
def test_a_hint_names_every_key_that_is_called_otherwise(row, features, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write([{**row, "n": n} for n in range(2)])
    hint = told("a data set")[0][1]
    for name in ("prompt", "completion", "chat", "text"):
        key = getattr(features, name)
        assert (f"{name}_feature: {key}" in hint) is (key != getattr(Features(), name))
    assert {rule for rule, _ in told("a data set", features=features)} <= {
        "row-repeated",
        "row-in-two-splits",
    }


def test_what_was_set_by_an_older_hint_is_told_of_the_input_it_leaves_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(rows(SHAPES["alpaca"][0]))
    features = Features(prompt="instruction", completion="output")
    assert {rule for rule, _ in told("a data set", features=features)} == {"row-key-unread"}


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ({"prompt": "q", "completion": "a", "label": False}, "row-of-preferences"),
        ({"prompt": "q", "completion": "a", "label": True}, None),
        ({"prompt": "q", "completion": "a", "label": "bad"}, None),
        ({"text": "q", "label": False}, None),
        ({"prompt": "q", "completion": "a", "rejected": "b"}, "row-of-preferences"),
        ({"messages": [said("user", "q"), said("assistant", "a")], "rejected": "b"}, "row-of-preferences"),
        ({"prompt": "q", "response_0": "a", "response_1": "b", "better_response_id": 0}, "row-of-preferences"),
        ({"prompt": "q", "completion": "a", "system": "s"}, "row-key-unread"),
        ({"messages": [said("user", "q"), said("assistant", "a")], "system": "s"}, "row-key-unread"),
        ({"prompt": "q", "completion": "a", "history": [["b", "c"]]}, "row-key-unread"),
        ({"prompt": "do it: to this", "completion": "a", "input": "to this"}, None),
        ({"prompt": "q", "completion": "a", "input": "", "history": [], "id": 3}, None),
        ({"text": "Below is an instruction.\nq\nin\na", "instruction": "q", "input": "in", "output": "a"}, None),
    ],
)  # fmt: skip
def test_what_mlx_lm_never_reads_of_a_row_is_told(row, rule, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/train.jsonl").write_text(json.dumps(row) + "\n")
    assert [one for one, _ in told("data")] == ([rule] if rule else [])
