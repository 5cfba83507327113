"""The verb new."""

import click

from runner.core import visible
from runner.edges import printer
from runner.errors import Exit
from runner.verbs import options


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
    """Write a recipe of your own that starts from a shipped one.

    Nothing is overwritten.
    """
    from runner.edges import template

    path = template.place(name)
    template.write(path, template.shipped(source, template.schema(path)))
    printer.show(str(path))
    name = visible.word(str(path))
    steps = {
        f"edit {name}": "the model, where the rows are, the stages",
        f"run-recipe check {name}": "what is wrong with it, and with the rows",
        f"run-recipe {name} --dry-run": "the commands it amounts to",
        f"run-recipe {name} --smoke": "all of it at toy scale, in seconds",
    }
    width = max(map(len, steps))
    for step, why in steps.items():
        printer.say(f"next: {step:{width}}  # {why}")
    return Exit.OK
