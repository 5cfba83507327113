"""The verb data: the data tools."""

import click

from runner.verbs.own import own


@click.group("data")
def command() -> None:
    """Work on data sets."""


own(command, "mix", "Mix replay rows of an earlier data set into a new one.")
own(command, "check", "Look at every row of a data set.")
