"""What a stage says beside its parameters: how long it may take."""

from collections.abc import Iterator

from runner.core.rules import Finding, View, rule

# Importing mlx-lm and loading a model take seconds even where nothing else is done.
_SHORT = 30


@rule("warning", tools=())
def timeout_of_seconds(view: View) -> Iterator[Finding]:
    """A timeout of a few seconds: the stage would be stopped while it loads.

    A number without a unit is a number of seconds. Write 5m or 5h where minutes or hours are meant.
    """
    limit = view.stage.timeout
    if limit is not None and limit < _SHORT and not view.stage.tool.startswith(("data.", "model.")):
        message = f"the stage would be stopped after {limit:g} seconds, which hardly loads a model"
        yield Finding("timeout", message, f"write {limit:g}m for minutes, {limit:g}h for hours")
