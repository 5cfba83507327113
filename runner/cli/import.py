"""The verb import."""

import click

from runner.base import visible
from runner.base.errors import Exit, RecipeError
from runner.base.secrets import Mask
from runner.system import printer


@click.command("import", context_settings={"ignore_unknown_options": True})
@click.argument("words", metavar="FILE | -- COMMAND…", nargs=-1, type=click.UNPROCESSED)
@click.option("-o", "--out", metavar="NAME.yaml", help="Write the recipe to this file instead.")
@click.option(
    "--leave-out",
    metavar="COMMAND",
    multiple=True,
    help="Skip commands that start with this: they train nothing (repeatable).",
)
def command(words: tuple[str, ...], out: str | None, leave_out: tuple[str, ...]) -> int:
    """Convert a script, a command or an adapter to a recipe.

    FILE is a shell script of mlx_lm commands, a YAML configuration of mlx_lm.lora, or the
    adapter_config.json that it wrote. The recipe goes to stdout; what mlx-lm has been ignoring, and
    what import cannot follow, is reported on stderr and as a comment in the recipe. Add a program
    that may train by hand (exit 2), unless --leave-out says that it does not train.
    """
    from runner.base.problems import pictures
    from runner.cli import new_recipe
    from runner.importer import translation

    if not words:
        raise RecipeError("import needs a file, or a command after --", "run-recipe import --help")
    place = new_recipe.place(out) if out else None
    schema = new_recipe.schema(place) if place else ""
    if len(words) == 1:
        result = translation.from_file(words[0], schema, leave_out)
    else:
        result = translation.from_words(words, schema, leave_out)
    for picture in pictures(result.problems, result.sources):
        printer.say(picture)
    if place is None:
        printer.payload(result.text)
    else:
        new_recipe.write(place, Mask((), loose=False).text(result.text))
    gaps = sum(problem.severity == "error" for problem in result.problems)
    text = f"{result.stages} stage{'s' * (result.stages != 1)}"
    missing = f", {gaps} thing{'s' * (gaps != 1)} to add by hand" if gaps else ""
    printer.say(f"{text} imported{missing}")
    if place is not None:
        printer.say(f"next: run-recipe check {visible.word(str(place))}")
    return Exit.INVALID if gaps else Exit.OK
