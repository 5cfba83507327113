"""The code is held to the map in runner/core/__init__."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import runner.core

PACKAGE = Path(runner.core.__file__).parent.parent
ORDER = [
    line.split()[0]
    for line in runner.core.__doc__.splitlines()
    if line and line[0].islower() and "  " in line and line.split("  ")[0].isidentifier()
]
CORE = {path.stem for path in (PACKAGE / "core").iterdir() if path.stem[0] != "_"}


def imports(path):
    """The runner modules a file imports when it is imported itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("runner"):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name.split(".") for name in (*names, node.module))
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".") for alias in node.names)


def test_the_map_names_every_module_and_no_other():
    assert sorted(ORDER) == sorted(CORE)


@pytest.mark.parametrize("name", ORDER)
def test_a_core_module_imports_only_from_those_above_it(name):
    path = PACKAGE / "core" / name
    files = path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]
    known = set(ORDER[: ORDER.index(name)])
    used = {
        words[2]
        for file in files
        for words in imports(file)
        if words[:2] == ["runner", "core"] and len(words) > 2
    }
    assert used & CORE - known - {name} == set()


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").rglob("*.py")), ids=lambda p: p.stem)
def test_the_core_knows_nothing_of_the_outside(path):
    outside = {"edges", "child", "tools", "cli", "workflow", "errors"}
    effects = {"os", "subprocess", "socket", "time", "datetime", "random", "shutil", "tempfile"}
    for words in imports(path):
        assert (
            words[:1] != ["runner"]
            or words[1:2] == ["core"]
            or words[1:2] not in [[o] for o in outside]
        )
        assert words[0] not in effects


@pytest.mark.parametrize("folder", ["core", "edges"])
def test_only_child_and_tools_import_mlx(folder):
    for path in (PACKAGE / folder).rglob("*.py"):
        assert not {words[0] for words in imports(path)} & {"mlx", "mlx_lm", "transformers"}, path


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        [],
        ["check", "recipes/basic.yaml"],
        ["show", "recipes/basic.yaml"],
        ["diff", "builtin:basic", "recipes/basic.yaml"],
        ["recipes/basic.yaml", "--dry-run"],
        ["recipes/security_sequential.yaml", "--dry-run", "--smoke"],
        ["tools", "mlx_lm.lora"],
        ["schema"],
    ],
    ids=" ".join,
)
def test_looking_at_a_recipe_never_imports_mlx(words):
    code = f"""
import sys, runner
from runner.cli import main
sys.argv = ["run-recipe", *{words!r}]
try:
    {"main()" if words else "pass"}
except SystemExit as end:
    assert not end.code, end.code
heavy = {{"mlx", "mlx_lm", "transformers", "torch"}} & {{name.partition(".")[0] for name in sys.modules}}
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_no_module_is_in_an_import_cycle():
    graph = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(
            ".__init__"
        )
        graph[name] = {".".join(words) for words in top_level(path)} - {name}
    done = set()

    def visit(name, trail):
        assert name not in trail, f"cycle: {' -> '.join([*trail[trail.index(name) :], name])}"
        if name in graph and name not in done:
            for used in graph[name]:
                visit(used, [*trail, name])
            done.add(name)

    for name in graph:
        visit(name, [])


def top_level(path):
    """What a file imports at import time: not under TYPE_CHECKING, not inside a function."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("runner."):
            yield node.module.split(".")
            yield from (f"{node.module}.{alias.name}".split(".") for alias in node.names)


PRINTS = re.compile(
    r"(?<![\w`[])print\(|click\.(?:secho|echo)|(?:stdout|stderr)\.write\(|print_exc"
)
# It prints; and the stream of a screen that rich redraws, which is told visible text only.
PRINTERS = {"edges/printer.py", "edges/live.py"}


def test_one_module_prints_and_makes_visible_what_it_says():
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if PRINTS.search(path.read_text(encoding="utf-8"))
    }
    assert found - PRINTERS == set()


THEIRS = {"settings", "arguments"}  # patterns of PyYAML's and argparse's own, to the letter
INNER = re.compile(r"\\.|\[(?:\\.|[^\]])*\]", re.DOTALL)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.stem)
def test_no_pattern_takes_a_last_newline_for_nothing(path):
    """``$`` also matches before a newline at the end: a name that ends in one would pass."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re.")):
            continue
        if "MULTILINE" in ast.unparse(node) or path.stem in THEIRS or not node.args:
            continue
        said = node.args[0].value if isinstance(node.args[0], ast.Constant) else ""
        text = said.decode() if isinstance(said, bytes) else str(said)
        assert "$" not in INNER.sub("", text), f"{path}:{node.lineno}: write \\Z"
