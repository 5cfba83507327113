import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.base.errors import ToolError
from runner.data.dice import Dice
from runner.data.split import Groups, count, deal, main, split

SPLITS = ("train", "valid", "test")


def texts(number, **more):
    return [{"text": f"row {i}", **more} for i in range(number)]


def refused(*args, **options) -> str:
    with pytest.raises(ToolError) as caught:
        split(*args, **options)
    return str(caught.value)


@pytest.fixture
def dealt(rows_in, rows_of, tmp_path):
    """Split rows; return the rows of each split, and the record."""

    def dealt(rows, **options):
        record = split(rows_in("in", rows), tmp_path / "out", **options)
        made = [name for name in SPLITS if (tmp_path / f"out/{name}.jsonl").exists()]
        return {name: rows_of(tmp_path / "out", name) for name in made}, record

    return dealt


def test_shares_and_counts_are_met_and_every_row_goes_somewhere(dealt):
    rows = texts(100)
    found, record = dealt(rows, valid=0.1, test=7)
    assert {name: len(part) for name, part in found.items()} == {
        "train": 83,
        "valid": 10,
        "test": 7,
    }
    everything = [row["text"] for part in found.values() for row in part]
    assert sorted(everything) == sorted(row["text"] for row in rows)
    assert record["rows"] == record["groups"] == 100


def test_rows_stay_in_the_order_of_the_file(dealt):
    found, _ = dealt(texts(50), valid=0.3)
    numbers = [int(row["text"].split()[1]) for row in found["valid"]]
    assert numbers == sorted(numbers)
    assert numbers != list(range(numbers[0], numbers[0] + len(numbers)))


def test_a_split_that_nobody_asks_for_has_no_file(dealt):
    found, record = dealt(texts(10), valid=2)
    assert set(found) == {"train", "valid"}
    assert record["test_rows"] == 0


def test_rows_of_one_value_stay_together(dealt):
    rows = [{"text": f"row {i}", "meta": {"topic": i % 10}} for i in range(100)]
    found, record = dealt(rows, valid=0.2, test=0.1, group_by="meta.topic")
    topics = {name: {row["meta"]["topic"] for row in part} for name, part in found.items()}
    assert sum(map(len, topics.values())) == 10
    assert {name: len(part) for name, part in found.items()} == {
        "train": 70,
        "valid": 20,
        "test": 10,
    }
    assert (record["groups"], record["largest_group"]) == (10, 10)


def test_rows_that_train_the_same_stay_together_without_a_field(dealt):
    # The same to MLX, in other bytes: it reads neither the identifier nor the order of keys.
    rows = [{"id": i, "text": f"row {i // 4}"} for i in range(40)]
    found, record = dealt(rows, valid=0.25)
    seen = {name: {row["text"] for row in part} for name, part in found.items()}
    assert not seen["train"] & seen["valid"]
    assert len(found["valid"]) == 8  # two groups of four fit into ten
    assert record["valid_wanted"] == 10


def test_a_row_can_tie_two_groups_together(dealt):
    rows = [
        {"text": "same", "topic": "a"},
        {"text": "same", "topic": "b"},
        {"text": "other", "topic": "b"},
        *texts(20, topic="c"),
    ]
    found, record = dealt(rows, valid=3, group_by="topic")
    assert record["groups"] == 2
    assert [row["text"] for row in found["valid"]] == ["same", "same", "other"]


def test_a_seed_decides_and_nothing_else_does(dealt):
    one, same, other = (dealt(texts(60), valid=0.5, seed=seed)[0]["valid"] for seed in (1, 1, 2))
    assert one == same != other


def test_the_rows_of_a_seed_are_the_same_on_every_python(dealt):
    found, _ = dealt(texts(12), valid=3, seed=5)
    assert [row["text"] for row in found["valid"]] == ["row 1", "row 4", "row 9"]


def test_a_file_of_rows_can_be_split(rows_in, tmp_path):
    file = rows_in("in", texts(4)) / "train.jsonl"
    file.rename(file.with_name("all.jsonl"))
    record = split(file.with_name("all.jsonl"), tmp_path / "out", valid=1)
    assert (record["train_rows"], record["valid_rows"]) == (3, 1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=30),
    valid=st.integers(0, 40),
    test=st.integers(0, 40),
    seed=st.integers(0, 2**32),
)
def test_no_group_is_ever_cut(sizes, valid, test, seed):
    groups, start = Groups(sum(sizes)), 0
    for size in sizes:
        for row in range(start + 1, start + size):
            groups.join(start, row)
        start += size
    place, found = deal(groups, {"valid": valid, "test": test}, Dice(seed))
    assert sum(found.values()) == len(place) == sum(sizes)
    assert found["valid"] <= valid
    assert found["test"] <= test
    start = 0
    for size in sizes:
        assert len(set(place[start : start + size])) == 1
        start += size
    assert [list(place).count(at) for at in range(3)] == [found[name] for name in SPLITS]


@pytest.mark.parametrize("amount, rows", [(0, 0), (0.5, 5), (0.25, 3), (0.05, 1), (1, 1), (9, 9)])
def test_below_1_is_a_share_and_from_1_a_count(amount, rows):
    assert count(10, "valid", amount) == rows


@pytest.mark.parametrize("amount", [-0.1, 1.5, float("nan"), float("inf")])
def test_what_is_neither_is_refused(amount):
    with pytest.raises(ToolError, match="it must be a share below 1, or a whole number of rows"):
        count(10, "valid", amount)


# --- refusals


def test_nothing_cannot_be_split(rows_in, tmp_path):
    assert refused(rows_in("in", []), tmp_path / "out") == (
        f"{tmp_path}/in/train.jsonl has no rows to split"
    )


def test_one_row_is_told_what_to_say(rows_in, tmp_path):
    assert refused(rows_in("in", texts(1)), tmp_path / "out") == (
        "a share of 0.1 of 1 row gives no valid rows. Set valid to 1 for one row, or to 0 for none"
    )
    assert refused(rows_in("in", texts(1)), tmp_path / "out", valid=1) == (
        "of 1 row, 1 valid would leave none to train on"
    )
    assert split(rows_in("in", texts(1)), tmp_path / "out", valid=0)["train_rows"] == 1


def test_groups_that_do_not_fit_are_refused_with_their_sizes(rows_in, tmp_path):
    said = refused(rows_in("in", texts(10, topic=1)), tmp_path / "out", group_by="topic")
    assert said.startswith("10 rows that all stay together leave none for valid (1 requested)")


def test_a_folder_with_other_splits_is_refused(rows_in, tmp_path):
    folder = rows_in("in", texts(2))
    rows_in("in", texts(2), "valid")
    assert refused(folder, tmp_path / "out").startswith(f"{folder} already has a valid.jsonl.")


def test_a_row_without_the_field_is_named(rows_in, tmp_path):
    folder = rows_in("in", [{"text": "a", "topic": 1}, {"text": "b"}])
    said = refused(folder, tmp_path / "out", group_by="topic", valid=1)
    assert said.startswith(f"{folder}/train.jsonl:2:1: the row has no 'topic' [row-without-field]")


def test_a_row_that_cannot_be_trained_on_is_named_with_its_column(rows_in, tmp_path):
    folder = rows_in("in", [{"text": "a"}, {"id": 1, "text": 7}])
    said = refused(folder, tmp_path / "out", valid=1)
    assert said.startswith(f"{folder}/train.jsonl:2:19: the row has a number as text")


def test_nothing_is_written_by_a_refusal(rows_in, tmp_path):
    refused(rows_in("in", texts(1)), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


# --- the command


def test_the_command_says_what_it_did(rows_in, tmp_path, capsys):
    folder = rows_in("in", [*texts(18), *texts(2)])
    main(["--data", str(folder), "--out", str(tmp_path / "out"), "--valid", "3", "--test", "0.1"])
    output, error = capsys.readouterr()
    assert error == ""
    assert output == f"{tmp_path}/out: 15 train, 3 valid, 2 test, of 20 rows in 18 groups\n"
    record = json.loads((tmp_path / "out/split.json").read_text())
    assert record["tool"] == "data.split"
    assert record["valid_rows"] == 3


def test_the_command_says_what_it_could_not_reach(rows_in, tmp_path, capsys):
    folder = rows_in("in", [{"text": f"row {i // 4}"} for i in range(40)])
    main(["--data", str(folder), "--out", str(tmp_path / "out")])
    assert "36 train, 4 valid, of 40 rows" in capsys.readouterr().out
    main(["--data", str(folder), "--out", str(tmp_path / "out"), "--valid", "6"])
    assert "36 train, 4 valid of 6 wanted, of 40 rows" in capsys.readouterr().out


def test_the_command_is_called_what_a_user_types(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert capsys.readouterr().out.startswith("usage: run-recipe data split [-h] --data PATH")
