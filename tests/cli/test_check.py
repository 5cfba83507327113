"""run-recipe check for programs and for folders: annotations, SARIF, tests beside recipes."""

import json

import pytest
from click.testing import CliRunner

from runner import workflow
from runner.base.problems import Mark, Problem
from runner.cli.check import command
from runner.lint import findings
from runner.report.annotations import sarif, workflow_command

GOOD = "version: 1\nstages: {mix: {tool: data.mix, params: {primary: a, replay: b, seed: 3}}}\n"
BAD = GOOD.replace("seed", "sed")
PROBLEM = Problem(
    mark=Mark(file="a b/ö.yaml", line=3, column=7),
    message="50% of it,\nall: wrong",
    rule="some-rule",
    hint="mend it",
    notes=(
        (Mark(file="base.yaml", line=1, column=2), "inherited here"),
        (None, "a note"),
        (Mark(file="--set", line=1, column=1), "said"),
    ),
    severity="warning",
)
LOOSE = Problem(
    mark=Mark(file="--set", line=1, column=6), message="matches nothing", rule="override-nothing"
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.jsonl").write_text('{"text": "x"}\n' * 17, encoding="utf-8")
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "good.yaml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "recipes" / "base.yaml").write_text("version: 1\nvars: {n: 1}\n", encoding="utf-8")
    return tmp_path


def call(*words):
    return CliRunner().invoke(command, words, standalone_mode=False)


def test_a_folder_is_every_recipe_in_it_and_no_base(folder):
    done = call("recipes")
    assert (done.return_value, done.stderr) == (0, "recipes/good.yaml: no problems\n")
    (folder / "recipes" / "sub").mkdir()
    (folder / "recipes" / "sub" / "bad.yaml").write_text(BAD, encoding="utf-8")
    done = call("recipes")
    assert done.return_value == 2
    assert done.stdout.startswith("recipes/good.yaml: no problems\nrecipes/sub/bad.yaml: 1 error\n")
    assert done.stderr == "2 recipes: 1 error\n"


def test_a_base_that_cannot_be_read_is_not_left_out(folder):
    (folder / "recipes" / "base.yaml").write_text("extends: lost.yaml\nvars: {n: 1}\n", "utf-8")
    assert "cannot read recipes/lost.yaml" in call("recipes").stdout


def test_a_folder_without_recipes_is_an_error(folder):
    done = call("a")
    assert str(done.exception) == "there is no recipe in a"
    assert done.exception.hint.endswith("rows are checked by: run-recipe data check a")


def test_the_tests_beside_a_recipe_are_run(folder):
    path = folder / "recipes" / "good.test.yaml"
    path.write_text("tests: {one: {params: {mix.seed: 4}}}\n", encoding="utf-8")
    assert call("recipes").return_value == 0
    for words in (["recipes", "--tests"], ["recipes/good.test.yaml"]):
        done = call(*words)
        assert done.return_value == 2
        assert "one: mix.seed is 3, not 4" in done.stdout
        assert "recipes/good.test.yaml: 1 test, 1 error\n" in done.output
    path.write_text("tests: {one: {params: {mix.seed: 3}}}\n", encoding="utf-8")
    assert call("recipes", "--tests").return_value == 0


def test_a_test_file_without_its_recipe_is_one_error(folder):
    tests = "tests: {one: {stages: [mix]}, two: {problems: [unknown-key]}}\n"
    (folder / "recipes" / "godo.test.yaml").write_text(tests, encoding="utf-8")
    assert call("recipes").return_value == 0
    for words in (["recipes", "--tests"], ["recipes/godo.test.yaml"]):
        done = call(*words)
        assert done.return_value == 2
        assert done.stdout.count("godo.test.yaml:1:1: there is no recipe 'recipes/godo.yaml'") == 1
        assert (
            "did you mean 'recipes/good.yaml'? Its tests are called good.test.yaml" in done.stdout
        )
        assert "1 error\n" in done.stderr


def test_a_test_file_may_name_a_recipe_elsewhere(folder):
    (folder / "recipes" / "tests").mkdir()
    path = folder / "recipes" / "tests" / "good.test.yaml"
    path.write_text("recipe: ../good.yaml\ntests: {one: {params: {mix.seed: 4}}}\n", "utf-8")
    assert "one: mix.seed is 3, not 4" in call("recipes", "--tests").stdout


TRAINING = """\
version: 1
vars: {rank: 8}
stages:
  train:
    tool: mlx_lm.lora
    params: {model: o/m, train: true, data: a, iters: 10, val_batches: -1, save_every: 5, lora_parameters: {rank: "{{ vars.rank }}", keys: [k]}}
"""
PROFILES = """\
profiles:
  quick: {stages: {train: {params: {iters: "5"}}}}
  wide: {vars: {rank: 0}}
  good: {vars: {rank: 16}}
"""


def test_a_recipe_is_looked_at_with_each_of_its_profiles(folder):
    (folder / "a" / "valid.jsonl").write_text('{"text": "x"}\n' * 9, encoding="utf-8")
    path = folder / "recipes" / "good.yaml"
    path.write_text(TRAINING, encoding="utf-8")
    alone = call("recipes")
    path.write_text(TRAINING + PROFILES, encoding="utf-8")
    done = call("recipes")
    assert done.return_value == 2
    assert "good.yaml:8:44: iters must be a whole number" in done.stdout
    assert "good.yaml:6:115: lora_parameters.rank must be at least 1, not 0" in done.stdout
    told = [line.strip() for line in done.stdout.splitlines() if "with --profile" in line]
    assert told == ["with --profile wide", "with --profile quick"]
    errors = [line for line in alone.stdout.splitlines() if line.endswith("]")]
    assert all(done.stdout.count(line) == 1 for line in errors)
    chosen = call("recipes", "--profile", "good")
    assert chosen.stdout == alone.stdout
    json_rows = json.loads(call("recipes", "--format", "json").stdout)
    assert {"place": None, "text": "with --profile wide"} in json_rows[0]["notes"]


def test_an_answer_given_before_is_given_anew_where_a_profile_changed(folder, monkeypatch):
    monkeypatch.setenv("RUN_RECIPE_CACHE", str(folder / "cache"))
    path = folder / "recipes" / "good.yaml"
    path.write_text(GOOD + "profiles: {p: {stages: {mix: {params: {seed: 4}}}}}\n", "utf-8")
    assert call("recipes").return_value == call("recipes").return_value == 0
    path.write_text(GOOD + "profiles: {p: {stages: {mix: {params: {seed: x}}}}}\n", "utf-8")
    assert call("recipes").return_value == 2


def test_a_profile_of_a_folder_leaves_out_what_does_not_have_it(folder):
    profile = "profiles: {p: {stages: {mix: {params: {seed: 4}}}}}\n"
    (folder / "recipes" / "other.yaml").write_text(GOOD + profile, encoding="utf-8")
    done = call("recipes", "--profile", "p")
    assert done.return_value == 0
    assert done.stdout == "recipes/other.yaml: no problems\n"
    assert (
        done.stderr == "recipes/good.yaml: skipped: it has no profile 'p'\n1 recipe: no problems\n"
    )
    assert call("recipes/good.yaml", "--profile", "p").return_value == 2
    nobody = call("recipes", "--profile", "pp").exception
    assert (str(nobody), nobody.hint) == (
        "none of 2 recipes has the profile 'pp'",
        "there are: p",
    )


def test_errors_stand_before_warnings_and_are_counted_apart(folder):
    two = TRAINING.replace("data: a", "data: nowhere").replace(
        "iters: 10", "iters: 10, batch_size: 1"
    )
    (folder / "recipes" / "good.yaml").write_text(
        two.replace("iters: 10", "iters: 3, num_layers: 0")
    )
    done = call("recipes/good.yaml")
    kinds = [": warning: " in line for line in done.stdout.splitlines() if line.endswith("]")]
    assert kinds == sorted(kinds)
    assert True in kinds
    assert False in kinds
    assert done.stderr == (
        f"recipes/good.yaml: {kinds.count(False)} error{'s' * (kinds.count(False) > 1)}, "
        f"{kinds.count(True)} warning{'s' * (kinds.count(True) > 1)}\n"
    )


def test_of_several_recipes_what_a_training_amounts_to_stands_under_its_name(folder):
    (folder / "recipes" / "train.yaml").write_text(TRAINING, encoding="utf-8")
    alone = call("recipes/train.yaml").stdout
    assert "\nbudget train: 10 iterations of 4 rows" in f"\n{alone}"
    both = call("recipes").stdout
    assert both.splitlines()[0] == "recipes/good.yaml: no problems"
    assert both.splitlines()[1].startswith("recipes/train.yaml: ")
    assert both.splitlines()[-1].startswith("  budget train: 10 iterations = ")


def test_a_problem_is_an_annotation_on_github(folder):
    (folder / "recipes" / "good.yaml").write_text(BAD, encoding="utf-8")
    done = call("recipes", "--format", "github")
    assert done.return_value == 2
    assert done.stdout == (
        "::error file=recipes/good.yaml,line=2,col=64,title=unknown-key"
        "::data.mix has no parameter 'sed'%0Ahint: did you mean 'seed'?\n"
    )
    assert done.stderr == ""


def test_files_are_named_as_the_workspace_has_them(folder, monkeypatch):
    (folder / "recipes" / "good.yaml").write_text(BAD, encoding="utf-8")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(folder))
    monkeypatch.chdir(folder / "recipes")
    out = call("good.yaml", "--format", "github").stdout
    assert out.startswith("::error file=recipes/good.yaml,line=2,")
    log = json.loads(call("good.yaml", "--format", "sarif").stdout)
    (place,) = log["runs"][0]["results"][0]["locations"]
    assert place["physicalLocation"]["artifactLocation"] == {"uri": "recipes/good.yaml"}


def test_what_would_end_an_annotation_early_is_escaped():
    assert workflow_command(PROBLEM) == (
        "::warning file=a b/ö.yaml,line=3,col=7,title=some-rule::50%25 of it,%0Aall: wrong"
        "%0Abase.yaml:1:2: inherited here%0Aa note%0A--set:1:1: said%0Ahint: mend it"
    )
    named = Problem(mark=Mark(file="a:b,c.yaml", line=1, column=1), message="x", rule="y")
    assert workflow_command(named) == "::error file=a%3Ab%2Cc.yaml,line=1,col=1,title=y::x"
    assert workflow_command(LOOSE).startswith("::error title=override-nothing::--set:1:6: ")


def test_a_sarif_log_holds_every_problem_at_its_place():
    log = sarif([PROBLEM, LOOSE, PROBLEM], "1.2.3", {"some-rule": "First.\n\nMore of it."})
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("run-recipe", "1.2.3")
    assert [rule["id"] for rule in driver["rules"]] == ["override-nothing", "some-rule"]
    assert driver["rules"][1]["shortDescription"] == {"text": "First."}
    first, loose, _ = run["results"]
    assert driver["rules"][first["ruleIndex"]]["id"] == first["ruleId"] == "some-rule"
    assert first["level"] == "warning"
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "a%20b/%C3%B6.yaml"}
    assert place["region"] == {"startLine": 3, "startColumn": 7}
    assert [one["message"]["text"] for one in first["relatedLocations"]] == ["inherited here"]
    assert first["message"]["text"] == "50% of it,\nall: wrong\na note\nsaid\nhint: mend it"
    assert loose["message"]["text"] == "--set:1:6: matches nothing"
    assert "locations" not in loose


def test_sarif_is_what_check_prints(folder):
    (folder / "recipes" / "good.yaml").write_text(BAD, encoding="utf-8")
    log = json.loads(call("recipes", "--format", "sarif").stdout)
    assert log["version"] == "2.1.0"
    assert [one["ruleId"] for one in log["runs"][0]["results"]] == ["unknown-key"]


def test_nothing_wrong_is_a_log_without_results(folder):
    assert json.loads(call("recipes", "--format", "sarif").stdout)["runs"][0]["results"] == []
    assert call("recipes", "--format", "github").stdout == ""


CONVERT = (
    f"version: 1\nstages: {{c: {{tool: mlx_lm.convert, params: {{hf_path: org/m@{'c' * 40}, "
    "mlx_path: out}}}\n"
)


@pytest.fixture
def leftover(folder):
    """A model that an earlier run has left where the recipe puts its own."""
    (folder / "out").mkdir()
    (folder / "out" / "model.safetensors").write_text("x", encoding="utf-8")
    (folder / "r.yaml").write_text(CONVERT, encoding="utf-8")


@pytest.mark.usefixtures("leftover")
def test_what_an_earlier_run_has_left_is_no_error_of_a_recipe():
    done = call("r.yaml")
    assert done.return_value == 0, done.output
    assert (
        "warning: 'out' already exists: mlx_lm.convert would fail [model-folder-in-use]"
        in done.stdout
    )
    hint = "delete or move it, or remove mlx_path: each run then uses its own folder"
    assert f"hint: {hint}" in done.stdout


@pytest.mark.usefixtures("leftover")
def test_a_run_refuses_what_check_warns_of_and_a_smoke_run_writes_elsewhere():
    recipe = workflow.load("r.yaml")
    result = workflow.compile_recipe(recipe)
    for stages, severity in ((None, "warning"), (["c"], "error")):
        (found,) = findings.all_problems(result, stages)
        assert (found.rule, found.severity) == ("model-folder-in-use", severity)

    assert (
        findings.all_problems(result, ["c"], plan=workflow.plan(result, recipe, smoke=True)) == []
    )


REPLACED = """\
version: 1
vars: {seed: 3}
stages:
  mix: {tool: data.mix, params: {primary: a, replay: a, seed: "{{ vars.seed }}", ratio: 0.5}}
profiles:
  fixed: {stages: {mix: {params: {seed: 5}}}}
  wrong: {stages: {mix: {params: {seed: x}}}}
"""


@pytest.mark.parametrize("how", ["set", "environment"])
def test_an_override_that_nothing_reads_is_wrong_only_where_it_is_asked_for(
    folder, monkeypatch, how
):
    (folder / "r.yaml").write_text(REPLACED, encoding="utf-8")
    words = ["--set", "vars.seed=4"] if how == "set" else []
    if how == "environment":
        monkeypatch.setenv("RECIPE_VARS_SEED", "4")
    done = call("r.yaml", *words)
    assert "unused-var" not in done.stdout
    assert "seed must be a whole number" in done.stdout  # and each profile is still looked at
    (folder / "r.yaml").write_text(REPLACED.rpartition("  wrong")[0], encoding="utf-8")
    assert call("r.yaml", *words).return_value == 0
    assert "nothing reads vars.seed" in call("r.yaml", *words, "--profile", "fixed").stdout
    assert "no var 'sed'" in call("r.yaml", "--set", "vars.sed=4").stdout


WRONG = [
    ("data.split", "{data: a, valid: 60}", "60 valid would leave none to train on"),
    ("data.split", "{data: a, group_by: no}", "the row has no 'no'"),
    ("data.weight", "{data: a, field: no, repeat: {x: 2}}", "no row has 'x' as 'no'"),
    ("data.format", "{data: a, to: text, template: x}", "it needs {prompt} and then"),
    ("data.split", "{data: a, out: nothere/../x}", "'nothere', which the path goes through"),
    ("data.split", "{data: a, out: a/train.jsonl/x}", "'a/train.jsonl' is not a folder"),
    ("data.split", "{data: a, out: recipes}", "contains files that data.split did not write"),
    ("model.tiny", "{num_attention_heads: 3}", "does not split into 3 attention heads"),
]


@pytest.mark.parametrize(("tool", "params", "why"), WRONG)
def test_what_a_tool_of_ours_would_refuse_is_an_error_before(folder, tool, params, why):
    (folder / "r.yaml").write_text(
        f"version: 1\nstages:\n  one: {{tool: {tool}, params: {params}}}\n", encoding="utf-8"
    )
    done = call("r.yaml")
    assert (done.return_value, why in done.stdout) == (2, True)


def test_of_rows_that_a_stage_makes_it_says_that_it_does_not_know(folder):
    made = 'sort: {tool: data.sort, params: {data: "{{ stages.mix.data }}"}}'
    (folder / "r.yaml").write_text(
        f"version: 1\nstages:\n  mix: {{tool: data.mix, params: {{primary: a, replay: a, "
        f"ratio: 0.5}}}}\n  {made}\n"
        "profiles: {few: {stages: {mix: {params: {weight_by: no}}}}}\n",
        encoding="utf-8",
    )
    done = call("r.yaml")
    assert "note: data.sort could not check its data yet: stage 'mix' creates it" in done.stdout
    assert "the row has no 'no'" in done.stdout  # a profile's own parameters meet the rows, too
    assert "with --profile few" in done.stdout


ALLOW = "allow: [moving-target]"


@pytest.mark.parametrize("tool", ["perplexity", "dwq"])
def test_of_rows_that_the_hubs_library_loads_it_says_that_it_did_not_look(folder, tool):
    stage = f"{{tool: mlx_lm.{tool}, params: {{model: o/m, data_path: o/rows}}, {ALLOW}}}"
    (folder / "r.yaml").write_text(f"version: 1\nstages:\n  one: {stage}\n", encoding="utf-8")
    done = call("r.yaml")
    assert "note: the rows of 'o/rows' were not checked" in done.stdout
    assert "no problems in what was checked" in done.stderr


SHARED = """\
version: 1
vars:
  seed: 3
  ratio: 0.5
  link: 4
  chain: "{{ vars.link }}"
  pair: {one: 1, two: 2}
defaults:
  data.mix: {primary: a, replay: b, seed: "{{ vars.seed }}"}
  data.weight: {field: x}
"""
CHILD = "version: 1\nextends: base/shared.yaml\nstages: {{mix: {{tool: data.mix, params: {0}}}}}\n"
CHILDREN = {
    "one": '{ratio: "{{ vars.ratio }}"}',
    "two": '{seed: "{{ vars.pair.two + vars.pair.one }}"}',
    "three": '{seed: "{{ vars.chain }}"}',
}


@pytest.fixture
def shared(folder):
    (folder / "recipes" / "good.yaml").unlink()
    (folder / "recipes" / "base").mkdir()
    (folder / "recipes" / "base" / "shared.yaml").write_text(SHARED, encoding="utf-8")
    for name, params in CHILDREN.items():
        (folder / "recipes" / f"{name}.yaml").write_text(CHILD.format(params), encoding="utf-8")
    return folder


def rules(*words):
    done = call(*words, "--format", "json")
    keys = ("rule", "file", "line", "recipe")
    return [tuple(one[key] for key in keys) for one in json.loads(done.stdout)]


def test_a_base_may_hold_what_some_of_its_children_use(shared):
    weight = ("unused-defaults", "recipes/base/shared.yaml", 10, "recipes/base/shared.yaml")
    assert rules("recipes") == [weight]
    for name in CHILDREN:
        assert rules(f"recipes/{name}.yaml") == []
    done = call("recipes")
    assert "checked over 3 recipes that extend this file" in done.stdout
    assert done.stderr == "3 recipes, 1 base: 1 error\n"


def test_what_no_child_of_a_base_uses_is_told_at_its_line_and_can_be_removed(shared):
    base = shared / "recipes" / "base" / "shared.yaml"
    text = SHARED.replace("  data.weight: {field: x}\n", "")
    base.write_text(text.replace("  link", "  typo: 1\n  link"), encoding="utf-8")
    done = call("recipes")
    assert done.return_value == 2
    assert "recipes/base/shared.yaml:5:3: nothing reads vars.typo" in done.stdout
    assert "or remove it" in done.stdout
    base.write_text(text, encoding="utf-8")
    assert call("recipes").return_value == 0


def test_a_base_is_not_judged_where_a_recipe_that_may_use_it_is_not_looked_at(shared):
    (shared / "recipes" / "sub").mkdir()
    child = CHILD.format("{seed: 1}").replace("base/", "../base/")
    (shared / "recipes" / "sub" / "four.yaml").write_text(child, encoding="utf-8")
    assert rules("recipes/sub") == []  # the base is outside of the folder
    broken = CHILD.format("{seed: 1}").replace("base/shared.yaml", "[base/shared.yaml, no.yaml]")
    (shared / "recipes" / "five.yaml").write_text(broken, encoding="utf-8")
    assert [rule for rule, *_ in rules("recipes")] == ["cannot-read"]


def test_a_profile_of_one_child_uses_what_a_base_holds(shared):
    two = shared / "recipes" / "two.yaml"
    profile = "profiles: {p: {stages: {mix: {params: {seed: '{{ vars.typo }}'}}}}}\n"
    base = shared / "recipes" / "base" / "shared.yaml"
    base.write_text(SHARED.replace("  link", "  typo: 1\n  link"), encoding="utf-8")
    assert len(rules("recipes")) == 2
    two.write_text(two.read_text(encoding="utf-8") + profile, encoding="utf-8")
    assert [rule for rule, *_ in rules("recipes")] == ["unused-defaults"]
    assert rules("recipes", "--profile", "p") == []  # the others are not looked at


def test_what_a_child_says_itself_is_told_of_it_alone(shared):
    one = shared / "recipes" / "one.yaml"
    one.write_text(
        one.read_text(encoding="utf-8") + "vars: {mine: 1}\ndefaults: {data.split: {data: a}}\n",
        encoding="utf-8",
    )
    own = [(rule, file, line) for rule, file, line, _ in rules("recipes/one.yaml")]
    assert own == [
        ("unused-var", "recipes/one.yaml", 4),
        ("unused-defaults", "recipes/one.yaml", 5),
    ]
    assert call("recipes/two.yaml", "--set", "vars.ratio=0.2").return_value == 2


def test_a_layer_that_replaces_the_only_reader_makes_nothing_unused(shared):
    assert rules("recipes/three.yaml", "--set", "stages.mix.params.seed=5") == []
    own = shared / "own.yaml"
    own.write_text(REPLACED.rpartition("  wrong")[0], encoding="utf-8")
    assert rules("own.yaml", "--profile", "fixed") == []
