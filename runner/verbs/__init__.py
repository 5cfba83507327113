"""The verbs, a module each: parse, call, print, return the exit code.

A module is imported when its verb is used, and imports what it needs when it runs. Payload goes to
stdout, the rest to stderr.
"""

import importlib
from typing import cast

import click

NAMES = (
    "run",
    "check",
    "show",
    "diff",
    "runs",
    "status",
    "report",
    "audit",
    "data",
    "model",
    "eval",
    "train",
    "hub",
    "tools",
    "rules",
    "new",
    "import",
    "schema",
    "completion",
    "doctor",
)


def find(name: str) -> click.Command | None:
    """Return the verb called `name`, None where there is none."""
    if name not in NAMES:
        return None
    return cast("click.Command", importlib.import_module(f"runner.verbs.{name}").command)
