"""The verb model: tools that make models."""

import click

from runner.verbs.own import own


@click.group("model")
def command() -> None:
    """Work on models."""


own(command, "tiny", "Make a tiny random model.")
