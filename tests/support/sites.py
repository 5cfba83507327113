"""Every place in runner/ and schema/ that gives advice, found in the source by its words.

Advice that holds a command or a value to write has to be followed by a test; what holds neither is
prose, and is told apart by its letters alone (`to_follow`).
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

from sources import FILES, tree

from runner import cli

ROOT = Path(__file__).parents[2]
# Our own command with a verb, a recipe, an option or what stands in for one of them.
OURS = rf"\brun-recipe (?:(?:{'|'.join((*cli.NAMES, 'RECIPE'))})\b|-|\0(?![,']))"
# How advice begins, and what a command or an option in it looks like.
ADVICE = re.compile(
    r"(?:where it is set, |of a |a share, )?"
    r"(?:write|say|use|did you mean|add|put|remove|leave|drop (?:it|the)|raise|lower|close|give|set(?! -)|"
    r"name|run|try|take|rename|convert|choose|make|start|train it|install|quote|only the "
    r"profile|mlx-lm calls it|they are called|look at|see|rows are checked|change|free|accept|copy|"
    r"log in|close what|check|let|get (?:it|the)|go on|begin|resume|review|compare it|fix|omit|"
    r"replace|allow|mount|store|select|download|lower|decay|keep (?:it|the)|move|split|order|delete)\b[:]? .*"
    r"|there are: .*"
    rf"|.*(?:{OURS}|pip install|hf auth|hf download| --[a-z]|--set|--smoke|make [a-z]+$).*",
    re.DOTALL,
)
# What a person types or writes as it stands: a sign of code, an option, a name with an underscore or
# a point in it, a key and its value, a number, a name in capitals, a program.
TYPED = re.compile(
    r"[\0`{}\[\]=<>|!$\"]|(?<!\w)'|'(?!\w)|(?<!\w)--?[a-z]|\w[._/]\w|\w: |\d|\b[A-Z]{2,}\b"
    rf"|{OURS}|\bpip\b|\bhf\b|\bgit\b|\bmake [a-z]+$"
)
HOLE = "\0"
# It says what a schema may say, and nobody is told of it.
META = "tool.meta.json"
# What argparse is told of an option is its description, and no advice.
DESCRIBED = frozenset({"help", "prog", "description", "epilog"})


def literals(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and text of every string, the holes of f-strings as HOLE; docstrings left out."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            skipped |= {id(one) for one in ast.walk(body[0])}
        if isinstance(node, ast.Expr):
            skipped.add(id(node.value))  # what is said of the name above it
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(one) for one in node.values}
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re."):
            skipped |= {id(one) for one in ast.walk(node)}  # a pattern is not printed
        if isinstance(node, ast.keyword) and node.arg in DESCRIBED:
            skipped |= {id(one) for one in ast.walk(node.value)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else HOLE for part in node.values]
            yield node.lineno, "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def to_follow(text: str) -> bool:
    """Say whether advice holds a command or a value, which a test has to follow."""
    return TYPED.search(text) is not None


def advice() -> Iterator[tuple[str, str]]:
    """Yield file and text of everything that reads as advice."""
    for file in FILES:
        for _, text in literals(tree(file)):
            if ADVICE.fullmatch(text.strip()) and " " in text.strip() and text[0] != "#":
                yield file.relative_to(ROOT).as_posix(), text
    for file in sorted((ROOT / "schema").rglob("*.json")):
        if file.name == META:
            continue
        for text in _hints(json.loads(file.read_text(encoding="utf-8"))):
            yield file.relative_to(ROOT).as_posix(), text


def _hints(said: object) -> Iterator[str]:
    if isinstance(said, dict):
        for key, value in said.items():
            if key == "x-not" and isinstance(value, dict):
                yield from (one for one in value.values() if isinstance(one, str))
            elif key == "x-hint" and isinstance(value, str):
                yield value
            else:
                yield from _hints(value)
    elif isinstance(said, list):
        for value in said:
            yield from _hints(value)


def pattern(text: str) -> re.Pattern[str]:
    """Return what a text of the source looks like when it is printed."""
    parts = (re.escape(part) for part in text.split(HOLE))
    return re.compile(".*".join(parts), re.DOTALL)
