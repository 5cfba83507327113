"""The verbs, a module each: parse, call, print, return the exit code.

A module is imported when its verb is used, and imports what it needs when it runs. Payload goes to
stdout, the rest to stderr.
"""

import importlib
from typing import cast

import click

# The first sentence of each verb's own help: the list of verbs imports none of them.
NAMES = {
    "run": "Run a recipe.",
    "check": "Report every problem of every recipe, or of the recipes in a folder.",
    "show": "Show the resolved values, each with where it comes from and what it overrode.",
    "diff": "Show what changes in what MLX will be told, and the lines that make it.",
    "runs": "List the runs, the newest last.",
    "status": "Say where a run stands: the one last worked on, or RUN (its id or folder).",
    "report": "Report on a run (the one last worked on, or RUN), or hold several side by side.",
    "audit": "Hold what MLX got against the plan, for every parameter of every stage of a run.",
    "data": "Work on data sets.",
    "model": "Work on models.",
    "eval": "Judge what a model answers.",
    "train": "Train with mlx_lm.lora, watch it, and choose which weights to keep.",
    "hub": "Hand results on.",
    "tools": "List the tools; for one, its parameters and how each reaches the command.",
    "rules": "List the rules; for one, its page.",
    "new": "Write a recipe of your own that starts from a shipped one; nothing is overwritten.",
    "import": "Write a recipe that does what a script, a command, a -c file or an adapter does.",
    "schema": "Print the JSON Schema of a recipe, for editors.",
    "completion": "Print the script that makes a shell complete verbs, recipes, profiles, stages "
    "and paths.",
    "doctor": "Say whether this machine is fit to run recipes, and what to do where it is not.",
}


def find(name: str) -> click.Command | None:
    """Return the verb called `name`, None where there is none."""
    if name not in NAMES:
        return None
    return cast("click.Command", importlib.import_module(f"runner.verbs.{name}").command)
