"""Our own tools as commands: one row each; the tool itself parses the arguments."""

import importlib
from typing import NamedTuple

import click

from runner.base.errors import Exit, RecipeError
from runner.cli.guess import is_recipe


class OwnTool(NamedTuple):
    """A tool of ours: the command's name, the module whose ``main`` it calls, its help."""

    name: str
    module: str
    summary: str


GROUPS = {
    "data": (
        "Work on data sets.",
        (
            OwnTool(
                name="mix",
                module="data.mix",
                summary="Mix replay rows of an earlier data set into a new one.",
            ),
            OwnTool(
                name="split", module="data.split", summary="Split rows into train, valid and test."
            ),
            OwnTool(
                name="weight",
                module="data.weight",
                summary="Repeat rows by a field, so that better rows count more.",
            ),
            OwnTool(
                name="sort",
                module="data.sort",
                summary="Sort rows so that each batch has rows of similar length.",
            ),
            OwnTool(
                name="format",
                module="data.format",
                summary="Convert rows from one layout to another, without loss.",
            ),
            OwnTool(name="check", module="data.check", summary="Check every row of a data set."),
        ),
    ),
    "model": (
        "Work on models.",
        (OwnTool(name="tiny", module="tools.tiny_model", summary="Create a tiny random model."),),
    ),
    "eval": (
        "Score a model's answers.",
        (
            OwnTool(
                name="score",
                module="tools.evaluate.score",
                summary="Let a model answer prompts, and score its answers by rules.",
            ),
        ),
    ),
    "hub": (
        "Publish results.",
        (
            OwnTool(
                name="publish",
                module="tools.publish.publish",
                summary="Upload a model or adapter with a model card.",
            ),
        ),
    ),
}
TRAIN = OwnTool(
    name="train",
    module="worker.train",
    summary="Train with mlx_lm.lora, and choose which weights to keep.",
)
_AS_THEY_ARE = {"ignore_unknown_options": True, "help_option_names": []}


def find(name: str) -> click.Command | None:
    """Return the verb `name` where it is a group of our own tools or one of them, else None."""
    if name == TRAIN.name:
        return _command(TRAIN, wraps=True)
    if name not in GROUPS:
        return None
    summary, rows = GROUPS[name]
    group = click.Group(name, help=summary)
    for row in rows:
        group.add_command(_command(row))
    return group


def _command(row: OwnTool, *, wraps: bool = False) -> click.Command:
    """Return a tool as a command.

    One that `wraps` another command takes no recipe, although its name may sound so.
    """

    @click.command(row.name, help=row.summary, context_settings=_AS_THEY_ARE)
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> int:
        if wraps and arguments and is_recipe(arguments[0]):
            why = f"'run-recipe {row.name}' takes a training command, not a recipe"
            raise RecipeError(why, f"did you mean: run-recipe {' '.join(arguments)}?")
        main = importlib.import_module(f"runner.{row.module}").main
        return main(list(arguments)) or Exit.OK

    return command
