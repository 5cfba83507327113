"""Where each value comes from: who won, who lost, and what it was made of."""

import json
import sys

import pytest
from click.testing import CliRunner

from runner import cli
from runner.verbs.show import command

BASE = """\
version: 1
vars:
  rate: 1.0e-5
  shape: {rank: 4, scale: 2.0}
defaults:
  mlx_lm.lora:
    model: m
    learning_rate: "{{ vars.rate }}"
    lora_parameters: "{{ vars.shape }}"
    seed: "{{ env('SEED', 7) }}"
"""
TOP = """\
version: 1
extends: base/shared.yaml
vars:
  second: "{{ vars.rate * 0.2 }}"
stages:
  first:
    tool: mlx_lm.lora
    params: {train: true, data: d, iters: 100}
    timeout: 2h
  second:
    extends: first
    params: {learning_rate: "{{ vars.second }}", iters: 50}
    retry: {attempts: 2}
    expect:
      - metrics.train_loss < 2
"""


@pytest.fixture
def show(tmp_path, monkeypatch, capsys):
    """Call ``run-recipe show top.yaml`` and return what it prints."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "shared.yaml").write_text(BASE, encoding="utf-8")
    (tmp_path / "top.yaml").write_text(TOP, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["run-recipe", "show", "top.yaml", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        assert not end.value.code, said.err
        return said.out

    return call


def test_a_value_names_its_winner_its_losers_and_the_vars_behind_it(show):
    assert show("second.learning_rate", "--set", "vars.rate=5e-6") == (
        "second: mlx_lm.lora\n"
        "  learning_rate = 1e-06  <- top.yaml:12 {{ vars.second }}"
        " over base/shared.yaml:8 {{ vars.rate }} over mlx_lm.lora default 1e-05\n"
        "      vars.second = 1e-06  <- top.yaml:4 {{ vars.rate * 0.2 }}\n"
        "      vars.rate = 5e-06  <- --set vars.rate=5e-6 over base/shared.yaml:3 1e-05\n"
    )


def test_a_value_inside_a_templates_mapping_has_the_templates_place(show):
    out = show("first.lora_parameters")
    assert "lora_parameters.rank = 4  <- base/shared.yaml:9 {{ vars.shape }}" in out
    # What the mapping leaves out is the tool's own.
    assert "lora_parameters.dropout = 0.0  <- mlx_lm.lora default\n" in out


def test_a_variable_of_the_environment_is_named(show, monkeypatch):
    assert "      env SEED = null  <- not set\n" in show("first.seed")
    monkeypatch.setenv("SEED", "3")
    assert "seed = 3  <- base/shared.yaml:10 {{ env('SEED', 7) }}" in show("first.seed")
    assert '      env SEED = "3"  <- the environment\n' in show("first.seed")


def test_a_stages_own_keys_are_shown_with_what_it_inherits(show):
    out = show("second")
    assert '  timeout = "2h"  <- top.yaml:9\n' in out
    assert "  retry.attempts = 2  <- top.yaml:13\n" in out
    assert '  expect = ["metrics.train_loss < 2"]  <- top.yaml:15\n' in out
    assert "  iters = 50  <- top.yaml:12 over top.yaml:8 100 over mlx_lm.lora default 1000\n" in out


@pytest.mark.parametrize(
    "path",
    ["second.iters", "stages.second.iters", "stages.second.params.iters", "second.params.iters"],
)
def test_a_value_has_several_names(show, path):
    assert show(path) == show("second.iters")


def test_a_parameter_alone_is_shown_for_every_stage_that_has_it(show):
    assert [line for line in show("iters").splitlines() if line[0] != " "] == [
        "first: mlx_lm.lora",
        "second: mlx_lm.lora",
    ]


def test_vars_are_shown_like_any_value(show):
    assert show("vars").splitlines()[:2] == ["vars", "  vars.rate = 1e-05  <- base/shared.yaml:3"]
    assert show("vars.shape.rank") == "vars\n  vars.shape.rank = 4  <- base/shared.yaml:4\n"


def test_only_what_differs_from_the_defaults(show):
    rows = json.loads(show("first", "--changed", "--format", "json"))
    names = {row["name"] for row in rows}
    assert "iters" in names
    assert not {"learning_rate", "batch_size", "optimizer"} & names  # 1e-05 is the default
    assert all(row.get("default") != row["value"] for row in rows)


def test_only_what_a_file_contributes(show):
    rows = json.loads(show("--file", "shared.yaml", "--format", "json"))
    paths = {row["path"] for row in rows}
    assert {"vars.rate", "vars.second", "stages.second.params.learning_rate"} <= paths
    assert "stages.second.params.iters" not in paths


def test_what_each_line_became(show):
    out = show("--used", "--file", "base/shared.yaml")
    assert out.startswith(
        "base/shared.yaml\n  3 vars.rate: 1e-05\n      -> learning_rate of first, second\n"
    )
    assert (
        '  8 learning_rate: "{{ vars.rate }}"\n'
        "      -> learning_rate of first\n"
        "      overruled: learning_rate of second\n"
    ) in out
    (line,) = [
        one
        for one in json.loads(show("--used", "--format", "json"))
        if one["name"] == "vars.second"
    ]
    assert (line["file"], line["line"]) == ("top.yaml", 4)
    assert line["became"] == {"learning_rate": ["second"]}


def test_a_smoke_run_overrules_the_recipe(show):
    out = show("iters", "--smoke")
    assert "iters = 12  <- --smoke over top.yaml:8 100 over mlx_lm.lora default 1000\n" in out


def test_json_says_the_same_for_programs(show):
    (row,) = json.loads(show("second.learning_rate", "--format", "json"))
    assert (row["value"], row["default"], row["changed"]) == (2e-6, 1e-5, True)
    assert (row["winner"]["file"], row["winner"]["line"]) == ("top.yaml", 12)
    assert [(one["file"], one["line"]) for one in row["losers"]] == [("base/shared.yaml", 8)]
    assert [one["name"] for one in row["trail"]] == ["vars.second", "vars.rate"]


def test_what_a_mapping_hides_has_lost_too(show, tmp_path):
    text = TOP.replace("iters: 50}", "iters: 50, lora_parameters: !override {rank: 8}}")
    (tmp_path / "top.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "base" / "shared.yaml").write_text(
        BASE.replace('"{{ vars.shape }}"', "{rank: 4, dropout: 0.5}").replace(
            "  shape: {rank: 4, scale: 2.0}\n", ""
        ),
        encoding="utf-8",
    )
    out = show("second.lora_parameters.rank")
    assert "rank = 8  <- top.yaml:12 over base/shared.yaml:8 4 over" in out


def test_a_reset_is_no_value_that_lost(show, tmp_path):
    more = "  third: {extends: second, params: {iters: !reset null}}\n"
    more += "  fourth: {extends: third, params: {iters: 20}}\n"
    (tmp_path / "top.yaml").write_text(TOP + more, encoding="utf-8")
    assert "iters = 20  <- top.yaml:17 over top.yaml:12 50 over top.yaml:8 100 over" in show(
        "fourth.iters"
    )


@pytest.mark.usefixtures("show")
def test_several_paths_show_what_is_at_any_of_them():
    done = CliRunner().invoke(command, ["top.yaml", "vars.rate", "first.iters", "seed"])
    assert (done.exit_code, done.stderr) == (0, "")
    names = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert [names.count(name) for name in ("iters", "seed", "batch_size")] == [1, 2, 0]


@pytest.mark.usefixtures("show")
def test_a_path_written_with_a_space_is_told():
    done = CliRunner().invoke(command, ["top.yaml", "first", "iters"])
    assert "for one value say first.iters" in done.stderr
    assert done.stdout.count("iters = ") == 2
    done = CliRunner().invoke(command, ["top.yaml", "first", "lora_parameters", "rank"])
    assert str(done.exception) == "the recipe has no 'rank'"
    assert done.exception.hint == "write first.lora_parameters.rank"
