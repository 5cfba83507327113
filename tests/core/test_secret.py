"""Secrets: known by their names, masked in bytes that are cut anywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.secret import Mask, secret_name, values

SECRETS = ("abcabcabd", "hunter2hunter2", "abcabcab")
HUB = "hf_" + "A1b2" * 8


@pytest.mark.parametrize(
    "name",
    ["HF_TOKEN", "WANDB_API_KEY", "HUGGING_FACE_HUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "db_password"],
)
def test_a_name_that_says_so_is_a_secret(name):
    assert secret_name(name)


@pytest.mark.parametrize(
    "name", ["TOKENIZERS_PARALLELISM", "MAX_TOKENS", "PATH", "KEYBOARD", "HOME"]
)
def test_a_name_that_only_looks_alike_is_none(name):
    assert not secret_name(name)


def test_a_value_too_short_to_be_one_masks_nothing():
    assert values({"HF_TOKEN": "false", "WANDB_API_KEY": " 0123456789 ", "X": "y" * 20}) == {
        "0123456789"
    }


piece = st.one_of(
    st.sampled_from([one.encode() for one in (*SECRETS, HUB)]),
    st.sampled_from([b"abc", b"hf_", b"hunter2", b"\xff\x00", b"\n", b" "]),
    st.binary(max_size=4),
)


@given(st.lists(piece, max_size=8), st.lists(st.integers(0, 60), max_size=6))
def test_no_secret_comes_through_however_it_is_cut_and_all_else_does(pieces, cuts):
    data = b"".join(pieces)
    mask, told, at = Mask(SECRETS), b"", 0
    for cut in sorted(cuts):
        told += mask.feed(data[at:cut])
        at = max(at, cut)
    told += mask.feed(data[at:]) + mask.flush()
    whole = Mask(SECRETS)
    assert told == whole.feed(data) + whole.flush()
    assert not any(one.encode() in told for one in SECRETS)


def test_what_cannot_be_the_start_of_a_secret_is_said_at_once():
    mask = Mask(SECRETS)
    assert mask.feed(b"a megabyte: " + b"x" * 1_000_000) == b"a megabyte: " + b"x" * 1_000_000
    assert mask.feed(b"pass hunter2") == b"pass "
    assert mask.feed(b"hunter2 word") == b"*** word"


def test_a_token_of_the_hub_is_masked_though_no_variable_holds_it():
    assert Mask(()).text(f"login with {HUB}.") == "login with ***."
    assert (
        Mask(()).text("shelf_of_books_and_other_long_names")
        == "shelf_of_books_and_other_long_names"
    )
