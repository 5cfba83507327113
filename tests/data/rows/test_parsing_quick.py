"""The fast parser accepts and refuses exactly what the parser of rows does."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.data.rows import RowError, RowUse, look, parse, quick_parse
from runner.data.rows.formats import chat_flaws, plain_texts
from runner.data.rows.row import strings


def read(parser, line):
    """Return what a parser makes of a line, a refusal as its words."""
    try:
        return parser(line)
    except RowError as error:
        return error.flaw


def same(one, other):
    """Say whether two values are the same to the last digit, in the same order."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return repr(one) == repr(other)
    return one == other


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
BITS = [
    b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\\u", b"d800", b"\\ud83d\\ude00", b"\\udc00",
    b"-", b"+", b".", b"0", b"1", b"9" * 30, b"e", b"E400", b"NaN", b"-Infinity", b"tru", b"null",
    b'"a"', b'{"a":', b" ", b"\t", b"\n", b"\r", b"\0", b"\x1f", b"\x7f", b"\xff", b"\xc3\xa9",
    b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xf4\x90\x80\x80", b"[" * 3000, b'{"a":1,"a":2}',
]  # fmt: skip


@pytest.mark.slow
@given(value=VALUES, ascii_only=st.booleans())
def test_what_is_json_is_the_same(value, ascii_only):
    line = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass") + b"\n"
    assert same(read(quick_parse(), line), read(parse, line))


@given(
    value=VALUES,
    bits=st.lists(st.tuples(st.integers(0, 200), st.sampled_from(BITS)), max_size=4),
    cut=st.integers(0, 20),
)
def test_what_is_damaged_is_the_same(value, bits, cut):
    line = json.dumps(value).encode()
    for at, bit in bits:
        line = line[:at] + bit + line[at:]
    line = line[: len(line) - cut]
    assert same(read(quick_parse(), line), read(parse, line))


@given(bits=st.lists(st.sampled_from(BITS), max_size=8))
def test_what_is_made_of_pieces_is_the_same(bits):
    line = b"".join(bits)
    assert same(read(quick_parse(), line), read(parse, line))


TWICE = [
    ('{"text": "a", "text": "b"}', ("text",)),
    ('{"messages": [], "messages": [1]}', ("messages",)),
    (
        '{"messages": [{"role": "user", "content": "a: b", "content": "c"}]}',
        ("messages", 0, "content"),
    ),
    ('{"a": {"b": [{"c": 1, "c": {"d": 2}}]}, "text": "x"}', ("a", "b", 0, "c")),
    ('{"a" :1,"text":"a","text":"b"}', ("text",)),
    ('{"t":"\\u003a","text":"a","text":"b"}', ("text",)),
    ('{"t":"\\u0022\\u003A","te\\u0078t":"a","text":"b"}', ("text",)),
    ('{"":"x","a\\\\":":)","text":"a","text":"b"}', ("text",)),
    ('{"text": "a", "text": "b", "x": NaN}', ("text",)),
]


@pytest.mark.parametrize(("line", "path"), TWICE)
def test_a_key_that_stands_twice_is_no_row(line, path):
    for parser in (parse, quick_parse()):
        flaw = read(parser, line.encode())
        assert (flaw.rule, flaw.path) == ("row-key-twice", path)


TEXTS = st.text(st.sampled_from(':"\\ a\u00e9\u2028{}'), max_size=6)
OBJECTS = st.recursive(
    TEXTS | st.none(), lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=8
)


@pytest.mark.slow
@given(row=st.dictionaries(TEXTS, OBJECTS, min_size=1), data=st.data())
def test_no_colon_and_no_escape_hides_a_key_that_stands_twice(row, data):
    """Written in any way: spaces before colons, and colons and quotes as escapes."""
    key = data.draw(st.sampled_from(sorted(row)))
    said = [json.dumps(one) for one in (key, data.draw(OBJECTS))]
    lost = f"{{{said[0]}{data.draw(st.sampled_from([':', ' :', ' : ']))}{said[1]}, "
    line = lost + json.dumps(row, ensure_ascii=data.draw(st.booleans()))[1:]
    for plain, escape in ((":", "\\u003a"), ('\\"', "\\u0022")):
        if data.draw(st.booleans()) and plain not in said[0]:
            line = line.replace(f"{plain}a", f"{escape}a")
    for parser in (parse, quick_parse()):
        assert read(parser, line.encode()).rule == "row-key-twice"


MESSAGES = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "role": st.sampled_from(["system", "user", "assistant", "tool", "gpt", None, 1]),
            "content": st.sampled_from(["a", "", " ", None, 3, ["x"], [{"text": "a"}]]),
            "tool_calls": st.sampled_from([[], [{}], None]),
            "name": st.just("x"),
        },
    )
    | st.sampled_from(["x", None, 3]),
    max_size=3,
)


@given(
    messages=MESSAGES | st.sampled_from([None, "x", {}]),
    tools=st.sampled_from([None, [], [{}], "x"]),
    mask=st.booleans(),
)
def test_a_chat_nobody_looks_at_has_no_flaw(messages, tools, mask):
    row = {"messages": messages, "tools": tools}
    use = RowUse(mask_prompt=mask)
    texts = plain_texts(row, use)
    if texts is not None:
        assert list(chat_flaws(row, use)) == []
        assert texts == strings(row, "chat", use.features)


def test_a_plain_chat_is_not_looked_at_twice():
    plain = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert plain_texts({"messages": plain}, RowUse()) == ["a", "b"]
    assert look({"messages": plain}, "chat", RowUse()) == (["a", "b"], [])
