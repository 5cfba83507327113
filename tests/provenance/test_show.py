"""Where each value comes from: who won, who lost, and what it was made of."""

import json
import sys

import pytest
from click.testing import CliRunner

from runner.cli import main, run
from runner.cli.show import command
from runner.provenance import origins

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
            main.main()
        said = capsys.readouterr()
        assert not end.value.code, said.err
        return said.out

    return call


def test_a_value_names_its_winner_its_losers_and_the_vars_behind_it(show):
    assert show("second.learning_rate", "--set", "vars.rate=5e-6") == (
        "second: mlx_lm.lora\n"
        "  learning_rate = 1e-06  <- top.yaml:12 {{ vars.second }}"
        " over base/shared.yaml:8 {{ vars.rate }} over mlx-lm 0.32.2 default 1e-05\n"
        "      vars.second = 1e-06  <- top.yaml:4 {{ vars.rate * 0.2 }}\n"
        "      vars.rate = 5e-06  <- --set vars.rate=5e-6 over base/shared.yaml:3 1e-05\n"
    )


def test_a_value_inside_a_templates_mapping_has_the_templates_place(show):
    out = show("first.lora_parameters")
    assert "lora_parameters.rank = 4  <- base/shared.yaml:9 {{ vars.shape }}" in out
    # What the mapping leaves out is the tool's own.
    assert "lora_parameters.dropout = 0.0  <- mlx-lm 0.32.2 default\n" in out


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
    assert (
        "  iters = 50  <- top.yaml:12 over top.yaml:8 100 over mlx-lm 0.32.2 default 1000\n" in out
    )


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
    assert "iters = 12  <- --smoke over top.yaml:8 100 over mlx-lm 0.32.2 default 1000\n" in out


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
    assert "for a single value, write first.iters" in done.stderr
    assert done.stdout.count("iters = ") == 2
    done = CliRunner().invoke(command, ["top.yaml", "first", "lora_parameters", "rank"])
    assert str(done.exception) == "the recipe has no 'rank'"
    assert done.exception.hint == "write first.lora_parameters.rank"


RESETS = """\
version: 1
extends: base/lora.yaml
stages:
  s:
    tool: mlx_lm.lora
    timeout: 2h
    retry: {attempts: 2, delay: 5s}
    params: {train: true, data: d, iters: 100}
  t:
    extends: s
    timeout: !reset
    retry: !override {attempts: 3}
    params:
      adapter_path: x
      batch_size: !reset
      lora_parameters: !override {rank: 16}
"""
LORA = """\
version: 1
defaults:
  mlx_lm.lora: {model: m, batch_size: 2, lora_parameters: {rank: 8, scale: 2.0, dropout: 0.5}}
"""


@pytest.fixture
def resets(show, tmp_path):
    (tmp_path / "base" / "lora.yaml").write_text(LORA, encoding="utf-8")
    (tmp_path / "top.yaml").write_text(RESETS, encoding="utf-8")
    return show


def test_a_reset_wins_over_what_it_takes_away(resets):
    assert resets("t.batch_size") == (
        "t: mlx_lm.lora\n"
        "  batch_size = 4  <- top.yaml:15 !reset (mlx-lm 0.32.2 default) over base/lora.yaml:3 2\n"
    )
    (row,) = json.loads(resets("t.batch_size", "--format", "json"))
    winner = row["winner"]
    assert (winner["file"], winner["line"], winner["text"]) == ("top.yaml", 15, "!reset")
    assert [(one["file"], one["line"], one["text"]) for one in row["losers"]] == [
        ("base/lora.yaml", 3, 2)
    ]


def test_an_override_wins_over_what_its_mapping_hides(resets):
    out = resets("t.lora_parameters")
    assert "rank = 16  <- top.yaml:16 over base/lora.yaml:3 8 over" in out
    said = "  <- top.yaml:16 !override (mlx-lm 0.32.2 default) over base/lora.yaml:3 "
    assert f"scale = 20.0{said}2.0\n" in out
    assert f"dropout = 0.0{said}0.5\n" in out
    assert "keys = null  <- mlx-lm 0.32.2 default\n" in out  # nobody said it, nothing is hidden


def test_what_a_profile_adds_to_an_override_does_not_take_its_place(resets, tmp_path):
    more = "profiles:\n  big:\n    stages: {t: {params: {lora_parameters: {dropout: 0.1}}}}\n"
    (tmp_path / "top.yaml").write_text(RESETS + more, encoding="utf-8")
    out = resets("t.lora_parameters", "--profile", "big")
    assert "scale = 20.0  <- top.yaml:16 !override (mlx-lm 0.32.2 default) over" in out
    assert "dropout = 0.1  <- top.yaml:19 over base/lora.yaml:3 0.5 over" in out


def test_a_stages_own_key_that_is_taken_away_is_shown(resets):
    assert "  timeout = null  <- top.yaml:11 !reset over top.yaml:6 2h\n" in resets("t.timeout")
    assert "  retry.delay = null  <- top.yaml:12 !override over top.yaml:7 5s\n" in resets(
        "t.retry"
    )


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("top.yaml", ("params: {train", "params: !override {model: m, train")),
        ("top.yaml", ("stages:\n", "defaults: {mlx_lm.lora: {batch_size: !reset }}\nstages:\n")),
        ("top.yaml", ("stages:\n", "defaults: !override {mlx_lm.lora: {model: m}}\nstages:\n")),
        (
            "top.yaml",
            ("stages:\n", "defaults: {mlx_lm.lora: !override {model: m}}\nstages:\n"),
        ),
    ],
    ids=["params", "a default", "all defaults", "those of a tool"],
)
def test_what_is_taken_away_further_up_names_its_line_too(resets, tmp_path, file, change):
    text = RESETS.replace("      batch_size: !reset\n", "").replace(*change)
    (tmp_path / file).write_text(text, encoding="utf-8")
    line = text.partition("!")[0].count("\n") + 1
    out = resets("s.batch_size")
    assert f"batch_size = 4  <- top.yaml:{line} !" in out
    assert out.endswith("over base/lora.yaml:3 2\n")


def test_a_stage_that_replaces_another_files_names_the_line_that_hides_it(resets, tmp_path):
    middle = RESETS.partition("  t:")[0]
    (tmp_path / "middle.yaml").write_text(middle, encoding="utf-8")
    top = "version: 1\nextends: middle.yaml\nstages:\n  s: !override\n    tool: mlx_lm.lora\n"
    top += "    params: {train: true, data: d}\n"
    (tmp_path / "top.yaml").write_text(top, encoding="utf-8")
    said = "iters = 1000  <- top.yaml:4 !override (mlx-lm 0.32.2 default) over middle.yaml:8 100\n"
    assert said in resets("s.iters")
    assert "timeout = null  <- top.yaml:4 !override over middle.yaml:6 2h\n" in resets("s.timeout")


def test_a_line_that_only_loses_is_a_line_that_is_used(resets):
    out = resets("--used", "--file", "base/lora.yaml")
    assert "  3 batch_size: 2\n      -> batch_size of s\n      overruled: batch_size of t\n" in out
    out = resets("--used")
    assert "  15 batch_size: !reset\n      -> batch_size of t\n" in out
    assert "  16 lora_parameters: !override\n      -> lora_parameters.scale of t\n" in out


def test_a_template_that_is_overruled_and_wrong_is_no_mistake(resets, tmp_path):
    text = LORA.replace("{rank: 8, scale: 2.0, dropout: 0.5}", '"{{ vars.none }}"')
    (tmp_path / "base" / "lora.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "top.yaml").write_text(
        RESETS.replace("iters: 100", "iters: 100, lora_parameters: {rank: 4}"), encoding="utf-8"
    )
    assert "scale = 20.0  <- mlx-lm 0.32.2 default\n" in resets("s.lora_parameters")


def test_json_names_whom_the_vars_behind_a_value_overrule(show):
    words = ("second.learning_rate", "--set", "vars.rate=5e-6", "--format", "json")
    (row,) = json.loads(show(*words))
    assert row["default_of"] == "mlx-lm 0.32.2"
    (rate,) = [one for one in row["trail"] if one["name"] == "vars.rate"]
    assert [(one["file"], one["line"], one["text"]) for one in rate["losers"]] == [
        ("base/shared.yaml", 3, 1e-5)
    ]


def test_the_default_of_a_tool_of_ours_is_its_own(show, tmp_path):
    more = "  mix: {tool: data.mix, params: {primary: a, replay: b, seed: 3}}\n"
    (tmp_path / "top.yaml").write_text(TOP + more, encoding="utf-8")
    assert "  seed = 3  <- top.yaml:16 over data.mix default 0\n" in show("mix.seed")


def test_more_values_than_are_followed_are_refused_and_printed_without_their_lines(
    show, monkeypatch
):
    show()
    monkeypatch.setattr(origins, "MAX_ORIGINS", 5)
    done = CliRunner().invoke(command, ["top.yaml"], standalone_mode=False)
    assert "at most 5 are followed to a line" in str(done.exception)
    way = done.exception.hint.partition(": ")[2].split()
    printed = CliRunner().invoke(run.command, way[1:], standalone_mode=False)
    assert json.loads(printed.output)["stages"][1]["params"]["iters"] == 50
