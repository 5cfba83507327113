"""The verb schema."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.base.errors import Exit, InvalidRecipeError, RecipeError
from runner.base.formatting import pretty_json
from runner.cli import options
from runner.system import printer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@click.command("schema")
@click.argument(
    "recipes", metavar="[RECIPE]...", nargs=-1, shell_complete=options.completes("recipes")
)
@click.option(
    "--reference",
    metavar="FOLDER",
    help=(
        "Write the reference of recipes and tools to this folder instead, one Markdown page per "
        "tool."
    ),
)
def command(recipes: tuple[str, ...], reference: str | None) -> int:
    """Print the JSON Schema of recipes, for editors.

    With RECIPEs, it includes their own tools and those of installed packages.
    """
    from runner.catalog import load

    if reference is not None:
        _write(Path(reference))
        return Exit.OK
    from runner.catalog.editor_schema import recipe_schema

    catalog = load.catalog(_tools(recipes) if recipes else {})
    printer.payload(f"{pretty_json(recipe_schema(load.envelope(), catalog))}\n")
    return Exit.OK


def _tools(recipes: "Sequence[str]") -> "Mapping[str, dict[str, Any]]":
    """Return the tools that recipes name and those of installed packages.

    Raises RecipeError if two recipes mean two tools by one name.
    """
    from runner import workflow
    from runner.catalog import packaged_tools

    tools = dict(packaged_tools.tools(packaged_tools.names()))
    origin: dict[str, str] = {}
    for file in recipes:
        texts = workflow.gather(file)
        wrong = [one for one in texts.problems if one.rule in {"bad-tool", "bad-tool-file"}]
        if wrong or texts.tree is None:
            raise InvalidRecipeError(wrong or [*texts.problems], texts.sources)
        for name, schema in texts.tools.items():
            before = origin.setdefault(name, file)
            if before != file and tools[name] != schema:
                why = f"'{name}' is one tool in {before} and another in {file}"
                raise RecipeError(why, "give one of them another name")
            tools[name] = schema
    return tools


def _write(folder: Path) -> None:
    from runner.catalog import load
    from runner.catalog.reference_docs import pages
    from runner.system import files

    folder.mkdir(parents=True, exist_ok=True)
    texts = pages(load.envelope(), load.test_schema(), load.catalog())
    for name, text in texts.items():
        files.write(folder / name, text)
