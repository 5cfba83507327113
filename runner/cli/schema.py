"""The verb schema."""

from pathlib import Path

import click

from runner.base.errors import Exit
from runner.base.formatting import pretty_json
from runner.system import printer


@click.command("schema")
@click.option(
    "--reference",
    metavar="FOLDER",
    help="Write the reference of recipes and tools there instead, a page of Markdown a tool.",
)
def command(reference: str | None) -> int:
    """Print the JSON Schema of a recipe, for editors."""
    from runner.catalog import load

    if reference is not None:
        _write(Path(reference))
        return Exit.OK
    from runner.catalog.editor_schema import recipe_schema

    printer.payload(f"{pretty_json(recipe_schema(load.envelope(), load.catalog()))}\n")
    return Exit.OK


def _write(folder: Path) -> None:
    from runner.catalog import load
    from runner.catalog.reference_docs import pages
    from runner.system import files

    folder.mkdir(parents=True, exist_ok=True)
    texts = pages(load.envelope(), load.test_schema(), load.catalog())
    for name, text in texts.items():
        files.write(folder / name, text)
