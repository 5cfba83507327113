"""The verb data: the data tools."""

import click

from runner.verbs.own import own


@click.group("data")
def command() -> None:
    """Work on data sets."""


own(command, "mix", "Mix replay rows of an earlier data set into a new one.")
own(command, "split", "Deal rows out to train, valid and test.")
own(command, "weight", "Repeat rows by a field, so that better ones count more.")
own(command, "sort", "Order rows so that a batch holds rows of similar length.")
own(command, "format", "Write rows of one layout in another, without loss.")
own(command, "check", "Look at every row of a data set.")
