"""The verb schema."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.base.errors import Exit, InvalidRecipeError
from runner.base.formatting import pretty_json
from runner.cli import options
from runner.system import printer

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.command("schema")
@click.argument("recipe", required=False, shell_complete=options.completes("recipes"))
@click.option(
    "--reference",
    metavar="FOLDER",
    help="Write the reference of recipes and tools there instead, a page of Markdown a tool.",
)
def command(recipe: str | None, reference: str | None) -> int:
    """Print the JSON Schema of recipes, for editors.

    Of a RECIPE, it has the tools which that brings along, and those of installed packages.
    """
    from runner.catalog import load

    if reference is not None:
        _write(Path(reference))
        return Exit.OK
    from runner.catalog.editor_schema import recipe_schema

    catalog = load.catalog(_tools(recipe) if recipe else {})
    printer.payload(f"{pretty_json(recipe_schema(load.envelope(), catalog))}\n")
    return Exit.OK


def _tools(file: str) -> "Mapping[str, dict[str, Any]]":
    """Return the tools that a recipe names and those of installed packages."""
    from runner import workflow
    from runner.catalog import packaged_tools

    texts = workflow.gather(file)
    wrong = [one for one in texts.problems if one.rule in {"bad-tool", "bad-tool-file"}]
    if wrong or texts.tree is None:
        raise InvalidRecipeError(wrong or [*texts.problems], texts.sources)
    return {**packaged_tools.tools(packaged_tools.names()), **texts.tools}


def _write(folder: Path) -> None:
    from runner.catalog import load
    from runner.catalog.reference_docs import pages
    from runner.system import files

    folder.mkdir(parents=True, exist_ok=True)
    texts = pages(load.envelope(), load.test_schema(), load.catalog())
    for name, text in texts.items():
        files.write(folder / name, text)
