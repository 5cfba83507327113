"""The verb schema."""

import click

from runner.errors import Exit


@click.command("schema")
def command() -> int:
    """Print the JSON Schema of a recipe, for editors."""
    from runner.core.editor import recipe_schema
    from runner.core.invocation import laid_out
    from runner.edges import schemas

    click.echo(laid_out(recipe_schema(schemas.envelope(), schemas.catalog())))
    return Exit.OK
