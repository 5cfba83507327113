"""The verbs, a module each: parse, call, print, return the exit code.

A module is imported when its verb is used, and imports what it needs when it runs. Payload goes to
stdout, the rest to stderr.
"""

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import click

# The first sentence of each verb's own help: the list of verbs imports none of them.
NAMES = {
    "run": "Run a recipe.",
    "check": "Report every problem of recipes, or of those in a folder.",
    "show": "Show every value, where it comes from, and what it overrode.",
    "diff": "Show what changes in what MLX is told, and which lines did it.",
    "runs": "List the runs, the newest last.",
    "status": "Say where a run stands: the last worked on, or RUN.",
    "report": "Report on a run, or hold several runs side by side.",
    "audit": "Hold what each tool had against the plan, value by value.",
    "data": "Work on data sets.",
    "model": "Work on models.",
    "eval": "Judge what a model answers.",
    "train": "Train with mlx_lm.lora, and choose which weights to keep.",
    "hub": "Hand results on.",
    "tools": "List the tools; for one, its parameters and how they travel.",
    "rules": "List the rules; for one, its page.",
    "new": "Write a recipe of your own that starts from a shipped one.",
    "import": "Write the recipe of a script, a command, or an adapter.",
    "schema": "Print the JSON Schema of recipes, for editors.",
    "completion": "Print the script that completes words in a shell.",
    "doctor": "Say whether this machine is fit to run recipes.",
}


def find(name: str) -> "click.Command | None":
    """Return the verb called `name`, None where there is none."""
    if name not in NAMES:
        return None
    import importlib

    from runner.cli import own_tools  # the names alone need none of it

    if (own := own_tools.find(name)) is not None:
        return own
    return cast("click.Command", importlib.import_module(f"runner.cli.{name}").command)
