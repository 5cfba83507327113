"""What comes from outside is seen, and does nothing."""

import json
import re
import subprocess
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.base import visible

ESCAPE = "\x1b]52;c;cHduZWQ=\x07"
ANY = st.text(max_size=30)


def acting(text: str) -> list[str]:
    """Return the signs of a text that a screen does not only show."""
    kinds = {"Cc", "Cs", "Zl", "Zp"}
    return [one for one in text if unicodedata.category(one) in kinds]


@given(ANY)
@example(ESCAPE)
@example("a\u202eb\u2066c\u2028d\x9b31me\ud800")
def test_nothing_acts_in_text_but_ends_of_lines_and_tabs(text):
    shown = visible.text(text)
    assert set(acting(shown)) <= {"\n", "\t"}
    assert acting(visible.line(text)) == []
    assert visible.text(shown) == shown


def test_what_only_directs_or_is_not_seen_is_shown():
    directing = [chr(code) for code in range(0x110000) if _hidden(chr(code))]
    assert len(directing) == 16
    assert [one for one in directing if visible.text(f"a{one}b") == f"a{one}b"] == []


def _hidden(sign: str) -> bool:
    bidi = unicodedata.bidirectional(sign) in {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI"}
    return bidi or sign in "\u2069\u200e\u200f\u061c\u200b\u2060\ufeff\u00ad\U000e0041"


@pytest.mark.parametrize(
    "said",
    [
        "plain",
        "é ü 漢字 العربية",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "a\\b",
    ],
)
def test_what_people_write_stays_as_it_is(said):
    assert visible.text(said) == visible.line(said) == said


@pytest.mark.parametrize("lead", ["", " ", "\t", "\u00a0", "x\n", "x\n  "])
@pytest.mark.parametrize(
    "command", ["::error file=a::b", "::set-output name=a::b", "##[error]b", "##vso[task.x]b"]
)
def test_no_line_is_a_workflow_command(lead, command):
    for line in visible.text(lead + command).split("\n"):
        assert not line.strip().startswith("::")
        assert not re.search(r"##\w*\[", line)


@given(st.recursive(ANY, lambda inner: st.lists(inner) | st.dictionaries(ANY, inner), max_leaves=5))
@example("\u202e\ud800##[error]")
def test_json_says_the_same(value):
    shown = visible.json_text(json.dumps(value, ensure_ascii=False))
    assert json.loads(shown) == value
    assert set(acting(shown)) <= {"\n"}


def test_markdown_reads_as_it_is_written():
    said = visible.markdown("# <img src=x>\n[a](b) `c` *d* some_name | &lt; ~~e~~")
    assert said == r"\# \<img src=x\> \[a\](b) \`c\` \*d\* some_name \| \&lt; \~\~e\~\~"
    assert visible.markdown("- a") == r"\- a"
    assert visible.markdown("1. a") == r"1\. a"
    assert visible.code("a`b|c\x1b") == r"`` a`b\|c\x1b ``"


@given(st.binary(max_size=40), st.integers(1, 5))
@example(b"\xe2\x80\xae\x9b", 1)
def test_a_stream_cut_anywhere_is_the_whole(data, size):
    whole, parts = visible.stream(), visible.stream()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    told = b"".join([*(parts(piece, False) for piece in pieces), parts(b"", True)])
    # A colon that begins a piece may begin a line.
    assert told.replace(rb"\x3a", b":") == whole(data, True).replace(rb"\x3a", b":")
    assert set(acting(told.decode())) <= {"\n", "\r", "\t"}


@given(ANY)
@example("$(touch PWNED)`touch PWNED`'\"\\\x1b\n::error::x")
@example("-n")
def test_bash_reads_a_word_back(text):
    text = text.replace("\x00", "").encode("utf-8", "ignore").decode()
    word = visible.word(text)
    assert set(acting(word)) <= {"\n", "\t"}
    done = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True)
    assert done.stdout.decode() == text
