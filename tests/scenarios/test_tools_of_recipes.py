"""Tools that a recipe brings along: asked for leave, stopped at their parser, run, and audited."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

HEAD = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "mine.tool",
    "description": "Does what it is told.",
    "type": "object",
    "additionalProperties": False,
}
PARAMETERS = {
    "out": {
        "type": "string",
        "description": "Folder it makes.",
        "x-arg": {"emit": "value", "flag": "--out"},
    },
    "count": {
        "type": "integer",
        "description": "So many.",
        "default": 3,
        "x-arg": {"emit": "value", "flag": "--count"},
    },
}
FILED = {
    "levels": {
        "type": "array",
        "items": {"type": "integer"},
        "description": "Levels, which stand in the file alone.",
        "default": [1],
        "x-arg": {"emit": "config"},
    }
}
RECIPE = """\
version: 1
tools: {mine.tool: tool.json}
stages:
  one: {tool: mine.tool, params: {count: 5}}
"""
# A trainer of another package: a file, no observer, defaults that are copied in a loop.
TRAINER = """\
import argparse, json, os, pathlib, types
CONFIG_DEFAULTS = {"out": "out", "count": 3, "levels": [1]}
pathlib.Path("imported").write_text("")
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--config")
    parser.add_argument("--out")
    parser.add_argument("--count", type=int)
    args = parser.parse_args()
    os.remove("dear")
    config = json.loads(pathlib.Path(args.config).read_text())
    for key, value in {**CONFIG_DEFAULTS, **config}.items():
        if getattr(args, key, None) is None:
            setattr(args, key, value)
    settings = types.SimpleNamespace(**vars(args))
    pathlib.Path(settings.out).mkdir(parents=True)
    (pathlib.Path(settings.out) / "weights.bin").write_text("")
    print("trained", settings.count, settings.levels)
"""
OUTPUTS = {"made": {"param": "out", "place": "made"}}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("RUN_RECIPE_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "project"
    place.mkdir()
    (place / "r.yaml").write_text(RECIPE, encoding="utf-8")
    (place / "dear").write_text("dear", encoding="utf-8")
    return place


def tool(place, head, **parameters):
    schema = {**HEAD, "x-tool": {"metrics": [], "outputs": OUTPUTS, **head}}
    schema["properties"] = {**PARAMETERS, **parameters}
    (place / "tool.json").write_text(json.dumps(schema), encoding="utf-8")


def call(place, *words, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "runner", *words],
        cwd=place,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(place)},
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def trainer(project):
    (project / "trainer.py").write_text(TRAINER, encoding="utf-8")
    tool(project, {"command": ["train"], "main": "trainer:main", "config": "--config"}, **FILED)
    return project


@pytest.mark.parametrize(
    "words",
    [
        ["check", "r.yaml"],
        ["check", "r.yaml", "--mlx"],
        ["show", "r.yaml"],
        ["r.yaml", "-n"],
        ["r.yaml", "--smoke", "-n"],
        ["diff", "r.yaml", "r.yaml"],
        ["schema", "r.yaml"],
    ],
    ids=" ".join,
)
def test_looking_neither_imports_nor_runs_it(trainer, words):
    call(trainer, *words)
    assert sorted(path.name for path in trainer.iterdir()) == [
        "dear", "r.yaml", "tool.json", "trainer.py"
    ]  # fmt: skip


def test_a_run_asks_first_and_remembers_the_very_file(trainer):
    said = call(trainer, "r.yaml", code=2)
    assert "comes with 1 tool, which would run here" in said
    assert "mine.tool imports trainer:main" in said
    assert not (trainer / "runs").exists()
    call(trainer, "r.yaml", "--trust-tools")
    (trainer / "dear").write_text("dear", encoding="utf-8")
    call(trainer, "r.yaml")
    resolved = (trainer / "runs/r/latest").resolve() / "recipe.yaml"
    assert "mine.tool" in call(trainer, "check", str(resolved)) + resolved.read_text("utf-8")
    tool(trainer, {"command": ["other"], "main": "trainer:main", "config": "--config"}, **FILED)
    assert "comes with 1 tool, which would run here" in call(trainer, "r.yaml", code=2)


def test_a_check_stops_it_at_its_parser(trainer):
    said = call(trainer, "check", "r.yaml", "--mlx")
    assert "the parser of mine.tool was not checked: it comes with the recipe" in said
    (trainer / "trainer.py").write_text(TRAINER.replace('pathlib.Path("imported")', "#"), "utf-8")
    said = call(trainer, "check", "r.yaml", "--mlx", "--trust-tools")
    assert said == "r.yaml: no problems\n"
    assert (trainer / "dear").exists()
    assert not (trainer / "out").exists()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def main():", "os.remove('dear')\ndef main():"),
        ("    parser = argparse", "    os.remove('dear')\n    parser = argparse"),
        ('"--count", type=int', '"--count", type=lambda _: os.remove("dear")'),
    ],
    ids=["at import", "before the parser", "while it parses"],
)
def test_what_deletes_a_file_on_the_way_to_its_parser_is_not_asked(trainer, before, after):
    text = TRAINER.replace('pathlib.Path("imported")', "#").replace(before, after)
    (trainer / "trainer.py").write_text(text, encoding="utf-8")
    said = call(trainer, "check", "r.yaml", "--mlx", "--trust-tools")
    assert "the parser of mine.tool was not checked" in said
    assert (trainer / "dear").exists()


def test_a_training_without_an_observer_ends_well_and_says_what_was_followed(trainer):
    said = call(trainer, "r.yaml", "--trust-tools")
    assert "finished in" in said
    assert "2 of 3 parameters as planned (only parsed), 1 not followed" in said
    audit = call(trainer, "audit")
    assert "not followed: levels" in audit
    assert "seen in use" not in audit
    assert "read by the tool" not in audit
    assert "trained 5 [1]" in (trainer / "runs/r/latest/one/log.txt").read_text(encoding="utf-8")


def test_it_goes_through_a_smoke_run(trainer):
    assert "finished in" in call(trainer, "r.yaml", "--smoke", "--trust-tools")


def test_a_parser_that_reads_otherwise_is_told_and_its_draft_is_right(trainer):
    (trainer / "trainer.py").write_text(TRAINER.replace('pathlib.Path("imported")', "#"), "utf-8")
    other = {**PARAMETERS["count"], "x-arg": {"emit": "value", "flag": "--counts"}}
    head = {"command": ["train"], "main": "trainer:main", "config": "--config"}
    tool(trainer, head, **FILED, count=other)
    said = call(trainer, "check", "r.yaml", "--mlx", "--trust-tools", code=2)
    assert "the installed mine.tool does not accept this stage as planned" in said
    assert "run-recipe tools --draft PROGRAM" in said
    draft = call(trainer, "tools", "--draft", "trainer:main")
    assert '"flag": "--count"}' in draft
    tool(trainer, head, **FILED)
    assert call(trainer, "check", "r.yaml", "--mlx", "--trust-tools") == "r.yaml: no problems\n"


@pytest.fixture
def program(project):
    text = '#!/bin/sh\nmkdir -p "${1#--out=}" && echo "{\\"sum\\": 7}" > "${1#--out=}/s.json"\n'
    (project / "sum.sh").write_text(text, encoding="utf-8")
    head = {"command": ["sh", "sum.sh"], "report": "{out}/s.json", "metrics": ["sum"]}
    tool(project, head)
    return project


def test_a_program_is_run_and_its_figures_are_read(program):
    recipe = RECIPE.replace("count: 5}", "count: 5}, expect: [metrics.sum == 7]")
    (program / "r.yaml").write_text(recipe, encoding="utf-8")
    assert "2 parameters not followed" in call(program, "r.yaml", "--trust-tools")
    assert call(program, "r.yaml", "--resume").count("one: skipped") == 1
    with (program / "sum.sh").open("a", encoding="utf-8") as script:
        script.write("# another\n")
    assert "input sum.sh changed" in call(program, "r.yaml", "--resume")
    tool(program, {"command": ["sh", "sum.sh"], "report": "{out}/s.json", "metrics": ["sum", "n"]})
    assert "tool file changed" in call(program, "r.yaml", "--resume", "--trust-tools")


def test_a_program_that_fails_fails_its_stage(program):
    (program / "sum.sh").write_text("echo it went wrong >&2\nexit 3\n", encoding="utf-8")
    said = call(program, "r.yaml", "--trust-tools", code=1)
    assert "it went wrong" in said


def test_a_program_that_makes_nothing_fails_its_stage(program):
    (program / "sum.sh").write_text("exit 0\n", encoding="utf-8")
    assert "was not created" in call(program, "r.yaml", "--trust-tools", code=1)


def test_a_program_that_is_not_here_is_told_before_the_run(program):
    tool(program, {"command": ["no-such-program"]})
    said = call(program, "r.yaml", "--trust-tools", code=5)
    assert "there is no program no-such-program here" in said
    there = program / "mine.sh"
    there.write_text('#!/bin/sh\nmkdir -p "${1#--out=}"\n', encoding="utf-8")
    there.chmod(0o755)
    tool(program, {"command": ["./mine.sh"]})
    call(program, "r.yaml", "--trust-tools")
    tool(program, {"command": ["sh", "absent.sh"]})
    assert "there is no absent.sh here" in call(program, "r.yaml", "--trust-tools", code=5)
