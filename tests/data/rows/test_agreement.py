"""The check and the installed mlx-lm agree on formats, tokens, and what they refuse."""

import json
import types

import pytest

from runner.data.read import check
from runner.data.rows import Features, RowError, RowUse, formats_of, parse, require_format, tokens
from runner.data.rows import Row as Known
from runner.data.tokenizer import load_tokenizer

pytestmark = pytest.mark.slow

MESSAGES = [{"role": "user", "content": "Is this safe?"}, {"role": "assistant", "content": "No."}]
ROWS = [
    {"messages": MESSAGES},
    {"messages": MESSAGES, "text": "a"},
    {"prompt": "a", "completion": "b"},
    {"prompt": "a", "completion": "b", "messages": MESSAGES},
    {"prompt": "a", "completion": "b", "text": "c"},
    {"prompt": "a", "text": "c"},
    {"text": "some text", "meta": 1},
    {"completion": "b"},
    {},
]
CLASSES = {"ChatDataset": "chat", "CompletionsDataset": "completions", "TextDataset": "text"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny model with a chat template."""
    pytest.importorskip("mlx_lm")
    from runner.tools.tiny_model import build

    path = tmp_path_factory.mktemp("model") / "tiny"
    build(path)
    return path


@pytest.fixture(scope="module")
def theirs(model):
    """The tokenizer as mlx-lm loads it."""
    from mlx_lm.tokenizer_utils import load

    return load(model)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "+".join(row) or "none")
def test_mlx_lm_chooses_the_same_format(theirs, row):
    from mlx_lm.tuner.datasets import create_dataset

    ours = formats_of(row, Features())
    try:
        chosen = create_dataset([row], theirs, types.SimpleNamespace())
    except ValueError:
        assert ours == []
    else:
        assert ours[0] == CLASSES[type(chosen).__name__]


def test_mlx_lm_chooses_the_same_format_under_other_names(theirs):
    from mlx_lm.tuner.datasets import create_dataset

    names = {"prompt": "q", "completion": "a", "chat": "turns", "text": "body"}
    config = types.SimpleNamespace(**{f"{name}_feature": key for name, key in names.items()})
    for row in ({"q": "1", "a": "2"}, {"turns": MESSAGES}, {"body": "x"}, {"q": "1", "body": "x"}):
        chosen = create_dataset([row], theirs, config)
        assert formats_of(row, Features(**names))[0] == CLASSES[type(chosen).__name__]


@pytest.mark.parametrize(
    "content",
    [
        b'{"text": "a"}\n\n',
        b"\n",
        b'{"text": "a"}\n{"text": "b"',
        b'\xef\xbb\xbf{"text": "a"}\n',
        b'{"text":\r"a"}\n',
        b'{"text": "\xff"}\n',
        b'{"text": "a"}\r\n{"text": "b"}\r\n',
        b'{"text": "a"}\n{"text": "b"}',
        b'{"text": "a", "n": NaN}\n',
        '{"text": "a\u2028b\x85c"}\n'.encode(),
        b' {"text": "a"} \n',
        b'{"text": "a"}{"text": "b"}\n',
        b'{"other": "a"}\n',
        b"",
    ],
)
def test_mlx_lm_reads_a_file_exactly_when_the_check_finds_no_error(theirs, tmp_path, content):
    from mlx_lm.tuner.datasets import load_dataset

    (tmp_path / "train.jsonl").write_bytes(content)
    args = types.SimpleNamespace(data=str(tmp_path), train=True, test=False)
    try:
        load_dataset(args, theirs)
        read = True
    except (ValueError, IndexError):
        read = False
    assert check(tmp_path).failed is not read


@pytest.mark.parametrize("mask_prompt", [False, True])
@pytest.mark.parametrize("row", [ROWS[0], ROWS[2], ROWS[6]], ids="+".join)
def test_the_tokens_are_those_mlx_lm_trains(theirs, model, row, mask_prompt):
    from mlx_lm.tuner.datasets import create_dataset

    kind = require_format(row, Features())[0]
    if kind == "text" and mask_prompt:
        pytest.skip("mlx-lm refuses it")
    config = types.SimpleNamespace(mask_prompt=mask_prompt)
    expected, offset = create_dataset([row], theirs, config).process(row)
    parts = {"text": ("text",), "completions": ("prompt", "completion")}
    known = Known(value=row, format=kind, parts=[row[key] for key in parts.get(kind, ())])
    whole, prompt = tokens(known, RowUse(mask_prompt=mask_prompt), load_tokenizer(model))
    assert list(whole) == list(expected)
    assert len(prompt or ()) == offset


def test_what_parse_refuses_mlx_lm_refuses():
    for line in (b"\n", b"[1", b'{"a": \x01}', b'{"a": "\n'):
        with pytest.raises(RowError):
            parse(line)
        with pytest.raises(json.JSONDecodeError):
            json.loads(line)


def test_a_tokenizer_counts_in_several_processes_what_it_counts_in_one(
    model, tmp_path, monkeypatch
):
    from runner.data import pieces

    rows = [{"messages": [*MESSAGES, {"role": "user", "content": str(n)}]} for n in range(50)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr(pieces, "PIECE", 500)
    monkeypatch.setattr(pieces.pieces, "__defaults__", (500, 32 << 20))
    tokenizer = load_tokenizer(model)
    one = check(tmp_path, tokenizer=tokenizer, max_seq_length=40)
    assert one.splits["train"].tokens.lengths.rows == 50
    assert check(tmp_path, tokenizer=tokenizer, max_seq_length=40, workers=2) == one


def test_a_folder_without_a_tokenizer_gives_none(tmp_path):
    assert load_tokenizer(tmp_path) is None
    assert load_tokenizer("mlx-community/some-hub-id") is None


@pytest.mark.parametrize("size", [3, 6, 20, 40])
@pytest.mark.parametrize("start", [0, 2, 6, 20, 40])
def test_the_loss_counts_the_tokens_and_the_padding_that_are_said(size, start):
    """T71, T74: a mask that leaves nothing is 0/0; a row that is not cut adds one of padding."""
    pytest.importorskip("mlx_lm")
    import mlx.core as mx
    from mlx_lm.tuner.trainer import default_loss, iterate_batches

    from runner.data.rows import targets

    rows = [([1] * size, start)]
    batch, lengths = next(iterate_batches(rows, batch_size=1, max_seq_length=20))
    logits = mx.zeros((1, batch.shape[1] - 1, 4))
    loss, counted = default_loss(lambda _: logits, batch, lengths)
    said = targets(size, start, RowUse(mask_prompt=True, max_seq_length=20))
    assert counted.item() == sum(said)
    assert mx.isnan(loss).item() is (sum(said) == 0)
