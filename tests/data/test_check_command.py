"""run-recipe data check: what it prints and how it ends."""

import json

import pytest

from runner.base.errors import RecipeError
from runner.data.check import main

GOOD = '{"text": "a"}\n{"text": "b"}\n'


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder `data` beside the working directory's files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()

    def data(train=GOOD, valid='{"text": "c"}\n'):
        (tmp_path / "data/train.jsonl").write_text(train)
        (tmp_path / "data/valid.jsonl").write_text(valid)
        return "data"

    return data


def test_sound_rows_print_a_table_and_end_well(data, capsys):
    assert main([data()]) == 0
    assert capsys.readouterr().out == (
        "split  format  rows  size              min  median  90 %  99 %  max\n"
        "train  text       2  28 B  characters    1       1     1     1    1\n"
        "valid  text       1  14 B  characters    1       1     1     1    1\n"
    )


def test_problems_are_printed_with_place_rule_and_hint(data, capsys):
    assert main([data(GOOD + "\n" + '{"text": ""}\n')]) == 2
    assert capsys.readouterr().out.startswith(
        "data/train.jsonl:3:1: the row is blank; mlx-lm cannot read past a blank line: remove it "
        "[row-blank]\n"
        "data/train.jsonl:4:10: the row has an empty text; mlx-lm fails with an IndexError when a "
        "batch draws it [row-empty-text]\n"
        "    hint: remove the row\n"
        "\nsplit  format"
    )


def test_warnings_alone_end_well(data, capsys):
    assert main([data(GOOD + '{"text": "a"}\n')]) == 0
    assert "data/train.jsonl:3:1: warning: the row is the same as line 1 [row-repeated]" in (
        capsys.readouterr().out
    )


def test_json_holds_the_problems_and_the_statistics(data, capsys):
    assert main([data(GOOD + "[]\n"), "--format", "json", "--batch-size", "2"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert [p["rule"] for p in found["problems"]] == ["row-not-object", "split-smaller-than-batch"]
    assert found["splits"]["train"]["characters"]["maximum"] == 1


def test_nothing_of_the_progress_is_printed_where_no_one_looks(data, capsys):
    main([data()])
    assert capsys.readouterr().err == ""


def test_a_model_without_a_tokenizer_is_refused(data, tmp_path):
    with pytest.raises(RecipeError, match="cannot load a tokenizer from nowhere"):
        main([data(), "--model", "nowhere"])


def test_a_required_split_is_an_error(data, capsys):
    assert main([data(), "--require", "test"]) == 2
    assert "data/test.jsonl:1:1: there is no test.jsonl [split-missing]" in capsys.readouterr().out
