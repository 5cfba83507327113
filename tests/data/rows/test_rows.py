"""Every kind of problem a data folder can have, at its line and column."""

import json
import re
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.data import pieces as cut
from runner.data import rows
from runner.data.pieces import pieces
from runner.data.read import check
from runner.data.rows import (
    SLUGS,
    Features,
    Flaw,
    Histogram,
    RowUse,
    Survey,
    column_of,
    first_format,
    remainder_lines,
    report,
    silent_batches,
    targets,
    token_flaws,
)

RECIPES = Path(__file__).parents[3] / "recipes/data/security"


def line(value) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def chat(*messages, **others) -> bytes:
    """A row of (role, content) pairs."""
    return line({"messages": [{"role": r, "content": c} for r, c in messages], **others})


def good(number: int) -> bytes:
    return chat(("user", f"question {number}"), ("assistant", f"answer {number}"))


def text(number: int) -> bytes:
    return line({"text": f"row {number}"})


def completion(number: int) -> bytes:
    return line({"prompt": f"question {number}", "completion": f"answer {number}"})


VALID, TEST = good(1000), good(2000)


@pytest.fixture
def folder(tmp_path):
    """Write train, valid and test files given as bytes; None leaves one out."""

    def folder(train=b"", valid=VALID, test=TEST, **others) -> Path:
        files = {"train": train, "valid": valid, "test": test, **others}
        for name, content in files.items():
            if content is not None:
                (tmp_path / f"{name}.jsonl").write_bytes(content)
        return tmp_path

    return folder


def place(row: bytes, at: int | str) -> int:
    """A column: a number, or where a text stands for the last time in the row."""
    return at if isinstance(at, int) else row.decode().rindex(at) + 1


def said(found) -> list[tuple]:
    """The problems as (file, line, column, rule, severity)."""
    return [
        (Path(p.mark.file).name, p.mark.line, p.mark.column, p.rule, p.severity)
        for p in found.problems
    ]


# --- rows


CHAT = [
    (b"\n", 1, "row-blank", "error"),
    (b" \t\r\n", 1, "row-blank", "error"),
    (b"{'messages': []}\n", 2, "row-not-json", "error"),
    (b'{"messages": [1, 2}\n', 19, "row-not-json", "error"),
    (good(7).strip() + good(8), len(good(7)), "row-not-json", "error"),
    (b"[" * 100_000 + b"\n", 1, "row-not-json", "error"),
    (b'{"a": ' + b"9" * 5000 + b"}\n", 1, "row-not-json", "error"),
    (b"\xef\xbb\xbf" + good(7), 1, "row-byte-order-mark", "error"),
    (b'{"text": "\xc3\xbc\xff"}\n', 12, "row-not-utf8", "error"),
    (b'{"text":\r"a"}\n', 9, "row-carriage-return", "error"),
    (b"[1, 2]\n", 1, "row-not-object", "error"),
    (b"null\n", 1, "row-not-object", "error"),
    (b"{}\n", 1, "row-without-format", "error"),
    (line({"prompt": "a"}), 1, "row-without-format", "error"),
    (text(7), 1, "row-other-format", "error"),
    (completion(7), 1, "row-other-format", "error"),
    (line({"messages": None}), 14, "row-field-type", "error"),
    (line({"messages": "hello"}), 14, "row-field-type", "error"),
    (line({"messages": {"role": "user"}}), 14, "row-field-type", "error"),
    (line({"messages": []}), 14, "row-no-messages", "error"),
    (line({"messages": ["hello"]}), 15, "row-field-type", "error"),
    (chat(("user", "a"), ("assistant", None)), "null", "row-field-type", "error"),
    (chat(("user", 5), ("assistant", "b")), 43, "row-field-type", "error"),
    (chat(("user", "a"), (None, "b")), "null", "row-field-type", "error"),
    (chat(("user", "a"), ("assistant", [])), "[]", "row-field-type", "error"),
    (chat(("user", "a"), ("assistant", [{"type": "image"}])), "[{", "row-field-type", "error"),
    (chat(("user", "a"), ("gpt", "b")), '"gpt"', "row-unknown-role", "error"),
    (
        line({"messages": [{"role": "user"}, {"role": "assistant", "content": "b"}]}),
        15,
        "row-message-without-content",
        "error",
    ),
    (
        line({"messages": [{"content": "a"}, {"role": "assistant", "content": "b"}]}),
        15,
        "row-message-without-role",
        "error",
    ),
    (
        chat(("user", "a"), ("assistant", "b"), tools="[]"),
        '"[]"',
        "row-field-type",
        "error",
    ),
    (chat(("user", "a"), ("assistant", "b"), tools=["f"]), "[", "row-field-type", "error"),
    (b'{"messages": [{"role": "user", "content": "\\ud800"}, {"role": "assistant", "content": "b"}]}\n',
     1, "row-lone-surrogate", "error"),
    (chat(("user", "a")), 15, "row-last-not-assistant", "warning"),
    (chat(("user", "a"), ("assistant", "b"), ("user", "c")), "{", "row-last-not-assistant", "warning"),
    (chat(("user", ""), ("assistant", "b")), 43, "row-empty-field", "warning"),
    (chat(("user", "a"), ("assistant", " \n")), '" ', "row-empty-answer", "warning"),
    (
        chat(("user", [{"type": "text", "text": "a"}]), ("assistant", "b")),
        43,
        "row-content-parts",
        "warning",
    ),
    (chat(("user", "a"), ("assistant", "b"), text="c"), 1, "row-two-formats", "warning"),
    (
        chat(("user", "a"), ("assistant", "b"), score=float("nan")),
        1,
        "row-constant",
        "warning",
    ),
    (good(2), 1, "row-repeated", "warning"),
    (good(1000), 1, None, None),
]  # fmt: skip


@pytest.mark.parametrize("bad, column, rule, severity", CHAT)
def test_a_bad_chat_row_is_named_with_its_line_and_column(folder, bad, column, rule, severity):
    found = said(check(folder(good(1) + good(2) + bad + good(4))))
    if rule is None:  # the same row as in valid: said there
        assert found == [("valid.jsonl", 1, 1, "row-in-two-splits", "warning")]
    else:
        assert found == [("train.jsonl", 3, place(bad, column), rule, severity)]


OTHERS = [
    (text, line({"text": ""}), 10, "row-empty-text", "error"),
    (text, line({"text": "  "}), 10, "row-empty-text", "warning"),
    (text, line({"text": None}), 10, "row-field-type", "error"),
    (text, line({"text": 5}), 10, "row-field-type", "error"),
    (text, good(7), 1, "row-other-format", "error"),
    (completion, line({"prompt": None, "completion": "a"}), 12, "row-field-type", "error"),
    (completion, line({"prompt": [], "completion": "a"}), 12, "row-field-type", "error"),
    (completion, line({"prompt": "a", "completion": True}), 31, "row-field-type", "error"),
    (completion, line({"prompt": "", "completion": "a"}), 12, "row-empty-field", "warning"),
    (completion, line({"prompt": "a", "completion": ""}), 31, "row-empty-answer", "warning"),
    (completion, line({"prompt": "a", "completions": "b"}), 1, "row-without-format", "error"),
    (
        completion,
        line({"prompt": "a", "completion": "b", "messages": []}),
        1,
        "row-two-formats",
        "warning",
    ),
]


@pytest.mark.parametrize("sound, bad, column, rule, severity", OTHERS)
def test_a_bad_row_of_another_format_is_named_too(folder, sound, bad, column, rule, severity):
    path = folder(sound(1) + sound(2) + bad + sound(4), sound(5), sound(6))
    assert said(check(path)) == [("train.jsonl", 3, place(bad, column), rule, severity)]


MASKED = [
    (chat(("assistant", "a")), 15, "row-single-message", "error"),
    (
        chat(("user", "a"), ("assistant", "b"), ("user", "c")),
        "{",
        "row-last-not-assistant",
        "error",
    ),
    (
        chat(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")),
        "{",
        "row-answers-masked",
        "warning",
    ),
]


@pytest.mark.parametrize("bad, column, rule, severity", MASKED)
def test_what_the_mask_makes_of_a_row_is_said(folder, bad, column, rule, severity):
    path = folder(good(1) + bad)
    found = said(check(path, mask_prompt=True))
    assert found == [("train.jsonl", 2, place(bad, column), rule, severity)]


SOUND = [
    chat(("system", "a"), ("user", "b"), ("assistant", "c"), ("user", "d"), ("assistant", "e")),
    chat(("assistant", "the only message")),
    chat(("user", "NaN and Infinity are words here"), ("assistant", "\\ud800 \r\n \u2028 \x7f")),
    good(3).replace(b"\n", b"\r\n"),
    b"  " + good(3),
    good(3).strip(),
    chat(("user", "a"), ("assistant", "b"), tools=[{"type": "function"}], id=5),
    chat(("user", "a"), ("assistant", "b"), tools=None),
    line(
        {
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": None, "tool_calls": [{"id": 1}]},
                {"role": "tool", "content": "5", "tool_call_id": "1"},
                {"role": "assistant", "tool_calls": [{"id": 2}]},
            ]
        }
    ),
]


@pytest.mark.parametrize("row", SOUND)
def test_unusual_rows_that_mlx_lm_takes_are_no_problem(folder, row):
    assert said(check(folder(good(1) + row))) == []


def test_all_flaws_of_all_rows_are_found_errors_first_and_in_order(folder):
    bad = chat(("user", None), ("robot", "b"), ("user", ""))
    path = folder(bad + good(2) + b"\n" + text(4))
    assert said(check(path)) == [
        ("train.jsonl", 1, 43, "row-field-type", "error"),
        ("train.jsonl", 1, 59, "row-unknown-role", "error"),
        ("train.jsonl", 3, 1, "row-blank", "error"),
        ("train.jsonl", 4, 1, "row-other-format", "error"),
        ("train.jsonl", 1, 85, "row-last-not-assistant", "warning"),
        ("train.jsonl", 1, 113, "row-empty-field", "warning"),
    ]


@pytest.mark.parametrize(
    "row, hint",
    [
        (
            {"conversations": [{"role": "user", "content": "a"}]},
            "'conversations' contains messages: rename it to messages, or set chat_feature",
        ),
        ({"Text": "a"}, "'Text' looks like 'text': rename it, or set text_feature: Text"),
        ({"promt": "a", "completion": "b"}, "rename 'promt' to 'prompt'"),
        ({"instruction": "a", "output": "b"}, "prompt_feature: instruction and set comp"),
        ({"messages": [{"from": "human", "value": "a"}]}, "run-recipe data format --data "),
        ({"messages": [{"role": "human", "content": "a"}]}, "did you mean 'user'?"),
        ({"messages": [{"role": "asistant", "content": "a"}]}, "did you mean 'assistant'?"),
        ({"messages": [{"role": "narrator", "content": "a"}]}, "--role narrator adds one"),
    ],
)
def test_a_near_miss_comes_with_the_way_out(folder, row, hint):
    assert hint in check(folder(good(1) + line(row))).problems[0].hint


def test_a_role_of_the_users_own_is_allowed(folder):
    path = folder(chat(("narrator", "a"), ("assistant", "b")))
    assert said(check(path, roles={"narrator", "user", "assistant"})) == []


def test_renamed_features_are_looked_for(folder):
    rows = [line({"q": f"a{n}", "a": "b"}) for n in range(3)]
    assert said(check(folder(*rows), features=Features(prompt="q", completion="a"))) == []
    assert {p.rule for p in check(folder(*rows)).problems} == {"row-without-format"}


# --- files


def test_files_that_are_absent_are_named_when_they_matter(folder):
    assert said(check(folder(None, None, None))) == [
        ("train.jsonl", 1, 1, "split-missing", "error"),
        ("valid.jsonl", 1, 1, "split-missing", "warning"),
    ]


def test_a_split_that_is_required_must_be_there(folder):
    path = folder(good(1), None, None)
    assert ("test.jsonl", 1, 1, "split-missing", "error") in said(check(path, required=["test"]))


@pytest.mark.parametrize("name", ["val", "validation", "dev", "Valid"])
def test_a_misnamed_file_is_an_error_where_its_split_is_lost(folder, name):
    path = folder(good(1), None, **{name: good(3)})
    assert said(check(path)) == [(f"{name}.jsonl", 1, 1, "split-misnamed", "error")]


def test_a_misnamed_file_beside_the_right_one_is_a_warning(folder):
    path = folder(good(1), dev=good(3), training=good(4))
    assert said(check(path)) == [
        ("training.jsonl", 1, 1, "split-misnamed", "warning"),
        ("dev.jsonl", 1, 1, "split-misnamed", "warning"),
    ]


def test_other_files_are_left_alone(folder):
    path = folder(good(1), extra=good(1))
    (path / "README.md").write_text("train")
    (path / "valid.json").write_text("[]")
    assert said(check(path)) == []


def test_an_empty_file_and_one_that_cannot_be_read_are_named(folder):
    path = folder(good(1), b"", None)
    (path / "test.jsonl").mkdir()
    assert said(check(path)) == [
        ("test.jsonl", 1, 1, "split-unreadable", "error"),
        ("valid.jsonl", 1, 1, "split-empty", "error"),
    ]


def test_a_folder_that_is_not_there_is_a_problem(tmp_path):
    [problem] = check(tmp_path / "nowhere").problems
    assert problem.rule == "data-folder-missing"


def test_only_the_splits_asked_for_are_read(folder):
    path = folder(good(1), b"\n", b"\n")
    assert list(check(path, splits=["train"]).splits) == ["train"]


def test_formats_that_differ_between_splits_are_named(folder):
    path = folder(good(1), completion(2), text(3))
    assert said(check(path)) == [
        ("valid.jsonl", 1, 1, "splits-of-two-formats", "warning"),
        ("test.jsonl", 1, 1, "splits-of-two-formats", "warning"),
    ]


def test_a_text_split_cannot_be_masked(folder):
    path = folder(completion(1), completion(2), text(3))
    assert ("test.jsonl", 1, 1, "mask-prompt-with-text", "error") in said(
        check(path, mask_prompt=True)
    )


def test_a_split_smaller_than_a_batch_is_an_error(folder):
    rows = b"".join(map(good, range(4)))
    path = folder(rows, good(5) + good(6) + good(7), good(8))
    assert said(check(path, batch_size=4)) == [
        ("valid.jsonl", 1, 1, "split-smaller-than-batch", "error"),
        ("test.jsonl", 1, 1, "split-smaller-than-batch", "error"),
    ]


def test_the_rows_that_no_batch_reaches_are_named(folder):
    full = b"".join(map(good, range(100, 104)))
    path = folder(b"".join(map(good, range(11))), full, full.replace(b"10", b"20"))
    [problem] = check(path, batch_size=4).problems
    assert problem.mark.line == 9
    assert "3 rows of 11 are in no batch of 4: lines 9, 10, 11" in problem.message
    assert problem.hint.startswith("add 1 row, ")


def test_rows_with_more_keys_come_last_and_are_the_ones_not_reached(folder):
    longer = chat(("user", "a"), ("assistant", "b"), id=1)
    path = folder(good(1) + longer + good(3), good(4) + good(5), good(6) + good(7))
    [problem] = check(path, batch_size=2).problems
    assert (problem.rule, problem.mark.line) == ("rows-never-reached", 2)


def test_repeated_rows_are_the_same_training_whatever_their_spelling(folder):
    again = good(1).replace(b": ", b":").replace(b"answer", b"\\u0061nswer").strip()
    path = folder(good(1) + good(2) + again.replace(b"}]}", b'}], "id": 5}'))
    [problem] = check(path).problems
    assert (problem.rule, problem.mark.line) == ("row-repeated", 3)
    assert problem.notes[0][0].line == 1


def test_a_row_in_two_splits_points_to_both_places(folder):
    found = check(folder(good(1) + good(2), good(3) + good(2), good(3)))
    places = [(str(p.mark), str(p.notes[0][0])) for p in found.problems]
    assert [tuple(Path(p).name for p in pair) for pair in places] == [
        ("valid.jsonl:2:1", "train.jsonl:2:1"),
        ("test.jsonl:1:1", "valid.jsonl:1:1"),
    ]


# --- many


def test_of_many_problems_of_a_kind_the_first_are_shown_and_the_rest_counted(folder):
    found = check(folder(good(1) + b"\n" * 50 + text(2) * 3), limit=20)
    blank = [p for p in found.problems if p.rule == "row-blank"]
    assert [p.mark.line for p in blank] == [*range(2, 22), 51]
    assert blank[-1].message == "30 more not shown (last: line 51)"
    assert sum(p.rule == "row-other-format" for p in found.problems) == 3


@pytest.mark.slow
def test_pieces_and_processes_change_nothing(folder, monkeypatch):
    rows = [good(n) for n in range(300)]
    rows[17] = rows[250] = b"\n"
    rows[99] = rows[5]
    path = folder(b"".join(rows).strip(), b"".join(map(good, range(400, 410))))
    whole = check(path, batch_size=7)
    for size in (10, 100, 1000, 5000):
        monkeypatch.setattr(cut, "PIECE", size)
        monkeypatch.setattr(pieces, "__defaults__", (size, 32 << 20))
        assert check(path, batch_size=7) == whole
    assert check(path, batch_size=7, workers=2) == whole


def test_pieces_are_whole_lines(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"aaaa\nb\n\ncccccccccccc\nd")
    cut = list(pieces(file, 3, 100))
    content = file.read_bytes()
    assert [content[p.start : p.start + p.size] for p in cut] == [
        b"aaaa\n", b"b\n\n", b"cccccccccccc\n", b"d"
    ]  # fmt: skip
    assert [p.line for p in cut] == [1, 2, 4, 5]


def test_a_line_that_is_too_long_is_not_looked_at(folder, monkeypatch):
    monkeypatch.setattr(pieces, "__defaults__", (100, 200))
    path = folder(good(1) + good(2) + good(3).replace(b"question", b"?" * 1000) + b"\n" + good(5))
    found = check(path)
    assert said(found) == [
        ("train.jsonl", 4, 1, "row-blank", "error"),
        ("train.jsonl", 3, 1, "row-too-long", "warning"),
    ]
    assert found.splits["train"].bytes == (path / "train.jsonl").stat().st_size


def test_progress_is_told_in_bytes(folder):
    path = folder(good(1) * 3)
    seen = []
    check(path, progress=lambda done, total: seen.append((done, total)))
    total = sum(file.stat().st_size for file in path.iterdir())
    assert seen[-1] == (total, total)


@pytest.mark.slow
def test_a_hundred_thousand_rows_need_little_memory(folder):
    path = folder(None)
    with (path / "train.jsonl").open("wb") as stream:
        for number in range(100_000):
            stream.write(good(number) if number % 20 else b"\n")
    tracemalloc.start()
    found = check(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.splits["train"].rows == 95_000
    assert len(found.problems) < 50
    assert peak < 24_000_000


# --- statistics


def test_what_the_rows_are_like_is_counted(folder):
    rows = [chat(("user", "x"), ("assistant", "y" * n)) for n in range(1, 101)]
    stats = check(folder(b"".join(rows))).splits["train"]
    assert (stats.rows, stats.format, stats.bytes) == (100, "chat", sum(map(len, rows)))
    assert (stats.characters.minimum, stats.characters.median) == (2, 51)
    assert (stats.characters.p90, stats.characters.maximum) == (91, 101)
    assert (stats.turns.minimum, stats.turns.maximum, stats.tokens) == (2, 2, None)


@given(st.lists(st.integers(0, 10**7), min_size=1))
def test_quantiles_are_within_one_percent(values):
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    spread, in_order = histogram.spread(), sorted(values)
    exact = {50: spread.median, 90: spread.p90, 99: spread.p99}
    for share, found in exact.items():
        true = in_order[-(-len(values) * share // 100) - 1]
        assert abs(found - true) <= 0.01 * true
    assert (spread.minimum, spread.maximum) == (in_order[0], in_order[-1])
    assert (spread.rows, spread.total) == (len(values), sum(values))


# --- tokens


LONG = RowUse(mask_prompt=True, max_seq_length=10)
PLAIN = RowUse(max_seq_length=10)


@pytest.mark.parametrize(
    "whole, prompt, use, flaws",
    [
        (range(10), range(5), LONG, []),
        (range(12), range(5), LONG, [("row-cut", "warning")]),
        (range(12), None, PLAIN, [("row-cut", "warning")]),
        (range(12), range(10), PLAIN, [("row-answer-lost", "warning")]),
        (range(12), range(10), LONG, [("row-answer-lost", "error")]),
        (range(12), range(9), LONG, [("row-cut", "warning")]),
        (range(8), [0, 1, 2, 77, 78], LONG, [("row-mask-hides-answer", "warning")]),
        (range(5), [0, 1, 2, 77, 78], LONG, [("row-mask-hides-answer", "error")]),
        (range(5), [0, 1, 2, 77, 78, 79], LONG, [("row-mask-hides-answer", "error")]),
        (range(5), range(5), LONG, [("row-mask-hides-answer", "error")]),
    ],
)
def test_what_length_and_mask_do_to_an_answer(whole, prompt, use, flaws):
    assert [(f.rule, f.severity) for f in token_flaws(whole, prompt, use)] == flaws


def words(content, *, tools=None, answer_next=False, tokenize=True):
    """A token for every word and two around every message."""
    if isinstance(content, str):
        return [*content.split(), "end"]
    found = []
    for message in content:
        if message["content"] == "refused":
            raise ValueError("no such message")
        found += [message["role"], *message["content"].split(), "end"]
    return found + ["assistant"] * answer_next


def test_with_a_tokenizer_rows_that_are_cut_are_counted(folder):
    rows = [
        chat(("user", "a b"), ("assistant", "c")),  # 4 + 3
        chat(("user", "a b"), ("assistant", "c d e f g h")),  # 4 + 8
        chat(("user", "a b c d e f g h"), ("assistant", "c")),  # 10 + 3
        chat(("user", "refused"), ("assistant", "c")),
    ]
    said_so = {"mask_prompt": True, "max_seq_length": 10, "splits": ["train"]}
    found = check(folder(b"".join(rows)), tokenizer=words, **said_so)
    assert said(found) == [
        ("train.jsonl", 3, 1, "row-answer-lost", "error"),
        ("train.jsonl", 4, 1, "row-template-error", "error"),
        ("train.jsonl", 2, 1, "row-cut", "warning"),
    ]
    tokens = found.splits["train"].tokens
    assert (tokens.cut_rows, tokens.cut_tokens, tokens.lost_answers) == (2, 5, 1)
    assert (tokens.trained, tokens.padding) == (7, 1)
    assert (tokens.lengths.rows, tokens.lengths.total) == (3, 32)


def mute(*more):
    """A chat whose prompt alone is longer than ten tokens."""
    return chat(("user", "a b c d e f g h"), ("assistant", "c"), *more)


def loud():
    return chat(("user", "a"), ("assistant", "c d"))


@pytest.mark.parametrize(
    ("rows", "batch", "lines"),
    [
        ([loud(), mute(), mute(), loud()], 2, []),  # each beside one with an answer
        ([mute(), mute(), loud(), loud()], 2, [1]),
        ([loud(), mute()], 1, [2]),
        ([loud(), loud(), mute()], 2, []),  # no batch reaches it
        ([mute()] * 6, 2, [1, 3, 5]),
    ],
)
@pytest.mark.parametrize("piece", [1 << 20, 60])
def test_a_batch_of_rows_without_an_answer_is_named_before_it_makes_everything_nan(
    folder, monkeypatch, rows, batch, lines, piece
):
    monkeypatch.setattr(pieces, "__defaults__", (piece, 32 << 20))
    path = folder(b"".join(rows))
    found = check(path, mask_prompt=True, max_seq_length=10, tokenizer=words, batch_size=batch)
    errors = [
        p for p in found.problems if p.severity == "error" and p.mark.file.endswith("train.jsonl")
    ]
    assert [(p.rule, p.mark.line) for p in errors] == [
        ("batch-learns-nothing", line) for line in lines
    ]


def test_rows_of_more_keys_go_to_other_batches():
    silent, classes = {1: [(0, 2)], 2: [(0, 1)]}, {1: 1, 2: 1}
    assert silent_batches(silent, classes, 2) == [[1, 2]]
    assert silent_batches(silent, {1: 2, 2: 2}, 2) == []


@pytest.mark.parametrize(
    ("size", "start", "use", "counted"),
    [
        (5, 0, PLAIN, (4, 1)),  # T74: 5 tokens, 4 targets, and one of padding
        (10, 0, PLAIN, (9, 0)),  # no room for padding
        (12, 0, PLAIN, (9, 0)),
        (8, 6, LONG, (2, 1)),
        (8, 8, LONG, (0, 1)),
        (8, 9, LONG, (0, 0)),
        (12, 10, LONG, (0, 0)),
        (12, 9, LONG, (1, 0)),
    ],
)
def test_what_the_loss_counts_of_a_row(size, start, use, counted):
    assert targets(size, start, use) == counted


def test_rows_that_cannot_be_cut_are_only_written_where_nothing_else_is_asked(folder):
    asked = []

    def counting(content, **named):
        asked.append(named.get("tokenize", True))
        return words(content, **named)

    rows = [loud(), chat(("user", "a" * 200), ("assistant", "c"))]
    path = folder(b"".join(rows))
    said = {"tokenizer": counting, "max_seq_length": 400, "splits": ["train"]}
    check(path, **said, every=False)
    assert sorted(asked) == [False, True]
    asked.clear()
    check(path, **said, every=False, mask_prompt=True)
    assert asked == [True] * 2 * 2


# --- properties


SCALARS = st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30
).filter(lambda s: not s.isspace())  # fmt: skip
CHATS = st.builds(
    lambda system, turns: [
        *([{"role": "system", "content": system}] if system else []),
        *(
            {"role": role, "content": content}
            for turn in turns
            for role, content in zip(("user", "assistant"), turn, strict=True)
        ),
    ],
    st.none() | SCALARS,
    st.lists(st.tuples(SCALARS, SCALARS), min_size=1, max_size=3),
)
KINDS = {
    "chat": st.fixed_dictionaries({"messages": CHATS}, optional={"id": st.integers()}),
    "completions": st.fixed_dictionaries({"prompt": SCALARS, "completion": SCALARS}),
    "text": st.fixed_dictionaries({"text": SCALARS}, optional={"meta": st.none()}),
}
FILES = st.sampled_from(sorted(KINDS)).flatmap(
    lambda kind: st.lists(
        KINDS[kind], min_size=1, max_size=8, unique_by=lambda row: json.dumps(
            {key: row[key] for key in row if key not in {"id", "meta"}}
        )
    )
)  # fmt: skip
DAMAGE = [
    lambda row: b"\n",
    lambda row: row[:-2] + b"\n",
    lambda row: b"\xff" + row,
    lambda row: b"\xef\xbb\xbf" + row,
    lambda row: b"[" + row.strip() + b"]\n",
    lambda row: b"{}\n",
    lambda row: b" \r" + row,
    lambda row: line(dict.fromkeys(json.loads(row))),
    lambda row: line(dict.fromkeys(json.loads(row), 5)),
    lambda row: line({key + "s": value for key, value in json.loads(row).items()}),
]


def surveyed(lines: list[bytes]) -> list[tuple[int, str]]:
    survey = Survey(file="train.jsonl", format=first_format(lines, Features()), use=RowUse())
    for number, row in enumerate(lines, 1):
        survey.take(number, row)
    found = report("data", ["train.jsonl"], {"train": survey}, splits=["train"])
    return [(problem.mark.line, problem.rule) for problem in found.problems]


@given(FILES, st.booleans())
def test_valid_rows_are_no_problem(rows, ascii_only):
    lines = [json.dumps(row, ensure_ascii=ascii_only).encode() + b"\n" for row in rows]
    assert surveyed(lines) == []


@given(FILES, st.sampled_from(DAMAGE), st.data())
def test_damage_to_one_row_is_found_at_exactly_its_line(rows, damage, data):
    lines = [line(row) for row in rows]
    at = data.draw(st.integers(0, len(lines) - 1))
    lines[at] = damage(lines[at])
    assert {number for number, _ in surveyed(lines)} == {at + 1}


@given(FILES, st.integers(1, 9))
def test_what_is_not_reached_is_what_the_batches_leave_over(rows, batch):
    survey = Survey(file="a", format=None, use=RowUse(batch_size=batch))
    for number, row in enumerate(rows, 1):
        survey.take(number, line(row))
    rest = len(rows) % batch
    # mlx_lm/tuner/trainer.py: sorted by len(row), cut into batches, the rest falls off.
    order = sorted(range(1, len(rows) + 1), key=lambda n: len(rows[n - 1]))
    if len(rows) >= batch and rest:
        assert remainder_lines(survey.tails, rest) == sorted(order[len(rows) - rest :])


@pytest.mark.slow
@given(st.recursive(st.integers() | st.text(), lambda kids: st.lists(kids) | st.dictionaries(st.text(), kids)), st.data())  # fmt: skip
def test_the_column_of_a_member_is_where_it_starts(value, data):
    path, inside = [], value
    while isinstance(inside, (dict, list)) and inside and data.draw(st.booleans()):
        step = data.draw(
            st.sampled_from(sorted(inside) if isinstance(inside, dict) else range(len(inside)))
        )
        path.append(step)
        inside = inside[step]
    spelled = "  " + json.dumps(value)
    start = column_of(spelled, path) - 1
    assert json.JSONDecoder().raw_decode(spelled, start)[0] == inside


def test_a_flaw_says_by_default_that_it_is_an_error():
    assert Flaw(rule="rule", message="is wrong").severity == "error"


def test_the_slugs_are_those_that_the_modules_say():
    """So that nobody has to know which module of the folder finds what."""
    modules = [file for file in Path(rows.__file__).parent.glob("*.py") if file.stem != "__init__"]
    words = "".join(file.read_text(encoding="utf-8") for file in modules)
    said = re.findall(r'"((?:rows?|splits?|batch(?:es)?|mask|loss)-[a-z0-9-]+)"', words)
    assert sorted(SLUGS) == sorted(set(said))


# --- our own


@pytest.mark.parametrize("name", ["analysis", "codefix"])
def test_the_shipped_rows_have_no_problem(name):
    found = check(RECIPES / name, batch_size=1)
    assert said(found) == []
    assert {split: stats.rows for split, stats in found.splits.items()} == {
        "train": 170, "valid": 40, "test": 40,
    }  # fmt: skip


@pytest.mark.parametrize(
    "content, what",
    [
        (b'[{"text": "a"}, {"text": "b"}]', "a JSON array"),
        (b'\n[\n  {"text": "a"},\n  {"text": "b"}\n]\n', "a JSON array"),
        (b'[{"text": "' + b"a" * 100_000 + b'"}]', "a JSON array"),
        (b"prompt,completion\na,b\n", "CSV"),
        (b'\xef\xbb\xbf"the question";"the answer"\r\na;b\r\n', "CSV"),
        (b"text\tlabel\na\tb\n", "TSV"),
    ],
)
def test_a_file_that_is_no_jsonl_is_one_problem_that_says_what_it_is(folder, content, what):
    found = check(folder(content))
    (problem,) = found.problems
    assert problem.message == f"the file is {what}, but mlx-lm reads one JSON object per line"
    assert (problem.rule, problem.mark.line) == ("split-not-jsonl", 1)


@pytest.mark.parametrize(
    "content", [b'[{"a": 1}]\n[{"a": 2}]\n', b"[1, 2]\n", b"a sentence, and more of it.\n", b"\n"]
)
def test_lines_that_are_no_table_and_no_array_are_rows(folder, content):
    assert "split-not-jsonl" not in {problem.rule for problem in check(folder(content)).problems}


HOSTILE = {
    "blank lines": b"\n" * 500_000,
    "brackets": b"[\n" * 250_000,
    "empty objects": b"{}\n" * 200_000,
    "a deep row": b'{"text": "a", "x": ' + b"[" * 400_000 + b"}\n",
    "deep messages": (b'{"messages": [{"role": "user", "content": "a", "x": ' + b"[" * 900 + b"]" * 900 + b"}]}\n") * 200,
    "a huge key": json.dumps({"k" * 500_000: 1}).encode(),
    "a huge role": json.dumps({"messages": [{"role": "r" * 500_000, "content": "a"}]}).encode(),
    "many keys": json.dumps({f"key{n}": 1 for n in range(40_000)}).encode(),
    "a key twice": b'{"text": "a", "text": "b"}\n' * 20_000,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_half_a_megabyte_of_anything_is_answered_in_few_words(folder, content):
    began = time.process_time()
    found = check(folder(content, valid=None, test=None))
    assert time.process_time() - began < 5
    assert sum(len(p.message) + len(p.hint) for p in found.problems) < 10_000
