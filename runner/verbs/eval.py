"""The verb eval: a model's answers, judged."""

import click

from runner.verbs.own import own


@click.group("eval")
def command() -> None:
    """Judge what a model answers."""


own(command, "score", "Let a model answer prompts, and score the answers by rules.")
