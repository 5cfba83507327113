"""The command line: exit codes, what goes to which stream, nothing made by a mistake."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
GOOD = """
version: 1
vars: {rate: 1e-4}
stages:
  mix: {tool: data.mix, params: {primary: a, replay: b, seed: 3}}
profiles:
  other: {stages: {mix: {params: {seed: 4}}}}
"""


@pytest.fixture
def folder(tmp_path):
    for name, rows in (("a", 17), ("b", 9)):  # 3 replayed rows beside 17 are the default share
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.jsonl").write_text('{"text": "x y"}\n' * rows, encoding="utf-8")
    (tmp_path / "good.yaml").write_text(GOOD.replace("vars: {rate: 1e-4}\n", ""), encoding="utf-8")
    (tmp_path / "bad.yaml").write_text(GOOD, encoding="utf-8")
    return tmp_path


def call(cwd, *words, env=None, start="from runner.cli.main import main; main()"):
    code = f"import sys; sys.argv = ['run-recipe', *{list(words)!r}]; {start}"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False, env=env
    )


@pytest.fixture
def main(monkeypatch, capsys):
    """Call the command line in this process: exit code, standard output, standard error."""
    from runner.cli import main as cli

    def started(cwd, *words):
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["run-recipe", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return int(end.value.code or 0), *capsys.readouterr()

    return started


def test_a_typo_on_the_command_line_makes_nothing(folder):
    done = call(folder, "good.yaml", "--set", "stages.mix.params.sed=1")
    assert done.returncode == 2
    assert "--set:1:19" in done.stderr
    assert "did you mean 'seed'?" in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b", "bad.yaml", "good.yaml"]


def test_the_same_typo_in_a_file_makes_nothing(folder):
    (folder / "good.yaml").write_text(
        GOOD.replace("seed: 3", "sed: 3").replace("vars: {rate: 1e-4}\n", "")
    )
    done = call(folder, "good.yaml")
    assert done.returncode == 2
    assert "good.yaml:4:57" in done.stderr
    assert "did you mean 'seed'?" in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b", "bad.yaml", "good.yaml"]


@pytest.mark.slow
def test_run_is_the_verb_that_needs_no_name(folder):
    shown = call(folder, "good.yaml", "--dry-run")
    assert shown.returncode == 0
    assert shown.stdout == call(folder, "run", "good.yaml", "-n").stdout
    assert shown.stdout == call(folder, "--dry-run", "good.yaml").stdout
    assert shown.stderr == ""


def test_check_reports_every_recipe(folder):
    done = call(folder, "check", "good.yaml", "bad.yaml")
    assert done.returncode == 2
    assert "nothing reads vars.rate" in done.stdout
    assert done.stdout.splitlines()[:2] == ["good.yaml: no problems", "bad.yaml: 1 error"]
    assert done.stderr == "2 recipes: 1 error\n"


def test_problems_are_json_for_programs(folder):
    done = call(folder, "check", "bad.yaml", "--format", "json")
    (problem,) = json.loads(done.stdout)
    assert problem["line"] == 3
    assert problem["rule"] == "unused-var"
    assert done.stderr == ""


@pytest.mark.slow
def test_a_profile_changes_the_commands(folder):
    assert "--seed=3" in call(folder, "good.yaml", "-n").stdout
    assert "--seed=4" in call(folder, "good.yaml", "-n", "--profile", "other").stdout


def test_show_names_the_winner_and_the_losers(folder):
    done = call(folder, "show", "good.yaml", "mix.seed", "--set", "stages.mix.params.seed=9")
    row = done.stdout.splitlines()[1]
    assert row == (
        "  seed = 9  <- --set stages.mix.params.seed=9 over good.yaml:4 3 over data.mix default 0"
    )


def test_a_recipe_that_is_not_there_is_one_problem(folder):
    done = call(folder, "nothing.yaml")
    assert done.returncode == 2
    assert "cannot read nothing.yaml" in done.stderr


@pytest.mark.parametrize(
    ("words", "why", "hint"),
    [
        (
            ["frobnicate"],
            "no command and no recipe 'frobnicate'",
            "run-recipe --help lists the commands",
        ),
        (["chek", "good.yaml"], "no command and no recipe 'chek'", "did you mean 'check'?"),
        (["good"], "no command and no recipe 'good'", "did you mean 'good.yaml'?"),
        (["-n"], "no recipe given", "there are: bad.yaml, good.yaml"),
        (
            ["-q", "check", "good.yaml"],
            "options go after the command 'check'",
            "write: run-recipe check good.yaml (check has no -q)",
        ),
        (["tools", "upload"], "there is no tool 'upload'", "hf.upload, mlx_lm.upload"),
        (["tools", "mlx_lm.lor"], "there is no tool", "did you mean 'mlx_lm.lora'?"),
        (["rules", "nope"], "there is no rule 'nope'", "see: run-recipe rules"),
        (["import", "nosuch.sh"], "nosuch.sh", "put a command after --"),
        (["--resume"], "no runs in runs", "run a recipe first"),
        (["show", "good.yaml", "stage.mix.seed"], "has no 'stage.mix.seed'", "stages.mix.seed"),
        (["show", "good.yaml", "mix.sed"], "has no 'mix.sed'", "did you mean 'mix.seed'?"),
        (["show", "good.yaml", "--file", "god.yaml"], "a file 'god.yaml'", "mean 'good.yaml'?"),
        (["diff", "HEAD~1"], "'HEAD~1' is not a recipe", "run-recipe diff . HEAD~1"),
        (["diff", "good"], "'good' is not a recipe", "did you mean 'good.yaml'?"),
        (["diff", ""], "an argument is empty", "a shell variable"),
        (["check", ""], "an argument is empty", "a shell variable"),
        (["new", ""], "an argument is empty", "a shell variable"),
        (["r.yaml", "-n", "--from", ""], "--from has no value", "a shell variable"),
        (["r.yaml", "-n", "--from="], "--from has no value", "a shell variable"),
        (["data", "split", "--data", ""], "--data has no value", "a shell variable"),
        (["diff", "god.yaml"], "cannot read god.yaml", "did you mean 'good.yaml'?"),
        (["."], "'.' is a folder", "name one recipe: bad.yaml, good.yaml"),
        (["--dry-run", "."], "'.' is a folder", "name one recipe: bad.yaml, good.yaml"),
        (["check", "a/train.jsonl"], "a/train.jsonl contains rows", "run-recipe data check a"),
        (["train", "good.yaml", "-n"], "not a recipe", "did you mean: run-recipe good.yaml -n?"),
        (["new", "x", "--from", "builtin:nope"], "recipe 'builtin:nope'", "there are: basic, "),
        (["new", "x", "--from", "bsic"], "shipped recipe 'bsic'", "did you mean 'basic'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_word_that_is_nothing_gets_the_way_out(folder, words, why, hint, main):
    code, out, err = main(folder, *words)
    assert (code, out) == (2, "")
    assert why in err
    assert hint in err


def test_the_page_of_a_rule_says_how_it_is_allowed(folder, main):
    code, out, _ = main(folder, "rules", "fuse-without-dequantize")
    assert code == 0
    assert out.endswith("allow: [fuse-without-dequantize]\n")


@pytest.mark.parametrize(
    "words",
    [
        ["-n", "good.yaml"],
        ["--profile", "other", "good.yaml", "-n", "--set", "stages.mix.params.seed=3"],
        ["--set", "stages.mix.params.seed=3", "run", "good.yaml", "-n"],
    ],
    ids=" ".join,
)
def test_options_may_stand_before_the_recipe(folder, words, main):
    assert main(folder, *words) == main(folder, "run", "good.yaml", "-n")


def test_resume_does_not_eat_the_recipe(folder, main):
    for words in (["--resume", "good.yaml"], ["run", "--resume", "good.yaml"]):
        code, _, err = main(folder, *words)
        assert code == 2
        assert "no real run of 'good' to resume" in err


def test_a_shipped_recipe_is_called_as_it_is_extended(folder, main):
    code, out, _ = main(folder, "builtin:basic", "-n")
    assert code == 0
    assert ': "${RUN_DIR:=runs/basic/script}"' in out


def test_a_tool_may_be_called_by_its_last_word(folder, main):
    assert main(folder, "tools", "mix") == main(folder, "tools", "data.mix")


def test_a_dry_run_is_json_for_programs(folder, main):
    code, out, err = main(folder, "good.yaml", "-n", "--format", "json")
    assert (code, err) == (0, "")
    said = json.loads(out)
    (stage,) = said["stages"]
    script = main(folder, "good.yaml", "-n")[1]
    assert [word for word in stage["argv"] if word.startswith("--seed")] == ["--seed=3"]
    for word in stage["argv"]:
        assert word.partition("=")[0] in script
    assert stage["params"]["seed"] == 3
    assert (said["name"], said["problems"]) == ("good", [])


def test_a_surprise_is_an_internal_error_with_what_a_report_needs(folder):
    start = "from runner import workflow; from runner.cli.main import main; workflow.load = None; main()"
    done = call(folder, "good.yaml", start=start)
    assert done.returncode == 70
    assert "this is a bug in run-recipe" in done.stderr


@pytest.mark.slow
def test_a_closed_pipe_is_no_traceback(folder):
    line = f"{sys.executable} -m runner schema | head -c 10"
    done = subprocess.run(
        ["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr


def test_the_library_does_what_the_command_line_does(folder, monkeypatch):
    import runner

    monkeypatch.chdir(folder)
    plan = runner.compile(runner.load("good.yaml", sets=["stages.mix.params.seed=5"]))
    assert plan.stage("mix").params["seed"] == 5


def test_a_smoke_run_tells_its_own_budget(folder, monkeypatch):
    from runner import workflow
    from runner.lint import findings

    text = GOOD.partition("vars:")[0] + "stages:\n  one:\n    tool: mlx_lm.lora\n"
    text += "    params: {model: m, train: true, data: d, iters: 1200}\n"
    (folder / "good.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(folder)
    recipe = workflow.load("good.yaml", environ={})
    compiled = workflow.compile_recipe(recipe, {})
    (real,) = findings.forecasts(compiled)
    (smoke,) = findings.forecasts(compiled, workflow.plan(compiled, recipe, smoke=True))
    assert (real.iterations, smoke.iterations) == (1200, 12)


def test_the_list_of_verbs_says_what_each_says_of_itself():
    from runner import cli as verbs

    said = {name: verbs.find(name).get_short_help_str(limit=200) for name in verbs.NAMES}
    assert said == verbs.NAMES


def test_the_list_of_verbs_is_whole_on_a_terminal_of_80_columns(folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    listed = call(folder, "--help").stdout
    assert "…" not in listed
    assert "..." not in listed.partition("Commands:")[2]
    assert max(map(len, listed.splitlines())) <= 80


def test_a_new_recipe_may_name_a_shipped_one_shortly(folder, main):
    assert main(folder, "new", "one", "--from", "qlora")[0] == 0
    assert main(folder, "new", "two", "--from", "builtin:qlora")[0] == 0
    assert (folder / "one.yaml").read_text() == (folder / "two.yaml").read_text()


def test_the_list_of_verbs_imports_none_of_them(folder):
    start = "import runner.cli.verbs as c; c.cli(standalone_mode=False); print([*sys.modules])"
    modules = call(folder, "--help", start=start).stdout.splitlines()[-1]
    assert "runner.cli" in modules
    assert "runner.cli.run'" not in modules


ROWS = """
version: 1
stages:
  train: {tool: mlx_lm.lora, params: {data: data, model: some/model, train: true, iters: 40}}
  mix: {tool: data.mix, params: {primary: new, replay: data}}
"""


@pytest.mark.slow
def test_rows_that_are_not_there_are_a_warning_of_check_and_refused_by_a_run(tmp_path):
    (tmp_path / "rows.yaml").write_text(ROWS, encoding="utf-8")
    done = call(tmp_path, "check", "rows.yaml")
    assert done.returncode == 0
    assert done.stdout.count(": warning: ") == 5
    for words in ([], ["--smoke"]):
        done = call(tmp_path, "rows.yaml", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert "rows.yaml:4:45: there is no folder 'data' here;" in done.stderr
        assert '{"messages": [{"role": "user",' in done.stderr
        assert "there is no folder and no file of rows 'new' here" in done.stderr
    done = call(tmp_path, "rows.yaml", "--only", "mix")
    assert done.returncode == 2
    assert "rows.yaml:4:45: warning:" in done.stderr, "that stage does not run"
    assert [path.name for path in tmp_path.iterdir()] == ["rows.yaml"], "nothing ran"
