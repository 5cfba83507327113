"""The program's own modules as syntax trees, each parsed once by whoever asks first."""

import ast
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent.parent.parent / "runner"
FILES = sorted(PACKAGE.rglob("*.py"))


@cache
def tree(path):
    """The tree of a file; nobody changes it."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes(path):
    """Every node of a file, the tree's own order."""
    return tuple(ast.walk(tree(path)))
