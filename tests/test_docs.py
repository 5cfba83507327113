"""What the documentation shows is what happens."""

import contextlib
import importlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from runner import workflow

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", README, re.DOTALL)


def call(words, cwd):
    return subprocess.run(
        [sys.executable, "-m", "runner", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("block", blocks("console"))
def test_a_console_example_prints_what_it_shows(block):
    command, _, shown = block.partition("\n")
    done = call(command.removeprefix("$ run-recipe ").split(), ROOT)
    assert done.stdout + done.stderr == shown


@pytest.fixture
def mine(tmp_path):
    """The README's recipe in a folder of its own."""
    (tmp_path / "my.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    (tmp_path / "data").symlink_to(ROOT / "recipes" / "data" / "security" / "analysis")
    return tmp_path


def test_the_recipe_has_no_problem(mine, monkeypatch):
    monkeypatch.chdir(mine)
    assert workflow.problems(workflow.read("my.yaml", environ={}), {}) == []


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["check", "--dry-run", "show"])
def test_a_command_of_the_readme_that_needs_no_mlx_works(verb, mine):
    lines = [line.split("#")[0].split() for line in blocks("sh")[1].splitlines()]
    words = next(line for line in lines if verb in line)
    done = call(words[1:], mine)
    assert done.returncode == 0, done.stderr
    assert done.stdout or verb == "check"


def test_the_rows_of_the_readme_are_rows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    for split in ("train", "valid", "test"):
        Path("data", f"{split}.jsonl").write_text(blocks("jsonl")[0], encoding="utf-8")
    assert "`run-recipe data check data`" in README
    with contextlib.suppress(SystemExit):
        importlib.import_module("runner.data.check").main(["data"])
    assert "error" not in "".join(capsys.readouterr())


def test_the_readme_leads_to_the_first_ten_minutes_before_its_first_recipe():
    start = README.partition("## A recipe")[0]
    assert "docs/guide.md" in start
    assert "pip install '.[test]'" in start
    assert "docs/editor.md#before-a-commit" in README


@pytest.mark.slow
def test_the_other_commands_of_the_readme_work(mine):
    pytest.importorskip("mlx_lm")
    lines = [line.split("#")[0].split()[1:] for line in blocks("sh")[1].splitlines()]
    assert ["my.yaml", "--smoke"] in lines
    assert ["my.yaml", "--resume"] in lines
    assert ["report", "--open"] in lines
    known = (["my.yaml", "--smoke"], ["my.yaml", "--smoke", "--resume"], ["audit"], ["report"])
    for words in known:
        done = call(words, mine)
        assert done.returncode == 0, done.stderr
    assert "mlx" in call(["doctor"], mine).stdout


DATA = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """The files of docs/data.md in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    for name, text in re.findall(r"```jsonl (\S+)\n(.*?)```", DATA, re.DOTALL):
        Path(name).write_text(text, encoding="utf-8")


def test_the_examples_of_the_data_tools_print_what_they_show(rows, capsys):
    for command, shown in re.findall(r"```console\n\$ run-recipe (.*?)\n(.*?)```", DATA, re.DOTALL):
        verb, name, *words = shlex.split(command)
        assert verb == "data"
        with contextlib.suppress(SystemExit):
            importlib.import_module(f"runner.data.{name}").main(words)
        assert "".join(capsys.readouterr()) == shown, command


def data_recipe():
    Path("data.yaml").write_text(re.findall(r"```yaml\n(.*?)```", DATA, re.DOTALL)[0])


def test_the_recipe_of_the_data_tools_has_no_problem(rows):
    data_recipe()
    assert workflow.problems(workflow.read("data.yaml", environ={}), {}) == []


@pytest.mark.slow
def test_the_recipe_of_the_data_tools_makes_what_its_commands_make(rows):
    data_recipe()
    split = re.search(r"\$ run-recipe (data split .*)", DATA)[1]
    for command in [*re.findall(r"\$ run-recipe (data format .*)", DATA)[:1], split]:
        call(shlex.split(command), Path())
    done = call(["data.yaml"], Path())
    assert done.returncode == 0, done.stderr
    made = Path("runs/data/latest/split/data/valid.jsonl")
    assert made.read_bytes() == Path("split/valid.jsonl").read_bytes()
    run = Path("runs/data/latest/run.json")
    measured = {stage["name"]: stage["metrics"] for stage in json.loads(run.read_text())["stages"]}
    assert measured["split"]["train_rows"] == 6
    assert measured["mix"]["realised_share"] == 0.3125
    assert measured["sort"]["padding_after"] < 0.4


def test_every_exit_code_is_documented():
    from runner.base.errors import Exit

    said = README.partition("Exit codes:")[2].partition("\n\n")[0]
    assert [code for code in Exit if str(int(code)) not in said] == []


def test_every_link_leads_somewhere():
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
            assert target.startswith("http") or (path.parent / target).exists(), (path, target)
