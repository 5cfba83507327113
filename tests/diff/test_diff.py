"""What changes in what MLX will be told, against a real git repository."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runner.cli import main

BASE = """\
version: 1
vars:
  rank: 16
  rate: 1.0e-5
defaults:
  mlx_lm.lora:
    model: m
    learning_rate: "{{ vars.rate }}"
    lora_parameters:
      rank: "{{ vars.rank }}"
      scale: 2.0
    lr_schedule:
      name: cosine_decay
      arguments:
        - "{{ stage.params.learning_rate }}"
        - "{{ stage.params.iters }}"
"""
ONE = """\
version: 1
extends: base/shared.yaml
stages:
  train:
    tool: mlx_lm.lora
    params: {train: true, data: d, iters: 100}
"""
TWO = """\
version: 1
extends: base/shared.yaml
vars:
  rate: 2.0e-5
stages:
  first:
    tool: mlx_lm.lora
    params: {train: true, data: d, iters: 100}
  second:
    extends: first
    params:
      iters: 50
      resume_adapter_file: "{{ stages.first.adapter_file }}"
  fuse:
    tool: mlx_lm.fuse
    params: {model: m, adapter_path: "{{ stages.second.adapter_path }}"}
"""
ALONE = """\
version: 1
stages:
  mix: {tool: data.mix, params: {primary: d, replay: d, seed: 3}}
"""
FILES = {"base/shared.yaml": BASE, "one.yaml": ONE, "two.yaml": TWO, "alone.yaml": ALONE}


def git(*words):
    subprocess.run(["git", *words], check=True, capture_output=True)


def write(name, text):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def commit(message="more"):
    git("add", "-A")
    git("commit", "-q", "-m", message)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository of two recipes that share a base, and one that does not; all is committed."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "someone")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "someone@example.org")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.chdir(tmp_path)
    git("init", "-q", "-b", "main")
    for name, text in FILES.items():
        write(f"recipes/{name}", text)
    commit("all")
    return tmp_path


@pytest.fixture
def diff(capsys, monkeypatch):
    """Call ``run-recipe diff`` and return exit code, standard output and standard error."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["run-recipe", "diff", *words])
        with pytest.raises(SystemExit) as end:
            main.main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return call


def values(out):
    """Return each change of a JSON diff as STAGE.NAME: (old, new)."""
    (review,) = json.loads(out)["recipes"]
    return {f"{v['stage']}.{v['name']}": (v.get("old"), v.get("new")) for v in review["values"]}


def places(out):
    """Return the lines that made each change of a JSON diff."""
    (review,) = json.loads(out)["recipes"]
    return {
        f"{v['stage']}.{v['name']}": [
            f"{'gone ' if c['gone'] else ''}{c['file']}:{c['line']} {c['name']}"
            for c in v["causes"]
        ]
        for v in review["values"]
    }


def test_one_line_of_a_base_names_every_stage_of_every_recipe_it_changes(repository, diff):
    write("recipes/base/shared.yaml", BASE.replace("rank: 16", "rank: 32"))
    code, out, err = diff("recipes")
    assert (code, err) == (0, "")
    head = subprocess.run(
        ["git", "rev-parse", "--short=7", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert out == (
        f"HEAD ({head}) -> the working tree\n"
        "\n"
        "recipes/two.yaml\n"
        "  will rerun because their inputs changed: fuse\n"
        "\n"
        "lora_parameters.rank  16 -> 32  <- recipes/base/shared.yaml:3 vars.rank\n"
        "  recipes/one.yaml: train\n"
        "  recipes/two.yaml: first, second\n"
        "\n"
        "2 of 3 recipes change: 3 stages, 3 values\n"
    )


def test_the_checkout_is_not_touched(repository, diff):
    write("recipes/base/shared.yaml", BASE.replace("rank: 16", "rank: 32"))
    git("stash", "list")
    before = {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}
    diff("recipes")
    assert before == {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}


def test_a_change_exits_with_3_only_under_check(repository, diff):
    assert diff("recipes", "--check")[0] == 0
    write("recipes/alone.yaml", ALONE.replace("seed: 3", "seed: 4"))
    assert diff("recipes/alone.yaml")[0] == 0
    assert diff("recipes/alone.yaml", "--check")[0] == 3
    assert diff("recipes/one.yaml", "--check")[0] == 0


def test_a_comment_a_moved_line_and_an_equal_value_are_no_change(repository, diff):
    write("recipes/base/shared.yaml", "# more words\n\n" + BASE.replace("scale: 2.0", "scale: 2"))
    write("recipes/one.yaml", ONE.replace("iters: 100", 'iters: "{{ 50 * 2 }}"'))
    assert diff("recipes", "--check")[:2] == (0, "no MLX parameters change in 3 recipes\n")
    said = ": no MLX parameters change\n"
    assert diff("recipes/one.yaml")[1].endswith(said)


def test_a_value_computed_from_a_changed_one_names_the_line_that_changed(repository, diff):
    write("recipes/one.yaml", ONE.replace("iters: 100", "iters: 200"))
    out = diff("recipes/one.yaml", "--format", "json")[1]
    assert values(out) == {
        "train.iters": (100, 200),
        "train.lr_schedule.arguments[1]": (100, 200),
    }
    assert places(out) == {
        "train.iters": ["recipes/one.yaml:6 iters"],
        "train.lr_schedule.arguments[1]": ["recipes/one.yaml:6 iters"],
    }


def test_a_line_that_is_gone_is_named_where_it_stood(repository, diff):
    write("recipes/two.yaml", TWO.replace("vars:\n  rate: 2.0e-5\n", ""))
    out = diff("recipes/two.yaml", "--format", "json")[1]
    assert values(out)["first.learning_rate"] == (2e-5, 1e-5)
    assert places(out)["first.learning_rate"] == ["gone recipes/two.yaml:4 vars.rate"]
    write("recipes/alone.yaml", ALONE.replace(", seed: 3", ""))
    out = diff("recipes/alone.yaml", "--format", "json")[1]
    assert values(out) == {"mix.seed": (3, 0)}
    assert places(out) == {"mix.seed": ["gone recipes/alone.yaml:3 seed"]}


def test_a_reset_is_the_line_that_changes_what_it_takes_away(repository, diff):
    write(
        "recipes/one.yaml",
        ONE.replace("iters: 100", "iters: 100, lora_parameters: !override {rank: 4}"),
    )
    out = diff("recipes/one.yaml", "--format", "json")[1]
    assert values(out)["train.lora_parameters.scale"] == (2.0, 20.0)
    assert places(out)["train.lora_parameters.scale"] == ["recipes/one.yaml:6 lora_parameters"]
    commit()
    write("recipes/one.yaml", ONE + "    timeout: 2h\n")
    out = diff("recipes/one.yaml", "--format", "json")[1]
    assert places(out)["train.lora_parameters.scale"] == ["gone recipes/one.yaml:6 lora_parameters"]


def test_a_reset_of_a_stages_own_key_is_the_line_that_changes_it(repository, diff):
    text = ONE + "    timeout: 2h\n  again:\n    extends: train\n    timeout: 1h\n"
    write("recipes/one.yaml", text)
    commit()
    write("recipes/one.yaml", text.replace("1h", "!reset"))
    out = diff("recipes/one.yaml")[1]
    assert "timeout  3600s -> null  <- recipes/one.yaml:10 !reset\n" in out
    out = diff("recipes/one.yaml", "--format", "github")[1]
    assert "file=recipes/one.yaml,line=10,title=timeout%3A !reset::" in out


def test_another_parent_is_the_cause_of_what_it_brings(repository, diff):
    write("recipes/base/other.yaml", "version: 1\ndefaults: {mlx_lm.lora: {seed: 4}}\n")
    write(
        "recipes/one.yaml", ONE.replace("base/shared.yaml", "[base/shared.yaml, base/other.yaml]")
    )
    out = diff("recipes/one.yaml", "--format", "json")[1]
    assert places(out) == {"train.seed": ["recipes/one.yaml:2 extends"]}


def test_a_parent_in_anothers_place_is_named_with_its_line_that_differs(repository, diff):
    git("mv", "recipes/base/shared.yaml", "recipes/base/core.yaml")
    write("recipes/base/core.yaml", BASE.replace("scale: 2.0", "scale: 4.0"))
    text = BASE.replace("scale: 2.0", "scale: 4.0").replace("rank: 16", "rank: 8")
    write("recipes/base/core.yaml", f"# renamed\n{text}")
    write("recipes/one.yaml", ONE.replace("shared", "core").replace("iters: 100", "iters: 200"))
    extends = "recipes/one.yaml:2 extends"
    assert places(diff("recipes/one.yaml", "--format", "json")[1]) == {
        "train.iters": ["recipes/one.yaml:6 iters"],
        # The template in the renamed file says what it said: what it reads is another value.
        "train.lr_schedule.arguments[1]": ["recipes/one.yaml:6 iters"],
        "train.lora_parameters.rank": [extends, "recipes/base/core.yaml:4 vars.rank"],
        "train.lora_parameters.scale": [extends, "recipes/base/core.yaml:12 lora_parameters.scale"],
    }
    assert (
        "scale     2.0 -> 4.0  <- recipes/one.yaml:2 extends, recipes/base/core.yaml:12"
        in (diff("recipes/one.yaml")[1])
    )


def test_another_stage_to_extend_is_the_cause_of_what_it_brings(repository, diff):
    third = "  third:\n    extends: {}\n    params: {{adapter_path: x}}\n"
    write("recipes/two.yaml", TWO + third.format("first"))
    commit()
    write("recipes/two.yaml", TWO + third.format("second"))
    out = diff("recipes/two.yaml", "--format", "json")[1]
    assert values(out)["third.iters"] == (100, 50)
    assert places(out)["third.iters"] == ["recipes/two.yaml:18 extends"]


def test_a_stages_own_keys_are_compared_too(repository, diff):
    own = (
        "    timeout: 2h\n    retry: {attempts: 2}\n    expect: [metrics.train_loss < vars.most]\n"
    )
    text = ONE.replace("stages:", "vars: {most: 2.0}\nstages:") + own
    write("recipes/one.yaml", text)
    commit()
    changed = text.replace("2h", "90m").replace("2.0", "1.5").replace("attempts: 2", "attempts: 3")
    changed += "    continue: true\n    keep: best\n    launch: {hosts: 2}\n    allow: [warmup-longer-than-training]\n"
    write("recipes/one.yaml", changed)
    code, out, err = diff("recipes/one.yaml")
    assert (code, err) == (0, "")
    said = [line.split() for line in out.splitlines()[2:]]
    launch = next(row for row in said if row[0] == "launch")
    assert launch[-3:] == ["<-", "recipes/one.yaml:13", "launch.hosts"]
    said.remove(launch)
    assert said == [
        ["timeout", "7200s", "->", "5400s", "<-", "recipes/one.yaml:8"],
        ["retry.attempts", "2", "->", "3", "<-", "recipes/one.yaml:9"],
        ["allow", "[]", "->", '["warmup-longer-than-training"]', "<-", "recipes/one.yaml:14"],
        ["continue", "false", "->", "true", "<-", "recipes/one.yaml:11"],
        ["keep", "(nothing)", "->", '"best"', "<-", "recipes/one.yaml:12"],
        ["expect:", "vars.most", "2.0", "->", "1.5", "<-", "recipes/one.yaml:3", "vars.most"],
    ]


def test_stages_that_come_go_and_change_places_are_named(repository, diff):
    test = "  test:\n    tool: mlx_lm.lora\n    params: {test: true, data: d, adapter_path: x}\n"
    write("recipes/one.yaml", ONE.replace("  train:", f"{test}  train:"))
    assert diff("recipes/one.yaml")[1].splitlines()[1:3] == [
        "  + stage test (mlx_lm.lora)  <- recipes/one.yaml:4",
        '      model                  "m"  <- recipes/base/shared.yaml:7',
    ]
    commit()
    write("recipes/one.yaml", ONE + test)
    assert diff("recipes/one.yaml")[1].splitlines()[1:] == ["  order: test, train -> train, test"]
    write("recipes/one.yaml", ONE)
    assert diff("recipes/one.yaml")[1].splitlines()[1] == (
        "  - stage test (mlx_lm.lora)  <- gone: recipes/one.yaml:4"
    )


def test_a_stage_that_comes_or_goes_says_what_is_no_default_of_its_tool(repository, diff):
    two = (
        "  two:\n    tool: data.split\n    params: {data: d, seed: 0, valid: 7}\n    timeout: 2h\n"
    )
    write("recipes/alone.yaml", ALONE + two)
    told = ['data     "d"', "valid    7.0", "timeout  7200s"]
    lines = ["recipes/alone.yaml:6", "recipes/alone.yaml:6", "recipes/alone.yaml:7"]
    assert diff("recipes/alone.yaml")[1].splitlines()[1:] == [
        "  + stage two (data.split)  <- recipes/alone.yaml:4",
        *(f"      {said}  <- {line}" for said, line in zip(told, lines, strict=True)),
    ]
    out = diff("recipes/alone.yaml", "--format", "json")[1]
    assert values(out) == {
        "two.data": (None, "d"), "two.valid": (None, 7), "two.timeout": (None, 7200.0)
    }  # fmt: skip
    assert places(out)["two.valid"] == ["recipes/alone.yaml:6 valid"]
    (review,) = json.loads(out)["recipes"]
    assert review["added"] == ["two"]
    assert review["stages"]["two"]["line"] == 4
    out = diff("recipes/alone.yaml", "--format", "markdown")[1]
    assert "1 of 1 recipe changes: 1 stage, 3 values" in out
    assert "- stage `two` added (`data.split`, `recipes/alone.yaml:4`)" in out
    assert "| `two` | `valid` | `+ 7.0` | `recipes/alone.yaml:6` |" in out
    commit()
    write("recipes/alone.yaml", ALONE)
    assert diff("recipes/alone.yaml")[1].splitlines()[1:] == [
        "  - stage two (data.split)  <- gone: recipes/alone.yaml:4",
        *(f"      {said}  <- gone: {line}" for said, line in zip(told, lines, strict=True)),
    ]
    out = diff("recipes/alone.yaml", "--format", "json")[1]
    assert values(out)["two.valid"] == (7, None)
    assert (
        "`- 7.0` | `gone: recipes/alone.yaml:6` |"
        in (diff("recipes/alone.yaml", "--format", "markdown")[1])
    )


def test_a_line_that_a_removed_stage_shared_is_not_gone(repository, diff):
    write("recipes/two.yaml", TWO.partition("  fuse:")[0].replace("  second:", "  third:"))
    write("recipes/two.yaml", TWO.partition("  second:")[0])
    out = places(diff("recipes/two.yaml", "--format", "json")[1])
    assert out["second.data"] == ["recipes/two.yaml:8 data"]
    assert out["second.iters"] == ["gone recipes/two.yaml:12 iters"]
    assert out["second.model"] == ["recipes/base/shared.yaml:7 model"]


def test_a_stage_with_a_new_name_is_not_a_new_stage(repository, diff):
    renamed = (
        TWO.replace("first", "base").replace("second", "next").replace("iters: 50", "iters: 60")
    )
    write("recipes/two.yaml", renamed)
    _code, out, _ = diff("recipes/two.yaml", "--format", "json")
    (review,) = json.loads(out)["recipes"]
    assert review["renamed"] == {"base": "first", "next": "second"}
    assert (review["added"], review["removed"]) == ([], [])
    assert values(out) == {"next.iters": (50, 60), "next.lr_schedule.arguments[1]": (50, 60)}
    assert places(out)["next.iters"] == ["recipes/two.yaml:12 iters"]
    (cause,) = next(one for one in review["values"] if one["name"] == "iters")["causes"]
    assert (cause["old"], cause["new"]) == (50, 60)


def test_an_entry_of_a_list_has_a_line_of_its_own(repository, diff):
    keys = "  keys:\n        - self_attn.q_proj\n        - self_attn.v_proj\n"
    text = BASE.replace("      scale: 2.0\n", f"      scale: 2.0\n    {keys}")
    write("recipes/base/shared.yaml", text)
    commit()
    more = text.replace(
        "        - self_attn.v", "        - self_attn.k_proj\n        - self_attn.v"
    )
    write("recipes/base/shared.yaml", more)
    out = diff("recipes/one.yaml", "--format", "json")[1]
    assert places(out) == {
        "train.lora_parameters.keys": ["recipes/base/shared.yaml:14 lora_parameters.keys"]
    }
    assert 'lora_parameters.keys  + "self_attn.k_proj"  <-' in diff("recipes/one.yaml")[1]
    commit()
    write("recipes/base/shared.yaml", text)
    out = diff("recipes/one.yaml", "--format", "json")[1]
    assert places(out) == {
        "train.lora_parameters.keys": ["gone recipes/base/shared.yaml:14 lora_parameters.keys"]
    }


def test_a_number_of_hosts_is_the_line_behind_the_launchers_own_parameter(repository, diff):
    write("recipes/one.yaml", ONE + "    launch: {hosts: 2}\n")
    commit()
    write("recipes/one.yaml", ONE + "    launch: {hosts: 3}\n")
    out = diff("recipes/one.yaml", "--format", "json")[1]
    assert values(out) == {"train.launch.repeat_hosts": (2, 3)}
    assert places(out) == {"train.launch.repeat_hosts": ["recipes/one.yaml:7 launch.hosts"]}


def test_a_hooks_own_repository_is_not_taken_for_the_recipes(repository, diff, monkeypatch):
    write("recipes/alone.yaml", ALONE.replace("seed: 3", "seed: 4"))
    monkeypatch.setenv("GIT_DIR", str(repository / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", "nothing")
    out = diff("recipes/alone.yaml", "--format", "json")[1]
    assert values(out) == {"mix.seed": (3, 4)}


def test_a_new_recipe_is_all_new(repository, diff):
    write("recipes/three.yaml", ONE)
    code, out, _ = diff("recipes/three.yaml", "--check")
    assert code == 3
    assert "recipes/three.yaml: new since HEAD" in out
    assert "+ stage train (mlx_lm.lora)  <- recipes/three.yaml:4" in out


def test_a_renamed_recipe_is_compared_with_what_it_was_called(repository, diff):
    git("mv", "recipes/one.yaml", "recipes/three.yaml")
    write("recipes/three.yaml", ONE.replace("iters: 100", "iters: 200"))
    _code, out, _ = diff("recipes/three.yaml")
    assert "note: its name was recipes/one.yaml" in out
    assert "iters                     100 -> 200  <- recipes/three.yaml:6" in out
    assert '  name  "one" -> "three"' in out


def test_a_recipe_that_is_gone_is_found_in_its_folder(repository, diff):
    (repository / "recipes" / "one.yaml").unlink()
    code, out, _ = diff("recipes", "--check")
    assert code == 3
    assert "recipes/one.yaml: gone since HEAD" in out


def test_a_base_alone_is_no_recipe(repository, diff):
    code, _, err = diff("recipes/base/shared.yaml")
    assert code == 2
    assert "recipes/base/shared.yaml has no stages of its own" in err
    code, out, _ = diff("recipes/base/shared.yaml", "recipes/one.yaml", "recipes/alone.yaml")
    assert code == 0
    assert "shared" not in out


def test_a_recipe_that_was_not_valid_counts_as_new_and_says_so(repository, diff):
    write("recipes/one.yaml", ONE.replace("iters", "itres"))
    commit()
    write("recipes/one.yaml", ONE)
    code, out, _ = diff("recipes/one.yaml")
    assert code == 0
    assert "note: it was not valid in HEAD" in out
    assert "mlx_lm.lora has no parameter 'itres'" in out


def test_a_recipe_that_is_not_valid_now_is_an_error_and_stops_no_other(repository, diff):
    write("recipes/one.yaml", ONE.replace("iters", "itres"))
    write("recipes/alone.yaml", ALONE.replace("seed: 3", "seed: 4"))
    code, out, err = diff("recipes/one.yaml")
    assert code == 2
    assert "did you mean 'iters'?" in err
    code, out, _ = diff("recipes")
    assert code == 2
    assert "recipes/one.yaml: not valid, so not compared" in out
    assert "seed  3 -> 4" in out


def test_revisions_are_compared_with_each_other_and_with_the_checkout(repository, diff):
    git("tag", "v1")
    write("recipes/alone.yaml", ALONE.replace("seed: 3", "seed: 4"))
    commit()
    write("recipes/alone.yaml", ALONE.replace("seed: 3", "seed: 5"))
    alone = ("recipes/alone.yaml", "--format", "json")
    assert values(diff(*alone)[1]) == {"mix.seed": (4, 5)}
    assert values(diff(*alone, "v1")[1]) == {"mix.seed": (3, 5)}
    assert values(diff(*alone, "v1..HEAD")[1]) == {"mix.seed": (3, 4)}
    assert values(diff(*alone, "HEAD~1")[1]) == {"mix.seed": (3, 5)}


@pytest.mark.slow
def test_three_dots_compare_with_where_a_branch_began(repository, diff):
    git("checkout", "-q", "-b", "feature")
    write("recipes/alone.yaml", ALONE.replace("seed: 3", "seed: 4"))
    commit()
    git("checkout", "-q", "main")
    write("recipes/one.yaml", ONE.replace("iters: 100", "iters: 200"))
    commit()
    git("checkout", "-q", "feature")
    assert "2 of 3 recipes change" in diff("recipes", "main")[1]
    assert "1 of 3 recipes changes" in diff("recipes", "main...")[1]
    assert "1 of 3 recipes changes" in diff("recipes", "main...HEAD")[1]


def test_two_recipes_are_compared_with_each_other(repository, diff):
    write("recipes/other.yaml", ALONE.replace("seed: 3", "seed: 4"))
    _code, out, err = diff("recipes/alone.yaml", "recipes/other.yaml", "--format", "json")
    assert values(out) == {"mix.seed": (3, 4)}
    assert "add HEAD" in err
    _, out, _ = diff("recipes/other.yaml", "HEAD:recipes/alone.yaml", "--format", "json")
    assert values(out) == {"mix.seed": (3, 4), ".name": ("alone", "other")}


def test_files_are_found_from_any_folder_and_through_links(repository, diff, monkeypatch):
    (repository / "recipes" / "linked.yaml").symlink_to("base/shared.yaml")
    write("recipes/one.yaml", ONE.replace("base/shared.yaml", "linked.yaml"))
    commit()
    write("recipes/base/shared.yaml", BASE.replace("rank: 16", "rank: 32"))
    monkeypatch.chdir(repository / "recipes" / "base")
    out = diff("../one.yaml", "--format", "json")[1]
    assert values(out) == {"train.lora_parameters.rank": (16, 32)}
    assert places(out) == {"train.lora_parameters.rank": ["../linked.yaml:3 vars.rank"]}


def test_a_folder_is_found_through_a_link_from_outside(repository, diff, tmp_path_factory):
    write("recipes/alone.yaml", ALONE.replace("seed: 3", "seed: 4"))
    linked = tmp_path_factory.mktemp("outside") / "linked"
    linked.symlink_to(repository / "recipes")
    code, out, _ = diff(str(linked))
    assert code == 0
    assert "1 of 3 recipes changes: 1 stage, 1 value" in out


def test_an_option_that_the_old_recipe_does_not_know_is_laid_over_the_new_one_only(
    repository, diff
):
    write("recipes/alone.yaml", ALONE.replace("seed: 3", "seed: '{{ vars.s }}'") + "vars: {s: 3}\n")
    code, out, _ = diff("recipes/alone.yaml", "--set", "vars.s=7")
    assert code == 0
    assert "note: applied to the new side only: --set vars.s=7" in out
    assert "seed  3 -> 7  <- recipes/alone.yaml:3, --set vars.s" in out
    assert diff("recipes/alone.yaml", "--set", "vars.t=7")[0] == 2


def test_a_smoke_run_is_compared_at_toy_scale(repository, diff):
    write("recipes/one.yaml", ONE.replace("iters: 100", "iters: 200"))
    out = diff("recipes/one.yaml", "--smoke", "--format", "json")[1]
    assert values(out) == {"train.save_every": (12, 6), "train.steps_per_eval": (24, 12)}
    write("recipes/one.yaml", ONE.replace("iters: 100", "iters: 6"))
    out = diff("recipes/one.yaml", "--smoke", "--format", "json")[1]
    assert values(out)["train.iters"] == (12, 6)
    assert places(out)["train.iters"] == ["recipes/one.yaml:6 iters"]


def test_a_budget_counts_the_rows_of_this_disk_on_both_sides(repository, diff):
    text = ONE.replace(", iters: 100", ", batch_size: 1") + "    budget: {epochs: 2}\n"
    write("recipes/one.yaml", text)
    commit()
    write("recipes/one.yaml", text.replace("epochs: 2", "epochs: 3"))
    out = diff("recipes/one.yaml", "--format", "json")[1]
    assert values(out) == {"train.budget.epochs": (2, 3)}
    assert (
        "rows are not on this disk (recipes/one.yaml:7)"
        in json.loads(out)["recipes"][0]["notes"][0]
    )
    write("d/train.jsonl", '{"text": "a"}\n' * 4)
    out = diff("recipes/one.yaml", "--format", "json")[1]
    assert values(out) == {"train.iters": (8, 12), "train.lr_schedule.arguments[1]": (8, 12)}
    assert places(out)["train.iters"] == ["recipes/one.yaml:7 iters"]


def test_markdown_holds_what_a_table_would_trip_over(repository, diff):
    write("recipes/alone.yaml", ALONE.replace("primary: d", 'primary: "a|`b"'))
    out = diff("recipes/alone.yaml", "--format", "markdown")[1]
    row = out.splitlines()[-1]
    assert row == ('| `mix` | `primary` | `` "d" -> "a\\|`b" `` | `recipes/alone.yaml:3` |')


@pytest.mark.slow
def test_a_comment_is_never_longer_than_github_takes(repository, diff):
    keys = [f"layer.{number:05d}.proj" for number in range(2500)]
    lora = f"lora_parameters: {{keys: {json.dumps(keys)}}}"
    write("recipes/one.yaml", ONE.replace("iters: 100", f"iters: 100, {lora}"))
    commit()
    write(
        "recipes/one.yaml",
        ONE.replace("iters: 100", f"iters: 100, {lora.replace('proj', 'other')}"),
    )
    out = diff("recipes/one.yaml", "--format", "markdown")[1]
    assert len(out) < 65_536
    assert "more lines: run-recipe diff shows them all." in out
    assert "layer.02499.other" not in out
    assert "layer.02499.other" in diff("recipes/one.yaml")[1]


def test_annotations_point_at_the_line_that_changes_something(repository, diff):
    write("recipes/base/shared.yaml", BASE.replace("rank: 16", "rank: 32"))
    out = diff("recipes", "--format", "github")[1]
    assert out.splitlines()[0] == (
        "::notice file=recipes/base/shared.yaml,line=3,title=vars.rank%3A 16 -> 32::"
        "lora_parameters.rank 16 -> 32: recipes/one.yaml train; recipes/two.yaml first, second"
    )


def test_every_kind_of_change_has_an_annotation(repository, diff):
    third = "  third: {tool: data.mix, params: {primary: d, replay: e, seed: 1}}\n"
    write("recipes/alone.yaml", ALONE + third)
    write("recipes/more.yaml", ALONE + third)
    commit()
    mix = ALONE.partition("stages:\n")[2]
    write("recipes/alone.yaml", f"version: 1\nstages:\n{third}{mix}")
    write("recipes/more.yaml", ALONE)
    write("recipes/two.yaml", TWO.replace("first", "base"))
    (repository / "recipes" / "one.yaml").unlink()
    write("recipes/new.yaml", ALONE)
    write("recipes/wrong.yaml", ALONE.replace("seed", "sed"))
    out = diff("recipes", "--format", "github")[1].splitlines()
    assert out == [
        (
            "::notice file=recipes/alone.yaml,line=3,title=new order::"
            "recipes/alone.yaml: mix, third -> third, mix"
        ),
        # A line of the old file is none of the new one: the file alone is pointed at.
        (
            "::notice file=recipes/more.yaml,title=removed stage::recipes/more.yaml: third (data.mix)"
            '%0Arecipes/more.yaml: third.primary "d"%0Arecipes/more.yaml: third.replay "e"'
            "%0Arecipes/more.yaml: third.seed 1"
        ),
        (
            "::notice file=recipes/new.yaml,title=new recipe::"
            f"recipes/new.yaml: new since {out[2].partition('since ')[2]}"
        ),
        f"::notice file=recipes/one.yaml,title=removed recipe::{out[3].partition('recipe::')[2]}",
        (
            "::notice file=recipes/two.yaml,line=6,title=renamed stage::"
            "recipes/two.yaml: first is now called base"
        ),
        f"::error file=recipes/wrong.yaml,title=not valid::{out[5].partition('valid::')[2]}",
        f"::notice title=run-recipe diff::{out[6].rpartition('::')[2]}",
    ]
    assert out[2].endswith("%0Amix (data.mix)")
    assert out[3].endswith("%0Atrain (mlx_lm.lora)")
    assert "data.mix has no parameter 'sed'" in out[5]


def test_a_new_stage_is_annotated_with_what_it_says(repository, diff):
    more = "  two: {tool: data.split, params: {data: d, valid: 7}}\n"
    write("recipes/alone.yaml", ALONE + more)
    assert diff("recipes/alone.yaml", "--format", "github")[1].splitlines()[0] == (
        "::notice file=recipes/alone.yaml,line=4,title=new stage::recipes/alone.yaml: two (data.split)"
        '%0Arecipes/alone.yaml: two.data "d"%0Arecipes/alone.yaml: two.valid 7.0'
    )


def test_annotations_name_files_as_the_workspace_has_them(repository, diff, monkeypatch):
    write("recipes/base/shared.yaml", BASE.replace("rank: 16", "rank: 32"))
    monkeypatch.chdir(repository / "recipes" / "base")
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    assert diff("../one.yaml", "--format", "github")[1].startswith(
        "::notice file=recipes/base/shared.yaml,line=3,"
    )
    monkeypatch.setenv("GITHUB_WORKSPACE", str(repository / "recipes"))
    assert diff("../one.yaml", "--format", "github")[1].startswith(
        "::notice file=base/shared.yaml,line=3,"
    )


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (["recipes/one.yaml", "mian"], "no revision 'mian'", "did you mean 'main'?"),
        (["recipes/one.yaml", "HEAD~9"], "no revision 'HEAD~9'", "there are: main"),
        (
            ["recipes/none.yaml"],
            "cannot read recipes/none.yaml",
            "did you mean 'recipes/one.yaml'?",
        ),
        (["recipes/**.yaml"], "cannot read recipes/**.yaml", "let the shell expand it (without"),
        (["recipes/**.yaml", "HEAD"], "cannot read recipes/**.yaml", "or name the folder"),
        (["recipes/one.yaml", "20260101T000000Z-abc"], "no run '", "run a recipe first"),
    ],
    ids=["branch", "too far back", "recipe", "pattern", "pattern and revision", "run"],
)
def test_what_is_not_there_gets_a_sentence(repository, diff, words, said, hint):
    code, out, err = diff(*words)
    assert (code, out) == (2, "")
    assert said in err
    assert hint in err


def test_a_shallow_clone_says_how_to_get_the_rest(repository, diff, monkeypatch):
    write("recipes/one.yaml", ONE.replace("iters: 100", "iters: 200"))
    commit()
    git("clone", "-q", "--depth", "1", f"file://{repository}", "clone")
    monkeypatch.chdir(repository / "clone")
    code, _, err = diff("recipes/one.yaml", "HEAD~1")
    assert code == 2
    assert "git fetch --unshallow" in err


def test_a_recipe_outside_of_a_repository_can_only_meet_another(tmp_path, diff, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    write("alone.yaml", ALONE)
    write("other.yaml", ALONE.replace("seed: 3", "seed: 4"))
    code, _, err = diff("alone.yaml")
    assert code == 2
    assert "alone.yaml is not in a git repository" in err
    assert "compare it with another recipe or a run" in err
    assert values(diff("alone.yaml", "other.yaml", "--format", "json")[1]) == {"mix.seed": (3, 4)}


def test_without_git_the_same_is_said(tmp_path, diff, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    write("alone.yaml", ALONE)
    code, _, err = diff("alone.yaml")
    assert code == 2
    assert "git is not installed" in err
    assert diff("alone.yaml", "alone.yaml", "--check")[0] == 0


def test_a_repository_without_commits_says_so(tmp_path, diff, monkeypatch):
    monkeypatch.chdir(tmp_path)
    git("init", "-q")
    write("alone.yaml", ALONE)
    code, _, err = diff("alone.yaml")
    assert code == 2
    assert "the repository has no commits yet" in err


def test_a_file_outside_of_the_repository_is_read_as_it_is(repository, diff, monkeypatch):
    inside = repository / "inside"
    git("init", "-q", str(inside))
    monkeypatch.chdir(inside)
    write("one.yaml", ONE.replace("base/shared", "../recipes/base/shared"))
    commit()
    write("one.yaml", ONE.replace("base/shared", "../recipes/base/shared").replace("100", "200"))
    out = diff("one.yaml")[1]
    assert "note: ../recipes/base/shared.yaml is outside the repository" in out
    assert "100 -> 200" in out


def test_recipes_of_another_repository_are_not_compared_with_this_one(repository, diff):
    git("init", "-q", "inside")
    write("inside/one.yaml", ALONE)
    code, _, err = diff("inside/one.yaml", "recipes/alone.yaml", "HEAD")
    assert code == 2
    assert "the repository has no commits yet" in err
    git("-C", "inside", "add", "-A")
    git("-C", "inside", "commit", "-q", "-m", "one")
    code, _, err = diff("inside/one.yaml", "recipes/alone.yaml", "HEAD")
    assert code == 2
    assert "recipes/alone.yaml is not in the repository at" in err


def test_a_folder_without_recipes_is_said_to_be_one(repository, diff):
    write("empty/notes.txt", "")
    code, _, err = diff("empty")
    assert code == 2
    assert "there is no recipe in empty" in err


def ran(repository, plan):
    """Return the folder of a run of this plan."""
    from runner.base.formatting import pretty_json
    from runner.runs.manifest import Manifest

    folder = repository / "runs" / plan.name / "20260101T000000Z-abc"
    folder.mkdir(parents=True)
    manifest = Manifest(id=folder.name, folder=str(folder), plan=plan, facts={}, stages=())
    (folder / "run.json").write_text(pretty_json(manifest.as_dict()), encoding="utf-8")
    return folder


def test_a_recipe_is_compared_with_a_smoke_run_at_its_scale_and_that_is_said(repository, diff):
    import runner
    from runner import workflow

    plan = workflow.shrink(runner.compile(runner.load("recipes/two.yaml")), alone=True)
    folder = ran(repository, plan)
    note = "note: that run is a smoke run: the recipe is compared with it at toy scale"
    code, out, _ = diff("recipes/two.yaml", folder.name, "--check")
    assert code == 0
    assert note in out
    assert note not in diff("recipes/two.yaml", folder.name, "--smoke")[1]


def test_what_a_run_had_and_the_recipe_has_not_is_told_whole(repository, diff):
    import runner

    folder = ran(repository, runner.compile(runner.load("recipes/two.yaml")))
    write("recipes/two.yaml", TWO.partition("  fuse:")[0])
    out = diff("recipes/two.yaml", folder.name)[1]
    assert out.splitlines()[1:3] == ["  - stage fuse (mlx_lm.fuse)", '      model         "m"']
    assert "dequantize" not in out


def test_a_run_is_compared_with_the_recipe_as_it_is_now(repository, diff):
    import runner

    folder = ran(repository, runner.compile(runner.load("recipes/two.yaml")))
    assert diff("recipes/two.yaml", folder.name, "--check")[0] == 0
    assert diff("recipes/two.yaml", "latest", "--check")[0] == 0
    code, _, err = diff("recipes/one.yaml", "latest")
    assert code == 2
    assert "latest" in err
    write("recipes/two.yaml", TWO.replace("iters: 50", "iters: 60"))
    for run in (folder.name, str(folder), "latest"):
        out = diff("recipes/two.yaml", run, "--format", "json")[1]
        assert values(out) == {
            "second.iters": (50, 60),
            "second.lr_schedule.arguments[1]": (50, 60),
        }
        assert places(out)["second.iters"] == ["recipes/two.yaml:12 iters"]
