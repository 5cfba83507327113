"""What names of files mean to a recipe.

A recipe's name ends in one of `SUFFIXES`; ``builtin:NAME`` is shipped, ``NAME.test.yaml`` tests
``NAME.yaml``, and what begins with ``${RUN_DIR}`` is in the folder of a run.
"""

SUFFIXES = (".yaml", ".yml")
BUILTIN = "builtin:"
ENDING = ".test.yaml"
RUN_DIR = "${RUN_DIR}"
