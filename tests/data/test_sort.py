import json
import types

import pytest

from runner.base.errors import ToolError
from runner.data.sort import main, padded, padding, sort


def texts(*sizes, **more):
    return [{"text": "x" * size, **more} for size in sizes]


def sizes(rows):
    return [len(row["text"]) for row in rows]


@pytest.fixture
def ordered(rows_in, rows_of, tmp_path):
    """Sort rows; return them, and the record."""

    def ordered(rows, **options):
        record = sort(rows_in("in", rows), tmp_path / "out", **options)
        return rows_of(tmp_path / "out"), record

    return ordered


def batches(rows, size):
    """Return the batches mlx-lm makes: by number of keys, then as they stand (T64)."""
    rows = sorted(rows, key=len)
    return [rows[at : at + size] for at in range(0, len(rows) - size + 1, size)]


def test_batches_hold_rows_of_similar_length(ordered):
    lengths = [1 + 37 * i % 64 for i in range(64)]
    rows, record = ordered(texts(*lengths), batch_size=8)
    assert sorted(sizes(rows)) == sorted(lengths)
    assert all(max(sizes(batch)) - min(sizes(batch)) == 7 for batch in batches(rows, 8))
    assert record["padding_after"] < 0.12
    assert record["padding_before"] > 0.4


def test_the_padding_that_is_recorded_is_that_of_mlx_lms_batches(ordered):
    given = texts(5, 1, 4, 2, 8, 8, 3)
    rows, record = ordered(given, batch_size=2)
    for name, made in (("before", batches(given, 2)), ("after", batches(rows, 2))):
        content = sum(sum(sizes(batch)) for batch in made)
        computed = sum(2 * max(sizes(batch)) for batch in made)
        assert record[f"padding_{name}"] == pytest.approx(1 - content / computed)


def test_the_rows_of_no_batch_are_drawn_and_not_the_longest(ordered):
    lengths = list(range(1, 32))
    left = set()
    for seed in range(5):
        rows, record = ordered(texts(*lengths), batch_size=4, seed=seed)
        assert record["unreached_rows"] == 3
        left |= set(sizes(rows[-3:]))
        assert sizes(rows[:-3]) == sorted(sizes(rows[:-3]))
    assert len(left) > 6


def test_rows_with_more_keys_come_later_as_mlx_lm_puts_them(ordered):
    rows = [*texts(9, 1, 5, 3, more=1), *texts(2, 8, 4, 6)]
    found, record = ordered(rows, batch_size=4)
    assert found == sorted(found, key=len)
    assert sizes(found) == [2, 4, 6, 8, 9, 5, 3, 1]
    assert record["unreached_rows"] == 0


def test_the_last_rows_are_drawn_from_several_groups_of_keys_where_one_is_too_small(ordered):
    rows = [*texts(*range(1, 10)), *texts(99, more=1)]
    found, record = ordered(rows, batch_size=4)
    assert record["unreached_rows"] == 2
    assert sizes(found)[-1] == 99
    assert sizes(found[:8]) == sorted(sizes(found[:8]))


def test_rows_of_one_length_are_mixed_by_the_seed(rows_in, rows_of, tmp_path):
    folder = rows_in("in", [{"text": f"{i:02}"} for i in range(40)])
    made = []
    for name, seed in (("a", 1), ("again", 1), ("other", 2)):
        sort(folder, tmp_path / name, seed=seed)
        made.append(rows_of(tmp_path / name))
    assert made[0] == made[1] != made[2]
    assert made[0] != rows_of(folder)


@pytest.mark.parametrize("tokens, size", [(1, 33), (32, 33), (33, 65), (500, 100)])
def test_a_batch_is_padded_as_mlx_lm_pads_it(tokens, size):
    assert padded(100)(tokens) == size


def test_what_fills_no_batch_is_not_computed():
    assert padding([9, 1], range(2), 4, int) == 0.0
    assert padding([9, 1, 5], range(3), 2, int) == 1 - 10 / 18


def test_one_row_is_sorted_and_none_is_refused(ordered):
    rows, record = ordered(texts(3), batch_size=1)
    assert (sizes(rows), record["padding_after"]) == ([3], 0.0)
    with pytest.raises(ToolError, match=r"in/train\.jsonl has no rows$"):
        ordered([])


def test_the_other_splits_are_kept_as_they_are(rows_in, tmp_path):
    folder = rows_in("in", texts(1, 2))
    (folder / "test.jsonl").write_bytes(b"\xff as it is")
    sort(folder, tmp_path / "out")
    assert (tmp_path / "out/test.jsonl").read_bytes() == b"\xff as it is"


def test_the_other_splits_are_sorted_where_that_is_asked_for(rows_in, rows_of, tmp_path):
    folder = rows_in("in", texts(1, 2))
    rows_in("in", texts(9, 1, 5, 3), "valid")
    record = sort(folder, tmp_path / "out", batch_size=2, all_splits=True)
    assert sizes(rows_of(tmp_path / "out", "valid")) == [1, 3, 5, 9]
    assert record["splits"] == ["train", "valid"]
    assert record["rows"] == 2


def test_the_sorted_rows_are_the_rows(ordered):
    given = [{"messages": [{"role": "user", "content": "x" * i}], "id": i} for i in range(1, 30)]
    rows, _ = ordered(given)
    assert sorted(rows, key=lambda row: row["id"]) == given


def test_a_model_without_a_tokenizer_is_refused(rows_in, tmp_path):
    (tmp_path / "model").mkdir()
    with pytest.raises(ToolError, match=r"^cannot load a tokenizer from "):
        sort(rows_in("in", texts(1)), tmp_path / "out", model=str(tmp_path / "model"))


def test_the_command_says_what_it_did(rows_in, tmp_path, capsys):
    folder, out = rows_in("in", texts(8, 1, 7, 2, 5)), tmp_path / "out"
    main(["--data", str(folder), "--out", str(out), "--batch-size", "2"])
    output, error = capsys.readouterr()
    assert error == ""
    assert output.startswith(f"{out}: 5 rows by characters; padding in batches of 2: ")
    assert output.endswith("% before, 10% now; 1 row fills no batch\n")
    assert json.loads((out / "sort.json").read_text())["unit"] == "characters"


@pytest.mark.slow
def test_mlx_lms_own_batches_are_what_the_record_says(rows_in, tmp_path):
    pytest.importorskip("mlx_lm")
    from mlx_lm.tokenizer_utils import load
    from mlx_lm.tuner.datasets import CacheDataset, load_local_dataset
    from mlx_lm.tuner.trainer import iterate_batches

    from runner.tools.tiny_model import build

    build(tmp_path / "tiny")
    folder = rows_in("in", [{"text": "word " * (1 + 37 * i % 60)} for i in range(50)])
    options = {"model": str(tmp_path / "tiny"), "batch_size": 4, "max_seq_length": 96}
    record = sort(folder, tmp_path / "out", **options)
    assert record["unit"] == "tokens"
    for name, place in (("before", folder), ("after", tmp_path / "out")):
        tokenizer = load(tmp_path / "tiny")
        train, _, _ = load_local_dataset(place, tokenizer, types.SimpleNamespace())
        content = computed = 0
        for batch, lengths in iterate_batches(CacheDataset(train), 4, 96):
            content += int(lengths[:, 1].sum())
            computed += batch.size
        assert record[f"padding_{name}"] == pytest.approx(1 - content / computed)
    assert record["padding_after"] < 0.25
    assert record["padding_before"] > 0.35


ENDLESS = {
    "time": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "memory": "{{ 'a' * 10 ** 9 }}",
}


@pytest.mark.slow
@pytest.mark.parametrize("why", ENDLESS)
def test_a_template_without_an_end_is_refused_at_its_row(rows_in, tmp_path, why):
    pytest.importorskip("transformers")
    from runner.tools.tiny_model import write_tokenizer

    (tmp_path / "model").mkdir()
    write_tokenizer(tmp_path / "model")
    file = tmp_path / "model" / "tokenizer_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    ill = f"{{% if messages[0].content == 'ill' %}}{ENDLESS[why]}{{% endif %}}well"
    file.write_text(json.dumps({**config, "chat_template": ill}), encoding="utf-8")
    (tmp_path / "model" / "chat_template.jinja").unlink(missing_ok=True)
    chats = [[{"role": "user", "content": word}] for word in ("well", "well", "ill", "well")]
    rows = [{"messages": [*chat, {"role": "assistant", "content": "x"}]} for chat in chats]
    with pytest.raises(ToolError, match=r"train\.jsonl:3:1: .*cannot be tokenized") as found:
        sort(rows_in("in", rows), tmp_path / "out", model=str(tmp_path / "model"))
    assert "remove model" in str(found.value)
