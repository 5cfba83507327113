"""Secrets: known by their names, masked in bytes that are cut anywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.base.secrets import Mask, looks_like_one, secret_name, values

SECRETS = ("abcabcabd", "hunter2hunter2", "abcabcab")
HUB = "hf_" + "A1b2" * 8


@pytest.mark.parametrize(
    "name",
    [
        "HF_TOKEN",
        "WANDB_API_KEY",
        "HUGGING_FACE_HUB_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "db_password",
        "PGPASSWORD",
        "MYSQL_PWD",
        "GITHUB_PAT",
        "OPENAI_KEY",
        "DB_PASS",
        "SSHPASS",
        "JWT",
        "PASSPHRASE",
        "GPG_PASSPHRASE",
        "REDISCLI_AUTH",
        "NPM_CONFIG__AUTH",
        "GHTOKEN",
        "TOKEN",
        "SECRET",
        "dbPassword",
        "apiKey",
        "openaiKey",
        "TOKEN_GITHUB",
        "STRIPE_KEY2",
        "DJANGO_SECRET_KEY",
        "SLACK_WEBHOOK_URL",
        "SESSION_COOKIE",
        "MONGO_PWD",
        "GOOGLE_CREDENTIALS",
    ],
)
def test_a_name_that_says_so_is_a_secret(name):
    assert secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "TOKENIZERS_PARALLELISM",
        "MAX_TOKENS",
        "PATH",
        "KEYBOARD",
        "HOME",
        "PWD",
        "OLDPWD",
        "EOS_TOKEN",
        "PAD_TOKEN",
        "PROMPT_KEY",
        "SSH_AUTH_SOCK",
        "HF_TOKEN_PATH",
        "KEY",
        "BYPASS",
        "GIT_AUTHOR_NAME",
        "XDG_SESSION_ID",
        "PUBLIC_KEY",
        "COMPASS",
        "TOKENIZER",
        "PATTERN",
        "MODEL",
        "DATA",
        "SEED",
        "OUT_ROOT",
        "AWS_REGION",
        "DB_PASSWORD_FILE",
    ],
)
def test_a_name_that_only_looks_alike_is_none(name):
    assert not secret_name(name)


def test_a_value_too_short_to_be_one_masks_nothing():
    assert values({"HF_TOKEN": "false", "WANDB_API_KEY": " 0123456789 ", "X": "y" * 20}) == {
        "0123456789"
    }


FORMED = [
    "hf_" + "aB3" * 11,
    "sk-" + "a1B2" * 12,
    "sk-proj-" + "a1B2" * 12 + "-x_y",
    "sk-ant-api03-" + "a1B2" * 20,
    "sk_live_" + "a1B2" * 6,
    "ghp_" + "aB3" * 12,
    "github_pat_" + "aB3_" * 12,
    "glpat-" + "aB3-" * 5,
    "xoxb-1234-5678-" + "aB3" * 8,
    "AKIA" + "IOSFODNN7EXAMPLE",
    "AIza" + "SyA-1234567890abcdefghijklmnopqrstu",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    "npm_" + "aB3" * 12,
    "gsk_" + "aB3" * 17,
    "-----BEGIN RSA PRIVATE KEY-----\nMIIB\nabc+/=\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl",
]
# Of these the part before the colon and the place may be said.
PLACED = [
    "postgres://me:hunter2@db.example.org/x",
    "https://:hunter2@example.org",
    "redis://default:hunter2@h:6379/0",
    "mongodb+srv://u:hunter2@h",
]
NONE = [
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
    "mlx-community/OLMo-2-0425-1B-Instruct-4bit",
    "models--mlx-community--Llama-3.2-1B/snapshots/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
    "task-9f86d081884c7d659a2feaa0c55ad015",
    "runs/sk-learn/20261130T180000Z-ab12",
    "https://huggingface.co/org/name/resolve/main/x.bin",
    "http://localhost:8080/path@x",
    "git@github.com:org/name.git",
    "hf_transformers_and_other_long_names_of_modules",
    "sha256:" + "0123456789abcdef" * 4,
    "ssh://git@example.org:22/x",
    "-----BEGIN CERTIFICATE-----",
    "/Users/me/Library/Caches/run-recipe/answers",
    "https://user:{{ vars.word }}@example.org",
    "https://user:$WORD@example.org",
]


@pytest.mark.parametrize("said", FORMED)
def test_what_has_the_form_of_a_secret_is_one(said):
    mask = Mask(())
    assert mask.finds(f"x={said} y")
    assert mask.text(f"x={said}|y") == "x=***|y"
    assert looks_like_one(f"a {said} b".encode()) == said[:6]
    assert mask.text(mask.text(said)) == "***"


@pytest.mark.parametrize("said", PLACED)
def test_of_an_address_the_password_is_masked(said):
    mask = Mask(())
    assert mask.finds(said)
    assert mask.text(said) == said.replace("hunter2", "***")
    assert not mask.finds(mask.text(said))


@pytest.mark.parametrize("said", [*FORMED, *PLACED, *SECRETS])
def test_a_secret_cut_anywhere_is_masked(said):
    data = f"a {said} b".encode()
    whole = Mask(SECRETS)
    told = whole.feed(data) + whole.flush()
    assert b"***" in told
    for cut in range(len(data)):
        mask = Mask(SECRETS)
        assert mask.feed(data[:cut]) + mask.feed(data[cut:]) + mask.flush() == told, cut


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("export DB_PASS=hunter22 && x", "export DB_PASS=*** && x"),
        ('PGPASSWORD="hunter22" psql', 'PGPASSWORD="***" psql'),
        ("DB_PASS=$OTHER x", "DB_PASS=$OTHER x"),
        ("EOS_TOKEN=abcdefgh SEED=12345", "EOS_TOKEN=abcdefgh SEED=12345"),
    ],
)
def test_what_sets_a_variable_of_a_secret_is_masked_and_no_reason_to_refuse(said, shown):
    assert Mask(()).text(said) == shown
    assert not Mask(()).finds(said)


@pytest.mark.parametrize("said", NONE)
def test_what_is_no_secret_is_left_alone(said):
    assert not Mask(()).finds(said)
    assert Mask(()).text(said) == said


piece = st.one_of(
    st.sampled_from([one.encode() for one in (*FORMED, *PLACED, *NONE)]),
    st.sampled_from([one.encode() for one in (*SECRETS, HUB)]),
    st.sampled_from([b"abc", b"hf_", b"hunter2", b"\xff\x00", b"\n", b" "]),
    st.binary(max_size=4),
)


@pytest.mark.slow
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
