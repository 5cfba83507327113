"""What file names mean to a recipe.

A recipe's name ends in one of `SUFFIXES`; ``builtin:NAME`` is shipped, ``NAME.test.yaml`` tests
``NAME.yaml``, and a path that begins with ``${RUN_DIR}`` is in the folder of a run.
"""

import posixpath
from collections.abc import Iterator
from functools import lru_cache

# What a child reads and prints is UTF-8, whatever the user's shell says: a training must not fail
# at an answer with an umlaut.
UTF8 = {"PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8:backslashreplace"}


SUFFIXES = (".yaml", ".yml")
BUILTIN = "builtin:"
ENDING = ".test.yaml"
RUN_DIR = "${RUN_DIR}"
HUB = "HUB_"
"""How the variables of a script begin that name a folder of the hub's cache."""
MAX_PATH, MAX_FOLDERS, MAX_NAME = 4_096, 256, 255
"""Characters of a path and of a name in it that a system takes, and folders one in the other."""


@lru_cache(maxsize=1024)
def normal(path: str) -> str:
    """Return a path in the one way it is written when paths are compared.

    ``//x`` is ``/x`` on every system that MLX runs on; posixpath.normpath leaves it as it is.
    """
    path = posixpath.normpath(path)
    return path[1:] if path.startswith("//") else path


def upward(path: str) -> Iterator[str]:
    """Yield a path and the folders it lies in, the nearest first, as far as it says; '' has none.

    It ends by construction, since each has a word less: the core has no other walk upwards.
    """
    path = normal(path) if path else ""
    if len(path) > MAX_PATH:  # no system has it: what it lies in is a question without an end
        yield path
        return
    root = "/" if path.startswith("/") else ""
    words = path.removeprefix(root).split("/") if path != root else []
    for size in range(len(words), 0, -1):
        yield root + "/".join(words[:size])
    if root:
        yield root
