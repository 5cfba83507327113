"""Rows of two answers, of prompts, of tokens: each kind is read as its trainers read it."""

import json

import pytest

from runner.data import read
from runner.data.rows import Features
from runner.data.rows.preferences import chats_of, reply

PAIR = {"prompt": "a", "chosen": "b", "rejected": "c"}
TALK = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
TOKENS = {
    "context_with_chat_template": "a b",
    "rejected_decoded": " c",
    "multi_chosen_decoded": [" d"],
}


@pytest.fixture
def look(tmp_path):
    """Return line, column, rule and severity of what is wrong with rows of a kind."""

    def of(kind, *rows, **named):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        for split in ("train", "valid"):
            (tmp_path / f"{split}.jsonl").write_text(text, encoding="utf-8")
        report = read.check(tmp_path, kind=kind, features=Features(**named))
        return [
            (p.mark.line, p.mark.column, p.rule, p.severity, p.hint)
            for p in report.problems
            if p.mark.file.endswith("train.jsonl") and p.rule != "row-repeated"
        ]

    return of


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("preferences", PAIR),
        ("preferences", {**PAIR, "system": "s"}),
        ("replies", {**PAIR, "chosen": TALK, "rejected": {"content": "c"}}),
        ("replies", {"question": "a", "chosen": "b", "rejected": "c"}),
        ("answers", {"prompt": "a", "answer": "b", "type": "t"}),
        ("prompts", {"prompt": "a"}),
        ("prompts", {"prompt": TALK}),
        ("tokens", TOKENS),
    ],
)
def test_a_sound_row_has_no_flaw(look, kind, row):
    assert look(kind, row, {**row, "n": 1}) == []


@pytest.mark.parametrize(
    ("kind", "row", "flaw"),
    [
        ("preferences", {"prompt": "a", "chosen": "b"}, ("row-without-format", "error", "")),
        (
            "preferences",
            {**PAIR, "chosen": TALK},
            ("row-field-type", "error", "content of its last"),
        ),
        ("preferences", {**PAIR, "prompt": ""}, ("row-empty-field", "warning", "")),
        ("preferences", {**PAIR, "rejected": "b"}, ("row-same-answers", "warning", "remove")),
        ("replies", {**PAIR, "chosen": 1}, ("row-field-type", "error", "write a string")),
        ("replies", {**PAIR, "chosen": {"content": " "}}, ("row-empty-field", "warning", "")),
        ("answers", {"prompt": "a"}, ("row-without-format", "error", "")),
        ("answers", {"prompt": "a", "answer": 4}, ("row-field-type", "error", "write a string")),
        ("prompts", {"prompt": [{"role": "user"}]}, ("row-field-type", "error", "")),
        ("prompts", {"text": "a"}, ("row-without-format", "error", "")),
        ("tokens", {**TOKENS, "multi_chosen_decoded": "d"}, ("row-field-type", "error", "write [")),
        ("tokens", {**TOKENS, "multi_chosen_decoded": []}, ("row-empty-field", "warning", "")),
        ("tokens", PAIR, ("row-without-format", "error", "")),
    ],
)
def test_a_flaw_is_told_at_its_line_with_the_way_out(look, kind, row, flaw):
    good = {"tokens": TOKENS, "answers": {"prompt": "a", "answer": "b"}}.get(kind, PAIR)
    (found,) = look(kind, good, row)
    line, _, rule, severity, hint = found
    assert (line, rule, severity) == (2, *flaw[:2])
    assert flaw[2] in hint


def test_the_name_of_a_key_is_a_way_out(look):
    row = {"question": "a", "chosen": "b", "rejected": "c"}
    (found,) = look("preferences", PAIR, row)
    assert found[-1] == "set prompt_feature: question"
    assert look("preferences", row, prompt="question") == []
    (found,) = look("answers", {"prompt": "a", "solution": "b"})
    assert found[-1] == "set answer_feature: solution"


def test_the_template_writes_each_answer():
    features = Features()
    assert [talk[-1]["content"] for talk in chats_of("preferences", PAIR, features)] == ["b", "c"]
    (talk,) = chats_of("answers", {"prompt": "a", "answer": "b"}, features)
    assert [one["role"] for one in talk] == ["system", "user"]
    assert chats_of("prompts", {"prompt": TALK}, features) == [TALK]
    assert chats_of("tokens", TOKENS, features) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (TALK, "b"),
        ({"messages": TALK}, "b"),
        ({"content": "c"}, "c"),
        (1, None),
        ([], None),
    ],
)
def test_a_reply_is_its_last_message(value, text):
    assert reply(value) == text
