"""The code is held to the table of rooms in docs/architecture.md."""

import ast
import re
import subprocess
import sys
from functools import cache
from itertools import chain

import pytest
from sources import FILES, PACKAGE, nodes, tree

PAGE = PACKAGE.parent / "docs" / "architecture.md"
ROWS = re.findall(r"^\| `(\w+)` \| .+ \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
ROOMS = [name for name, _ in ROWS]
EFFECTS = {"os", "subprocess", "socket", "time", "datetime", "random", "shutil", "tempfile"}
ROOF = {"__init__", "__main__"}
MOST = 0.15


def room(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def module(path):
    """A file's name inside its room, dotted by slashes, as the page says it."""
    return "/".join(path.relative_to(PACKAGE).with_suffix("").parts[1:])


def has_effects(path):
    """Whether the page lets a file have effects."""
    said = dict(ROWS)[room(path)]
    names = re.findall(r"`([\w/]+)`", said)
    named = any(module(path) == name or module(path).startswith(f"{name}/") for name in names)
    if said.startswith("all"):
        return not named
    return named


@cache
def imports(path):
    """The names a file imports, anywhere in it: of modules, and of what is taken from them."""
    return [*_imports(path)]


def _imports(path):
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom):
            if node.module != "runner":  # from it come rooms
                yield (node.module or "").split(".")
            yield from (f"{node.module}.{alias.name}".split(".") for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".") for alias in node.names)


def test_the_page_names_every_room_and_no_other():
    assert sorted(ROOMS) == sorted({room(path) for path in FILES} - ROOF)


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_imports_only_rooms_above_it(name):
    above = set(ROOMS[: ROOMS.index(name)])
    for path in (path for path in FILES if room(path) == name):
        for words in imports(path):
            if words[0] == "runner":
                assert len(words) > 1, f"{path} imports the roof"
                assert words[1] in above | {name}, (path, words)


@pytest.mark.parametrize("name", ROOMS)
def test_a_module_without_effects_imports_none(name):
    for path in (path for path in FILES if room(path) == name and not has_effects(path)):
        for words in imports(path):
            assert words[0] not in EFFECTS, (path, words)
            if words[0] == "runner" and len(words) > 1 and words[1] in ROOMS:
                used = PACKAGE.joinpath(*words[1:]).with_suffix(".py")
                assert not used.exists() or not has_effects(used), (path, words)


@pytest.mark.parametrize("name", ROOMS)
def test_what_may_have_effects_is_there(name):
    said = dict(ROWS)[name]
    for word in re.findall(r"`([\w/]+)`", said):
        there = PACKAGE / name / word
        assert there.is_dir() or there.with_suffix(".py").exists(), word


def test_no_room_holds_more_than_its_share():
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    whole = sum(lines.values())
    for name in ROOMS:
        own = sum(count for path, count in lines.items() if room(path) == name)
        assert own <= whole * MOST, f"{name}: {own / whole:.1%}"


def test_only_worker_and_tools_import_mlx():
    heavy = {"mlx", "mlx_lm", "transformers"}
    for path in FILES:
        if room(path) not in {"worker", "tools"}:
            assert not {words[0] for words in imports(path)} & heavy, path


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
from runner.cli.main import main
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
    for path in FILES:
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        name = name.removesuffix(".__init__")
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
    body = tree(path).body
    blocks = (node.body for node in body if isinstance(node, ast.Try | ast.With))
    for node in chain(body, *blocks):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("runner."):
            yield node.module.split(".")
            yield from (f"{node.module}.{alias.name}".split(".") for alias in node.names)


READING = {
    "startswith", "endswith", "removeprefix", "removesuffix", "partition", "rpartition", "split",
    "index", "find", "count", "replace", "splitlines", "match", "search", "fullmatch", "findall", "sub",
}  # fmt: skip
SENTENCES = {"message", "hint", "guidance"}
# Holes that are filled in, lines that are wrapped, and what Python and trackers say.
NOT_OURS = {
    "data/rows/parsing.py": "a hole in a hint is filled in",
    "data/rows/shapes.py": "a hole in a hint is filled in",
    "importer/write_recipe.py": "a comment is wrapped",
}


def _says(node):
    """Whether a part of an expression is a sentence that a problem or an error carries."""
    return any(isinstance(one, ast.Attribute) and one.attr in SENTENCES for one in ast.walk(node))


def _read_sentences(path):
    for node in nodes(path):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in READING and any(map(_says, (node.func.value, *node.args))):
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.Compare) and any(isinstance(o, ast.In) for o in node.ops):
            within = any(map(_says, node.comparators))
            yield from [f"{path.relative_to(PACKAGE)}:{node.lineno}: {ast.unparse(node)}"] * within


def test_the_program_never_reads_its_own_sentences():
    """What a problem is about stands in its fields: `rule`, `about`, `mark`."""
    files = [path for path in FILES if path.relative_to(PACKAGE).as_posix() not in NOT_OURS]
    assert [said for path in files for said in _read_sentences(path)] == []


def test_reading_a_sentence_is_seen():
    (call,) = (n for n in ast.walk(ast.parse("one.hint.split()")) if isinstance(n, ast.Call))
    assert _says(call.func.value)


def _targets(node):
    """The modules that an import statement imports."""
    if isinstance(node, ast.Import):
        return [one.name for one in node.names]
    inside = [f"{node.module}.{one.name}" for one in node.names]
    return [one if one in NAMES else node.module for one in inside]


def _dotted(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def _first(path):
    """The imports of a module when it is imported, those for type checkers left out."""
    return [
        target
        for node in tree(path).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for target in _targets(node)
    ]


NAMES = {_dotted(path): path for path in FILES}


def _loaded(name, found):
    """Everything that is imported with a module."""
    for one in [*_first(NAMES[name]), *(name.rsplit(".", n)[0] for n in range(1, name.count(".")))]:
        if one not in found:
            found.add(one)
            if one in NAMES:
                _loaded(one, found)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_an_import_inside_a_function_spares_something(name):
    """What is imported with the module anyway stands at its top: a local import says "later"."""
    loaded = _loaded(name, {name})
    every = nodes(NAMES[name])
    functions = [
        range(one.lineno, one.end_lineno + 1) for one in every if isinstance(one, ast.FunctionDef)
    ]
    local = (
        one
        for one in every
        if isinstance(one, ast.Import | ast.ImportFrom)
        and any(one.lineno in lines for lines in functions)
    )
    assert [ast.unparse(one) for one in local if {*_targets(one)} <= loaded] == []


def test_a_class_name_means_one_thing():
    places = {}
    for name, path in NAMES.items():
        for node in nodes(path):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(name)
    assert {name: homes for name, homes in places.items() if len(homes) > 1} == {}


def test_nothing_of_the_project_is_ignored_by_git():
    """What .gitignore matches is in no wheel either: hatch reads it."""
    words = [
        "git",
        "-C",
        str(PACKAGE.parent),
        "ls-files",
        "--cached",
        "--ignored",
        "--exclude-standard",
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("no checkout")
    assert done.stdout == ""
