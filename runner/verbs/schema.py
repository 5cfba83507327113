"""The verb schema."""

from pathlib import Path

import click

from runner.edges import printer
from runner.errors import Exit


@click.command("schema")
@click.option(
    "--reference",
    metavar="FOLDER",
    help="Write the reference of recipes and tools there instead, a page of Markdown a tool.",
)
def command(reference: str | None) -> int:
    """Print the JSON Schema of a recipe, for editors."""
    from runner.edges import schemas

    if reference is not None:
        _write(Path(reference))
        return Exit.OK
    from runner.core.editor import recipe_schema
    from runner.core.invocation import laid_out

    printer.payload(f"{laid_out(recipe_schema(schemas.envelope(), schemas.catalog()))}\n")
    return Exit.OK


def _write(folder: Path) -> None:
    from runner.core.reference import pages
    from runner.edges import disk, schemas

    folder.mkdir(parents=True, exist_ok=True)
    made = pages(schemas.envelope(), schemas.test_schema(), schemas.catalog())
    for name, text in made.items():
        disk.write(folder / name, text)
