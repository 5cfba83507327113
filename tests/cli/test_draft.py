"""tools --draft: a tool's file from a program's own parser, which is asked and not run."""

import json
import subprocess
import sys

import pytest
from jsonschema import Draft202012Validator

from runner.catalog import load

SCRIPT = """\
import argparse, os
def main():
    parser = argparse.ArgumentParser(description="score rows")
    add = parser.add_argument
    add("rows", help="file of rows")
    add("--limit", "-l", type=int, default=3, help="so many (%(default)s)")
    add("--rate", type=float, required=True)
    add("--mode", choices=["a", "b"], default="a", help="how")
    add("--fast", action="store_true", help="hurry")
    add("--log", action=argparse.BooleanOptionalAction, help="keep a log")
    add("--names", nargs="+", help="names")
    add("-x", help="has no long flag")
    add("--count", action="count", help="more")
    args = parser.parse_args()
    os.remove("dear")
main() if __name__ == "__main__" else None
"""
CLICK = """\
import click, os
@click.command(help="Score rows.")
@click.argument("rows")
@click.option("--limit", default=3, help="So many.")
@click.option("--fast/--no-fast", default=True, help="Hurry.")
def main(rows, limit, fast):
    os.remove("dear")
"""


def draft(place, target):
    done = subprocess.run(
        [sys.executable, "-m", "runner", "tools", "--draft", target],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout or "null"), done.stderr


@pytest.fixture
def place(tmp_path):
    (tmp_path / "mine.py").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "clicks.py").write_text(CLICK, encoding="utf-8")
    (tmp_path / "dear").write_text("dear", encoding="utf-8")
    return tmp_path


@pytest.mark.slow
def test_a_script_and_a_main_have_the_same_parameters(place):
    code, schema, said = draft(place, "mine.py")
    assert code == 0
    assert Draft202012Validator(load.tool_schema()).is_valid(schema)
    assert schema["title"] == "mine.mine"
    assert schema["description"] == "Score rows."
    assert schema["x-tool"]["command"] == ["python", "mine.py"]
    assert schema["required"] == ["rows", "rate"]
    properties = schema["properties"]
    assert properties["rows"]["x-arg"] == {"emit": "positional", "flag": "rows"}
    assert properties["limit"] == {
        "type": "integer",
        "description": "So many (3).",
        "default": 3,
        "x-arg": {"emit": "value", "flag": "--limit", "aliases": ["-l"]},
    }
    assert properties["mode"]["enum"] == ["a", "b"]
    assert properties["fast"]["x-arg"] == {"emit": "switch", "flag": "--fast"}
    assert properties["log"]["x-arg"] == {"emit": "pair", "flag": "--log", "off": "--no-log"}
    assert properties["names"]["type"] == ["array", "null"]
    assert "-x: its only flag has one letter" in said
    assert "--count: run-recipe cannot pass this kind of option" in said
    assert "--rate: it has no help" in said
    assert draft(place, "mine:main")[1]["properties"] == properties
    assert (place / "dear").exists()


@pytest.mark.slow
def test_a_draft_is_made_of_each_that_is_advised(place):
    code, _, said = draft(place, "nothing")
    assert code == 2
    assert "name MODULE:MAIN, an installed command, or a script" in said
    code, schema, _ = draft(place, "clicks:main")
    assert (code, [*schema["properties"]]) == (0, ["rows", "limit", "fast"])
    assert schema["properties"]["fast"]["x-arg"]["off"] == "--no-fast"
    code, schema, _ = draft(place, "mlx_lm.generate")
    assert code == 0
    ours = load.catalog().get("mlx_lm.generate")
    assert schema["properties"].keys() == ours.parameters.keys()
    assert schema["x-tool"]["distribution"] == "mlx-lm"
    assert (place / "dear").exists()
