import json
from collections import Counter
from itertools import pairwise

import pytest

from runner.base.errors import ToolError
from runner.data.weight import main, weight

ROWS = [
    *({"text": f"high {i}", "quality": "high"} for i in range(10)),
    *({"text": f"low {i}", "quality": "low"} for i in range(5)),
    {"text": "none"},
]


@pytest.fixture
def weighed(rows_in, rows_of, tmp_path):
    """Repeat rows; return how often each text came out, and the record."""

    def weighed(rows, **options):
        options = {"field": "quality", "repeat": {"high": 2.5}, **options}
        record = weight(rows_in("in", rows), tmp_path / "out", **options)
        return Counter(row["text"] for row in rows_of(tmp_path / "out")), record

    return weighed


def refused(weighed, rows=ROWS, **options) -> str:
    with pytest.raises(ToolError) as caught:
        weighed(rows, **options)
    return str(caught.value)


def test_a_fraction_repeats_that_share_of_the_rows_once_more(weighed):
    found, record = weighed(ROWS)
    assert Counter(found[f"high {i}"] for i in range(10)) == {2: 5, 3: 5}
    assert all(found[text] == 1 for text in (*(f"low {i}" for i in range(5)), "none"))
    assert record["rows_before"] == 16
    assert record["rows"] == 31
    assert record["classes"]["high"] == {"before": 10, "after": 25}


def test_factors_below_1_leave_rows_out(weighed):
    found, record = weighed(ROWS, repeat={"high": 1, "low": 0.4}, otherwise=0)
    assert sum(found[f"low {i}"] for i in range(5)) == 2
    assert "none" not in found
    assert record["rows"] == 12


def test_augmented_rows_are_written_once_whatever_they_are(weighed):
    rows = [*ROWS[:10], *({**row, "source": "paraphrase"} for row in ROWS[10:15])]
    rows = [*rows, {"text": "made", "quality": "high", "source": "noise"}]
    marks = {"source": ["paraphrase", "noise"]}
    found, record = weighed(rows, repeat={"high": 3}, otherwise=0, augmented=marks)
    assert found["made"] == 1
    assert all(found[f"high {i}"] == 3 for i in range(10))
    assert record["classes"]["(augmented)"] == {"before": 6, "after": 6}


def test_a_mark_is_one_value_and_true_is_not_1(weighed):
    rows = [{"text": "a", "quality": 5, "made": True}, {"text": "b", "quality": 5, "made": 1}]
    found, _ = weighed(rows, repeat={"5": 2}, augmented={"made": True})
    assert found == {"a": 1, "b": 2}


def test_a_field_inside_an_object_is_named_with_a_dot(weighed):
    rows = [{"text": "a", "meta": {"q": "x"}}, {"text": "b", "meta": {"q": "y"}, "meta.q": "x"}]
    found, _ = weighed(rows, field="meta.q", repeat={"x": 2})
    assert found == {"a": 2, "b": 2}


def test_a_seed_decides_the_rows_of_a_fraction_and_their_order(rows_in, rows_of, tmp_path):
    folder, made = rows_in("in", ROWS), []
    for name, seed in (("a", 1), ("again", 1), ("other", 2)):
        weight(folder, tmp_path / name, field="quality", repeat={"high": 2.5}, seed=seed)
        made.append(rows_of(tmp_path / name))
    assert made[0] == made[1] != made[2]


def test_equal_rows_are_spread(weighed, rows_of, tmp_path):
    weighed([{"text": f"row {i}", "quality": "high"} for i in range(50)], repeat={"high": 2})
    rows = [row["text"] for row in rows_of(tmp_path / "out")]
    assert sum(one == other for one, other in pairwise(rows)) < 10


def test_valid_and_test_are_kept_as_they_are(rows_in, tmp_path):
    folder = rows_in("in", ROWS)
    (folder / "valid.jsonl").write_bytes(b"\xff as it is")
    weight(folder, tmp_path / "out", field="quality", repeat={"low": 2})
    assert (tmp_path / "out/valid.jsonl").read_bytes() == b"\xff as it is"
    assert not (tmp_path / "out/test.jsonl").exists()


def test_one_row_is_repeated(weighed):
    found, _ = weighed([{"text": "a", "quality": "high"}], repeat={"high": 1.4})
    assert found == {"a": 1}
    found, _ = weighed([{"text": "a", "quality": "high"}], repeat={"high": 1.5})
    assert found == {"a": 2}


# --- refusals


def test_a_value_that_no_row_has_is_refused(weighed):
    assert refused(weighed, repeat={"hihg": 2, "low": 1}) == (
        "no row has 'hihg' as 'quality'. did you mean 'high'? "
        "Other values there are: high (10), (none) (1)"
    )


def test_a_mark_that_no_row_has_is_refused(weighed):
    assert refused(weighed, augmented={"source": "noise"}) == (
        "no row is augmented: none has 'source' \"noise\""
    )


@pytest.mark.parametrize("factor", [-1, float("inf"), float("nan"), "2", True, None])
def test_a_factor_that_is_none_is_refused(weighed, factor):
    said = refused(weighed, repeat={"high": factor})
    assert said == f"'high' is repeated {factor!r} times; use a number of at least 0"


def test_no_rows_have_no_value(weighed):
    assert refused(weighed, rows=[]) == "no row has 'high' as 'quality'."


def test_nothing_left_is_refused(weighed):
    assert refused(weighed, rows=ROWS[:3], repeat={"high": 0.1}).startswith("none of 3")


# --- the command


def test_the_command_says_what_it_did(rows_in, tmp_path, capsys):
    folder, out = rows_in("in", ROWS), tmp_path / "out"
    words = ["--data", str(folder), "--out", str(out), "--field", "quality"]
    main([*words, "--repeat", '{"high": 2.5}'])
    assert capsys.readouterr() == (f"{out}: 31 rows of 16: high 10 -> 25, (other) 6 -> 6\n", "")
    assert json.loads((out / "weight.json").read_text())["repeat"] == {"high": 2.5}


def test_a_mapping_that_is_none_is_bad_usage(capsys):
    for word in ("[1]", "high: 2"):
        with pytest.raises(SystemExit) as caught:
            main(["--data", "d", "--out", "o", "--field", "q", "--repeat", word])
        assert caught.value.code == 2
    assert "usage: run-recipe data weight" in capsys.readouterr().err
