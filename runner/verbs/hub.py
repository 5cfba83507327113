"""The verb hub: results on their way to other people."""

import click

from runner.verbs.own import own


@click.group("hub")
def command() -> None:
    """Hand results on."""


own(command, "publish", "Upload a model or an adapter with a card that says how it was made.")
