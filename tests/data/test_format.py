import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.base.errors import ToolError
from runner.data.format import convert, main
from runner.data.layouts import LayoutError, LayoutKeys, Template, convert_row

QA = Template.of("Q: {prompt}\nA: {completion}\n")
CHAT = {
    "messages": [{"role": "user", "content": "why?"}, {"role": "assistant", "content": "so"}],
    "id": 7,
}
COMPLETIONS = {"prompt": "why?", "completion": "so", "id": 7}
INSTRUCTION = {"instruction": "why?", "response": "so", "id": 7}
TEXT = {"text": "Q: why?\nA: so\n", "id": 7}
SAME = {"chat": CHAT, "completions": COMPLETIONS, "instruction": INSTRUCTION, "text": TEXT}


@pytest.fixture
def made(rows_in, rows_of, tmp_path):
    """Convert rows; return those of the train split."""

    def made(rows, **options):
        convert(rows_in("in", rows), tmp_path / "out", **options)
        return rows_of(tmp_path / "out")

    return made


def refused(made, rows, **options) -> str:
    with pytest.raises(ToolError) as caught:
        made(rows, **options)
    return str(caught.value)


@pytest.mark.parametrize("target", SAME)
@pytest.mark.parametrize("source", SAME)
def test_every_layout_becomes_every_other(source, target):
    assert convert_row(SAME[source], source, target, LayoutKeys(template=QA)) == SAME[target]


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
FREE = st.dictionaries(
    WORDS.filter(lambda key: key not in {"prompt", "completion", "messages", "text"}),
    st.none() | st.integers() | WORDS | st.lists(st.booleans()),
    max_size=3,
)


@given(
    prompt=WORDS,
    completion=WORDS,
    more=FREE | st.fixed_dictionaries({"input": WORDS}),
    source=st.sampled_from(["completions", "instruction"]),
    target=st.sampled_from([*SAME]),
)
def test_what_is_converted_comes_back_as_it_was(prompt, completion, more, source, target):
    keys = LayoutKeys(template=QA)
    first, second = keys.names[source]
    row = {first: prompt, second: completion, **more}
    try:
        there = convert_row(row, source, target, keys)
    except LayoutError:
        return
    assert convert_row(there, target, source, keys) == row


def test_an_input_is_joined_to_its_instruction_and_can_be_parted_again(made):
    row = {"instruction": "Add.", "input": "1 2", "response": "3"}
    (chat,) = made([row], to="chat")
    assert chat["messages"][0] == {"role": "user", "content": "Add.\n\n1 2"}
    assert convert_row(chat, "chat", "instruction", LayoutKeys()) == row


def test_an_empty_input_stays_an_empty_input(made):
    row = {"instruction": "Add.", "input": "", "response": "3"}
    (chat,) = made([row], to="chat")
    assert chat["messages"][0]["content"] == "Add."
    assert convert_row(chat, "chat", "instruction", LayoutKeys()) == row


def test_a_text_is_an_answer_of_the_assistant_where_no_template_says_more(made):
    (chat,) = made([{"text": "once"}], to="chat")
    assert chat == {"messages": [{"role": "assistant", "content": "once"}]}
    assert convert_row(chat, "chat", "text", LayoutKeys()) == {"text": "once"}


def test_keys_can_have_other_names(made):
    (row,) = made([{"instruction": "a", "output": "b"}], to="chat", response_feature="output")
    assert [message["content"] for message in row["messages"]] == ["a", "b"]


def test_every_split_is_written(rows_in, rows_of, tmp_path):
    folder = rows_in("in", [COMPLETIONS] * 3)
    rows_in("in", [COMPLETIONS], "valid")
    record = convert(folder, tmp_path / "out", to="chat")
    assert rows_of(tmp_path / "out", "valid") == [CHAT]
    assert (record["rows"], record["train_rows"], record["valid_rows"]) == (4, 3, 1)
    assert json.loads((tmp_path / "out/format.json").read_text()) == record


@pytest.mark.parametrize(
    "line",
    [
        '{"prompt": "Größe 日本語 \u2028 🎉", "completion": "\\r\\n"}',
        '{"prompt": "\\ud800", "completion": "", "n": 123456789012345678901234567890}',
    ],
)
def test_values_are_kept_to_the_last_character(tmp_path, line):
    (tmp_path / "in.jsonl").write_text(line + "\n", encoding="utf-8", newline="")
    convert(tmp_path / "in.jsonl", tmp_path / "chat", to="chat")
    convert(tmp_path / "chat", tmp_path / "back", to="completions")
    assert json.loads((tmp_path / "back/train.jsonl").read_bytes()) == json.loads(line)


# --- refusals: the file, the line, the column


def message(role, content="x", **more):
    return {"role": role, "content": content, **more}


@pytest.mark.parametrize(
    "row, column, words",
    [
        ({"messages": [message("system"), message("user")]}, 15, "a message of 'system'"),
        ({"messages": [message("user"), message("user")]}, 49, "a message of 'user'"),
        ({"messages": [message("user")] * 1}, 14, "no answer in messages"),
        (
            {"messages": [message("user"), message("assistant"), message("user")]},
            88,
            "a message of 'user'",
        ),
        ({"messages": [message("user", name="me")]}, 15, "more than text in messages[0]"),
        ({"messages": [message("user", ["x"])]}, 15, "more than text in messages[0]"),
        ({"messages": 3}, 14, "no list of messages"),
        ({"messages": []}, 14, "no answer in messages"),
        ({"messages": ["x"]}, 15, "a message of None"),
    ],
)
def test_a_chat_that_would_lose_something_is_refused(made, tmp_path, row, column, words):
    said = refused(made, [CHAT, row], to="completions")
    place, _, reason = said.partition(": the row has ")
    assert place == f"{tmp_path}/in/train.jsonl:2:{column}"
    assert reason.startswith(words)


@pytest.mark.parametrize(
    "row, words",
    [
        ({"prompt": 3, "completion": "x"}, "has no text as 'prompt'"),
        ({"prompt": "x"}, "has no 'prompt' and 'completion', and the first row, "),
        ({"text": "x"}, "has no 'prompt' and 'completion', and the first row, "),
        ({"prompt": "x", "completion": "y", "messages": []}, "would not convert back from chat"),
        ([1], "is not a JSON object"),
    ],
)
def test_a_row_that_is_not_like_the_first_is_refused(made, tmp_path, row, words):
    said = refused(made, [COMPLETIONS, row], to="chat")
    assert said.startswith(f"{tmp_path}/in/train.jsonl:2:")
    assert f": the row {words}" in said


@pytest.mark.parametrize("row", [COMPLETIONS | TEXT, CHAT | INSTRUCTION])
def test_a_first_row_of_two_layouts_is_refused(made, row):
    assert "the row can be read as " in refused(made, [row], to="chat")


def test_a_first_row_of_no_layout_is_told_what_there_is(made):
    said = refused(made, [{"instruction": "a", "output": "b"}], to="chat")
    assert "the row has the keys of no layout" in said
    assert "--response-feature output" in said


@pytest.mark.parametrize("number", ["NaN", "1e400"])
def test_a_number_that_is_not_json_is_refused(tmp_path, number):
    (tmp_path / "in.jsonl").write_text(f'{{"text": "a", "n": {number}}}\n')
    with pytest.raises(ToolError, match=r"in\.jsonl:1:1: the row (?:contains|holds) "):
        convert(tmp_path / "in.jsonl", tmp_path / "out", to="chat")


def test_an_empty_split_is_refused_and_nothing_is_written(rows_in, tmp_path):
    folder = rows_in("in", [TEXT])
    rows_in("in", [], "valid")
    with pytest.raises(ToolError, match=r"valid\.jsonl has no rows; .* delete it$"):
        convert(folder, tmp_path / "out", to="chat")
    assert not (tmp_path / "out").exists()


# --- templates


@pytest.mark.parametrize(
    "text, words",
    [
        ("Q: why? so\n", "has no '\\nA: ' of the template"),
        ("why?\nA: so\n", "does not match the template"),
        ("Q: a\nA: b\nA: c\n", "contains '\\nA: ' of the template twice"),
    ],
)
def test_a_text_of_another_form_is_refused_with_its_place(made, text, words):
    options = {"to": "chat", "template": "Q: {prompt}\nA: {completion}\n"}
    said = refused(made, [TEXT, {"text": text}], **options)
    assert "train.jsonl:2:10: the row " + words in said


def test_a_prompt_that_the_template_could_not_find_again_is_refused(made):
    row = {"prompt": "a\nA: b", "completion": "c"}
    options = {"to": "text", "template": "Q: {prompt}\nA: {completion}"}
    assert "contains '\\nA: ' of the template twice" in refused(made, [row], **options)


def test_messages_without_a_template_are_no_text(made):
    said = refused(made, [CHAT], to="text")
    assert "the row has messages, but text has no roles" in said
    assert "template" in said


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{prompt}",
        "{completion}{prompt}",
        "{prompt}{completion}",
        "{prompt} {prompt} {completion}",
    ],
)
def test_a_template_that_is_none_is_refused(made, text):
    assert "it needs {prompt} and then {completion}, once each" in refused(
        made, [CHAT], to="text", template=text
    )


# --- the command


def test_the_command_says_what_it_did(rows_in, tmp_path, capsys):
    words = ["--data", str(rows_in("in", [COMPLETIONS])), "--out", str(tmp_path / "out")]
    main([*words, "--to", "chat"])
    assert capsys.readouterr() == (f"{tmp_path}/out: 1 row, completions to chat\n", "")


def test_the_command_refuses_on_stderr_and_exits_1(rows_in, tmp_path, capsys):
    words = ["--data", str(rows_in("in", [CHAT])), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as caught:
        main([*words, "--to", "text"])
    assert caught.value.code == 1
    output, error = capsys.readouterr()
    assert output == ""
    assert error.startswith(f"error: {tmp_path}/in/train.jsonl:1:14: the row has messages")
