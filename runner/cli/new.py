"""The verb new."""

import click

from runner.base import visible
from runner.base.errors import Exit
from runner.cli import options
from runner.system import printer


@click.command("new")
@click.argument("name")
@click.option(
    "--from",
    "source",
    metavar="[builtin:]NAME",
    default="builtin:basic",
    show_default=True,
    help="The shipped recipe to start from.",
    shell_complete=options.completes("shipped"),
)
def command(name: str, source: str) -> int:
    """Create a recipe that extends a shipped one.

    It never overwrites a file.
    """
    from runner.cli import new_recipe

    path = new_recipe.place(name)
    new_recipe.write(path, new_recipe.shipped(source, new_recipe.schema(path)))
    printer.show(str(path))
    name = visible.word(str(path))
    steps = {
        f"edit {name}": "the model, the data folder, the stages",
        f"run-recipe check {name}": "find problems in the recipe and its rows",
        f"run-recipe {name} --dry-run": "the commands it runs",
        f"run-recipe {name} --smoke": "run it at toy scale, in seconds",
    }
    width = max(map(len, steps))
    for step, why in steps.items():
        printer.say(f"next: {step:{width}}  # {why}")
    return Exit.OK
