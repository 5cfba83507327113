"""A parser is asked without any of its tool's work being run, however the main is written."""

import importlib
import itertools
import json
import subprocess
import sys
import textwrap

import pytest

from runner.catalog import load
from runner.catalog.tools import Tool
from runner.worker.parsing import merged_values, parser_of

WORK = ["victim.unlink()", "os.remove(victim)", "work()", "Work()", "(lambda: work())()"]
PLACES = {
    "before": "WORK\nparser = build()\nargs = parser.parse_args()",
    "after": "parser = build()\nargs = parser.parse_args()\nWORK",
    "finally": "try:\n    args = build().parse_args()\nfinally:\n    WORK",
    "caught": "try:\n    args = build().parse_args()\nexcept BaseException:\n    WORK",
    "no parser": "WORK",
    "in the builder": "args = working().parse_args()",
    "in an argument": "args = build().parse_args(sys.argv[1:] or WORK)",
    "in a default": "parser = build()\nparser.add_argument('--y', default=WORK)\nparser.parse_args()",
    "in a key": "sorted([1, 2], key=lambda one: WORK)\nbuild().parse_args()",
    "in a call back": "list(map(lambda one: WORK, [1]))\nbuild().parse_args()",
}
MODULE = """
import argparse, os, sys
from pathlib import Path
victim = Path(VICTIM)
def work():
    victim.unlink()
class Work:
    def __init__(self):
        victim.unlink()
def build():
    parser = argparse.ArgumentParser(prog="mine")
    add = parser.add_argument
    for name in ("--x",):
        add(name, type=int, default=max(1, 2), help=f"{name} of " + ", ".join(["a", "b"]))
    return parser
def working():
    parser = build()
    WORK
    return parser
def main(argv=None):
"""
REACHED = {"after", "in an argument"}
numbers = itertools.count()


@pytest.fixture
def tool(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))

    def made(body, work="victim.unlink()", **said):
        name = f"tool_of_mine_{next(numbers)}"
        victim = tmp_path / "victim"
        victim.write_text("dear", encoding="utf-8")
        text = MODULE.replace("VICTIM", repr(str(victim))) + textwrap.indent(body, "    ") + "\n"
        (tmp_path / f"{name}.py").write_text(text.replace("WORK", work), encoding="utf-8")
        main = f"{name}:main"
        schema = {"properties": {}, "x-tool": {"command": ["mine"], "main": main, **said}}
        return Tool(name=name, schema=schema), victim

    return made


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("place", PLACES)
def test_no_work_is_run_wherever_it_stands(tool, place, work):
    mine, victim = tool(PLACES[place], work)
    if place in REACHED:
        assert parser_of(mine).parse_args(["--x=3"]).x == 3
    else:
        with pytest.raises(LookupError, match=r"before|no parser"):
            parser_of(mine)
    assert victim.exists()


def test_what_stands_in_the_way_is_named(tool):
    mine, _ = tool(PLACES["before"], "os.remove(victim)")
    with pytest.raises(LookupError, match=r"it calls posix\.remove before it parses its arguments"):
        parser_of(mine)


def test_a_parser_that_another_function_changes_is_the_changed_one(tool):
    mine, _ = tool("parser = build()\nargs = parser.parse_args()")
    module = importlib.import_module(mine.main[0])
    build = module.build

    def changed():
        parser = build()
        next(a for a in parser._actions if a.dest == "x").dest = "y"
        return parser

    module.build = changed
    assert parser_of(mine).parse_args(["--x=3"]).y == 3


def test_a_main_whose_text_is_not_what_is_loaded_is_not_read(tool):
    mine, victim = tool("parser = build()\nargs = parser.parse_args()")
    module = importlib.import_module(mine.main[0])
    exec("def main():\n    victim.unlink()", module.__dict__)
    module.main.__code__ = module.main.__code__.replace(
        co_filename=module.build.__code__.co_filename, co_firstlineno=9
    )
    with pytest.raises(LookupError):
        parser_of(mine)
    assert victim.exists()


CONFIG = """
parser = build()
parser.add_argument("--config")
args = parser.parse_args()
print("loading", args.config)
said = vars(args)
with open(args.config) as file:
    for key, value in json.load(file).items():
        if said.get(key) is None:
            said[key] = value
WORK
"""


# As mlx_lm_lora.train does it: a banner first, the values set one by one, a summary, the work.
SET = """
def banner():
    print("mine")
banner()
if argv is None:
    parser = build()
    parser.add_argument("--config")
    args = parser.parse_args()
if args.config:
    with open(args.config, "r") as file:
        said = json.load(file)
    for key, value in said.items():
        if getattr(args, key, None) is None:
            setattr(args, key, value)
print(f"x is {str(args.x).upper()}")
WORK
"""


@pytest.mark.parametrize("end", ["run(args)", "work()", "victim.unlink()"])
@pytest.mark.parametrize("merge", [CONFIG, SET])
def test_a_configuration_file_is_merged_and_nothing_behind_that_is_run(tool, tmp_path, end, merge):
    body = "import json\ndef run(args):\n    work()\n" + merge
    mine, victim = tool(body, end, config="--config")
    config = tmp_path / "c.json"
    config.write_text(json.dumps({"x": 9, "rate": 0.5}), encoding="utf-8")
    seen = merged_values(mine, ["--x=3", f"--config={config}"])
    assert (seen["x"], seen["rate"]) == (3, 0.5)
    assert victim.exists()


@pytest.mark.parametrize("name", [n for n in load.catalog().names if "." in n])
def test_our_own_tools_can_all_be_asked(name):
    mine = load.catalog().get(name)
    if mine.main[0].startswith("runner."):
        assert parser_of(mine)._actions


GUARDED = """
import os, subprocess, sys
from pathlib import Path
from runner.worker import guard
guard.arm()
for tried in (
    lambda: open(sys.argv[1], "w"),
    lambda: os.remove(sys.argv[1]),
    lambda: os.open(sys.argv[1], os.O_RDWR),
    lambda: Path(sys.argv[1]).rename("other"),
    lambda: subprocess.run(["true"]),
    lambda: os.system("true"),
):
    try:
        tried()
    except PermissionError:
        continue
    sys.exit("it was done")
print(open(sys.argv[1]).read(), end="")
"""


def test_a_guarded_process_reads_and_does_nothing_else(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("dear", encoding="utf-8")
    words = [sys.executable, "-c", GUARDED, str(victim)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("dear", 0), done.stderr
