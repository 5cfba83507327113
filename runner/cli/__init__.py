"""The verbs, one module each: parse, call, print, return the exit code.

A module is imported when its verb is used, and imports what it needs when it runs. Results go to
stdout, everything else to stderr.
"""

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import click

# The first sentence of each verb's own help: the list of verbs imports none of them.
NAMES = {
    "run": "Run a recipe.",
    "check": "Report every problem in recipes, or in a folder of recipes.",
    "show": "Show every value, where it comes from, and what it overrode.",
    "lock": "Pin the models and data sets of the hub that recipes name.",
    "diff": "Show which MLX parameters change, and why.",
    "runs": "List runs, newest last.",
    "status": "Show the state of a run: RUN, or the latest one.",
    "report": "Report on a run, or compare several runs.",
    "audit": "Compare what MLX received with the plan.",
    "data": "Work on data sets.",
    "model": "Work on models.",
    "eval": "Score a model's answers.",
    "train": "Train with mlx_lm.lora, and choose which weights to keep.",
    "hub": "Publish results.",
    "tools": "List the tools, or the parameters of one tool.",
    "rules": "List the rules, or explain one.",
    "new": "Create a recipe that extends a shipped one.",
    "import": "Convert a script, a command or an adapter to a recipe.",
    "schema": "Print the JSON Schema of recipes, for editors.",
    "completion": "Print the completion script for a shell.",
    "doctor": "Check whether this machine can run recipes.",
}


def find(name: str) -> "click.Command | None":
    """Return the verb called `name`, None if there is none."""
    if name not in NAMES:
        return None
    import importlib

    from runner.cli import own_tools  # the names alone need none of it

    if (own := own_tools.find(name)) is not None:
        return own
    return cast("click.Command", importlib.import_module(f"runner.cli.{name}").command)
