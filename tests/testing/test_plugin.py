"""pytest --recipes as a user runs it, in a project of its own."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
RECIPE = """\
version: 1
extends: base/base.yaml
vars: {rows: rows}
stages:
  train:
    tool: mlx_lm.lora
    params:
      model: org/model
      data: "{{ vars.rows }}"
      train: true
      iters: 600
      grad_checkpoint: true
profiles:
  quick: {stages: {train: {params: {iters: 50}}}}
"""
TESTS = """\
tests:
  quick is quick:
    profile: quick
    params: {train.iters: 50}
"""
pytestmark = pytest.mark.slow


def call(cwd, *words, **environ):
    outer = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    environ = {**outer, "CI": "", "BUILD_NUMBER": "", **environ}
    pytest_here = [sys.executable, "-m", "pytest", "-p", "runner.testing.plugin"]
    return subprocess.run(
        [*pytest_here, "-p", "no:cacheprovider", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env=environ,
    )


@pytest.fixture
def project(tmp_path):
    """A project with a base, a recipe, its tests, and YAML of others; nothing is locked yet."""
    recipes = tmp_path / "recipes"
    (recipes / "base").mkdir(parents=True)
    (recipes / "base" / "base.yaml").write_text(
        "version: 1\ndefaults: {mlx_lm.lora: {learning_rate: 2.0e-5}}\n", encoding="utf-8"
    )
    (recipes / "one.yaml").write_text(RECIPE, encoding="utf-8")
    (recipes / "one.test.yaml").write_text(TESTS, encoding="utf-8")
    (tmp_path / ".gitlab-ci.yml").write_text("stages:\n- build\n", encoding="utf-8")
    (tmp_path / "compose.yaml").write_text("version: '3'\nservices: {}\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def locked(project):
    done = call(project, "--recipes", "--snapshot-update")
    assert done.returncode == 0, done.stdout
    return project


def names(done):
    return [line.split(" ")[0] for line in done.stdout.splitlines() if "::" in line]


def test_every_recipe_and_each_of_its_profiles_is_locked(project):
    first = call(project, "--recipes", "recipes/", "-v")
    assert "nothing is locked yet" in first.stdout
    assert first.returncode == 1
    wanted = [
        "recipes/one.test.yaml::quick",
        "recipes/one.yaml::one",
        "recipes/one.yaml::one[quick]",
    ]
    assert names(first)[:3] == wanted
    assert not (project / "recipes" / "__snapshots__").exists()
    second = call(project, "--recipes", "--snapshot-update")
    assert second.returncode == 0
    locked = project / "recipes" / "__snapshots__"
    assert sorted(path.name for path in locked.iterdir()) == LOCKED
    assert "--iters=600" in (locked / "one.sh").read_text(encoding="utf-8")
    assert "--iters=50" in (locked / "one[quick].sh").read_text(encoding="utf-8")
    third = call(project, "--recipes", "-n", "2", LEARNING_RATE="1", RECIPE_VARS_ROWS="other")
    assert third.returncode == 0, third.stdout
    assert "4 snapshots passed" in third.stdout


def test_without_the_flag_nothing_is_collected(project):
    done = call(project)
    assert done.returncode == 5
    assert "collected 0 items" in done.stdout


def test_a_parameter_removed_from_the_recipe_is_caught(locked):
    path = locked / "recipes" / "one.yaml"
    path.write_text(RECIPE.replace("      grad_checkpoint: true\n", ""), encoding="utf-8")
    done = call(locked, "--recipes")
    assert done.returncode == 1
    assert "its commands differ" in done.stdout
    assert "  train\n    grad_checkpoint  true -> false\n" in done.stdout
    assert "-  --grad-checkpoint" in done.stdout


def test_a_value_that_changes_is_told_with_its_line(locked):
    base = locked / "recipes" / "base" / "base.yaml"
    base.write_text(base.read_text(encoding="utf-8").replace("2.0e-5", "1.0e-5"), encoding="utf-8")
    done = call(locked, "--recipes", "-k", "not quick")
    said = "learning_rate  2e-05 -> 1e-05  <- recipes/base/base.yaml:2\n"
    assert said in done.stdout


CONFTEST = {
    "catalogue": """
from runner.catalog import load as schemas
tool = schemas.catalog().get("mlx_lm.lora")
del tool.schema["properties"]["max_seq_length"]
""",
    "catalogue, a key of the file": """
from runner.catalog import load as schemas
tool = schemas.catalog().get("mlx_lm.lora")
del tool.schema["properties"]["mask_prompt"]
""",
    "emitter, a value of the recipe": """
from runner.command import argv as invocation
words = invocation._words
invocation._words = lambda p, v: () if p.name == "learning_rate" else words(p, v)
""",
    "emitter": """
from runner.command import argv as invocation
words = invocation._words
invocation._words = lambda p, v: () if p.name == "max_seq_length" else words(p, v)
""",
}


LOCKED = ["one.plan.json", "one.sh", "one[quick].plan.json", "one[quick].sh"]
SAME = "  the recipe is unchanged: run-recipe now writes its commands differently\n"


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("catalogue", "    max_seq_length  2048 -> (nothing)\n---"),
        ("catalogue, a key of the file", "    mask_prompt  false -> (nothing)\n---"),
        ("emitter, a value of the recipe", f'    learning_rate  "2e-05" -> (nothing)\n{SAME}---'),
        ("emitter", f'    max_seq_length  "2048" -> (nothing)\n{SAME}---'),
    ],
)
def test_a_parameter_removed_from_the_catalogue_or_the_emitter_is_caught(place, told, locked):
    (locked / "conftest.py").write_text(CONFTEST[place], encoding="utf-8")
    done = call(locked, "--recipes", "-k", "not quick")
    assert done.returncode == 1
    assert f"its commands differ from the locked ones\n  train\n{told}" in done.stdout


def test_a_snapshot_of_no_recipe_is_told_and_removed_as_syrupy_does(locked):
    (locked / "recipes" / "one.yaml").rename(locked / "recipes" / "two.yaml")
    (locked / "recipes" / "one.test.yaml").unlink()
    assert "4 snapshots unused" in call(locked, "--recipes").stdout
    call(locked, "--recipes", "--snapshot-update")
    left = sorted(path.name for path in (locked / "recipes" / "__snapshots__").iterdir())
    assert left == [name.replace("one", "two") for name in LOCKED]


def test_an_update_removes_nothing_that_is_locked_where_something_is_broken(locked):
    folder = locked / "recipes" / "__snapshots__"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (locked / "recipes" / "one.yaml").write_text(f"{RECIPE}typo: 1\n", encoding="utf-8")
    assert call(locked, "--recipes", "--snapshot-update").returncode == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (locked / "recipes" / "one.yaml").write_text(RECIPE, encoding="utf-8")
    (locked / "test_broken.py").write_text("import nothing_of_that_name\n", encoding="utf-8")
    assert call(locked, "--recipes", "--snapshot-update").returncode == 2
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    "text",
    [f"{RECIPE}x: [\n", RECIPE.replace("profiles:", "profiles"), "", "stages: \ud800", None],
    ids=["YAML", "profiles", "empty", "not text", "no base"],
)
def test_a_recipe_that_cannot_be_read_keeps_all_that_is_locked(text, locked):
    folder = locked / "recipes" / "__snapshots__"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    if text is None:
        (locked / "recipes" / "base" / "base.yaml").unlink()
    else:
        path = locked / "recipes" / "one.yaml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
    done = call(locked, "--recipes", "--snapshot-update", "recipes/one.yaml")
    assert done.returncode == 1, done.stdout
    assert "one.yaml:" in done.stdout
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_test_file_that_cannot_be_read_keeps_what_it_locks(locked):
    suite = locked / "recipes" / "one.test.yaml"
    more = "snapshots:\n  - {name: long, set: {stages.train.params.iters: 5000}}\n"
    suite.write_text(more, encoding="utf-8")
    assert call(locked, "--recipes", "--snapshot-update").returncode == 0
    folder = locked / "recipes" / "__snapshots__"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert sorted(before) == ["one[long].plan.json", "one[long].sh"]
    suite.write_text(f"{more}x: [\n", encoding="utf-8")
    done = call(locked, "--recipes", "--snapshot-update", "recipes/one.yaml")
    assert done.returncode == 1, done.stdout
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(("name", "value"), [("CI", "true"), ("BUILD_NUMBER", "12")])
def test_nothing_is_updated_in_ci(locked, name, value):
    before = (locked / "recipes" / "__snapshots__" / "one.sh").read_bytes()
    (locked / "recipes" / "base" / "base.yaml").write_text("version: 1\n", encoding="utf-8")
    done = call(locked, "--recipes", "--snapshot-update", **{name: value})
    assert done.returncode == 4
    assert f"snapshots are not updated in CI (the variable {name} is set)" in done.stderr
    assert (locked / "recipes" / "__snapshots__" / "one.sh").read_bytes() == before
    assert call(locked, "--recipes", **{name: value}).returncode == 1


def test_a_failing_case_says_where_and_what(locked):
    path = locked / "recipes" / "one.test.yaml"
    path.write_text(TESTS.replace("iters: 50", "iters: 60"), encoding="utf-8")
    done = call(locked, "--recipes")
    assert "recipes/one.test.yaml:4:27: quick is quick: train.iters is 50, not 60" in done.stdout
    assert "recipes/one.yaml:14:44: set here" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_broken_recipe_and_a_broken_test_file_are_told_and_not_left_out(locked):
    (locked / "recipes" / "one.yaml").write_text(f"{RECIPE}typo: 1\n", encoding="utf-8")
    done = call(locked, "--recipes")
    assert "a recipe has no key 'typo'" in done.stdout
    assert done.returncode == 1
    (locked / "recipes" / "one.test.yaml").write_text("test: {a: {stages: [b]}}\n", "utf-8")
    done = call(locked, "--recipes")
    assert "a test file has no key 'test'" in done.stdout
    assert "did you mean 'tests'?" in done.stdout
    assert "1 error during collection" in done.stdout
    assert done.returncode != 0


def test_what_a_lock_advises_is_done(project):
    """Nothing is locked, then something else is, then it is asked in CI: each way out works."""
    assert "nothing is locked yet: review the commands, then run --snapshot-update" in told(project)
    assert call(project, "--recipes", "--snapshot-update").returncode == 0
    base = project / "recipes" / "base" / "base.yaml"
    base.write_text(base.read_text(encoding="utf-8").replace("2.0e-5", "1.0e-5"), encoding="utf-8")
    assert "if intended, run --snapshot-update and review the diff" in told(project)
    plan = project / "recipes" / "__snapshots__" / "one.plan.json"
    plan.unlink()
    assert "the script is locked without its plan" in told(project)
    done = call(project, "--recipes", "--snapshot-update", CI="true")
    assert "run --snapshot-update on your machine, review the diff, and commit it" in done.stderr
    assert call(project, "--recipes", "--snapshot-update").returncode == 0
    assert call(project, "--recipes", CI="true").returncode == 0
    assert plan.exists()


def told(project):
    done = call(project, "--recipes")
    assert done.returncode == 1
    return done.stdout


def test_without_syrupy_a_sentence_says_what_to_install(project):
    done = call(project, "--recipes", "-p", "no:syrupy")
    assert done.returncode == 4
    assert "pip install 'run-recipe[test]'" in done.stderr


def test_every_other_pytest_run_of_the_environment_pays_next_to_nothing(tmp_path):
    code = """
import sys
before = set(sys.modules)
import runner.testing.plugin
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(new & {"click", "jinja2", "jsonschema", "mlx", "yaml", "syrupy", "rich"}))
print(sorted(name for name in sys.modules if name.startswith("runner")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "[]",
        "['runner', 'runner.testing', 'runner.testing.plugin']",
    ]


def test_looking_at_recipes_never_imports_mlx(locked):
    hook = """
import sys
def pytest_sessionfinish():
    heavy = {"mlx", "mlx_lm", "transformers"} & {name.partition(".")[0] for name in sys.modules}
    assert not heavy, heavy
"""
    (locked / "conftest.py").write_text(hook, encoding="utf-8")
    assert call(locked, "--recipes").returncode == 0


def test_the_package_declares_the_plugin_and_the_extra():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"runner.testing.plugin": "runner.testing.plugin"}
    assert any(need.startswith("syrupy") for need in project["optional-dependencies"]["test"])
    assert not any(need.startswith(("syrupy", "pytest")) for need in project["dependencies"])


def test_what_is_locked_holds_from_every_folder(locked):
    recipes = locked / "recipes"
    for cwd, words in ((recipes, ["one.yaml"]), (recipes, []), (recipes / "base", ["../one.yaml"])):
        done = call(cwd, "--recipes", "-q", *words)
        assert done.returncode == 0, done.stdout
    before = (recipes / "__snapshots__" / "one.sh").read_text()
    assert "from recipes/one.yaml;" in before
    (recipes / "one.yaml").write_text(RECIPE.replace("600", "700"), encoding="utf-8")
    assert "600 -> 700" in call(recipes, "--recipes", "-q", "one.yaml").stdout
    assert call(recipes, "--recipes", "-q", "one.yaml", "--snapshot-update").returncode == 0
    after = (recipes / "__snapshots__" / "one.sh").read_text()
    assert after == before.replace("600", "700")


def test_a_new_recipe_is_locked_from_the_folder_of_those_beside_it(locked):
    recipes = locked / "recipes"
    (recipes / "two.yaml").write_text(RECIPE, encoding="utf-8")
    assert call(recipes, "--recipes", "-q", "two.yaml", "--snapshot-update").returncode == 0
    assert "from recipes/two.yaml;" in (recipes / "__snapshots__" / "two.sh").read_text()
    assert call(locked, "--recipes", "-q").returncode == 0


def test_what_was_locked_in_the_recipes_own_folder_holds_from_above(project):
    recipes = project / "recipes"
    assert call(recipes, "--recipes", "-q", "--snapshot-update").returncode == 0
    assert "from one.yaml;" in (recipes / "__snapshots__" / "one.sh").read_text()
    assert call(project, "--recipes", "-q").returncode == 0
