"""What names of files mean to a recipe.

A recipe's name ends in one of `SUFFIXES`; ``builtin:NAME`` is shipped, ``NAME.test.yaml`` tests
``NAME.yaml``, and what begins with ``${RUN_DIR}`` is in the folder of a run.
"""

import posixpath
from collections.abc import Iterator

SUFFIXES = (".yaml", ".yml")
BUILTIN = "builtin:"
ENDING = ".test.yaml"
RUN_DIR = "${RUN_DIR}"


def upward(path: str) -> Iterator[str]:
    """Yield a path and the folders it lies in, as far as it says, as posixpath.normpath does."""
    path = posixpath.normpath(path) if path else ""
    while path:
        yield path
        above = posixpath.dirname(path)
        path = above if above != path else ""
