"""Learning rate, schedule, optimizer: what is ignored, and what never happens in so few updates."""

from collections.abc import Iterator

from runner.core.budget import updates
from runner.core.rules import Finding, View, rule


@rule("error", "T28")
def schedule_hides_learning_rate(view: View) -> Iterator[Finding]:
    """A learning_rate beside an lr_schedule with another peak is never used.

    mlx-lm records learning_rate and trains with the schedule's first argument. Give both the same
    value, as in ``arguments: ["{{ stage.params.learning_rate }}", …]``, or leave learning_rate out.
    """
    schedule = view.params["lr_schedule"]
    rate = view.params["learning_rate"]
    if view.trains and schedule and "learning_rate" in view.given:
        peak = schedule["arguments"][0]
        if peak != rate:
            message = f"learning_rate {rate:g} would be ignored: the schedule's peak is {peak:g}"
            hint = 'write the peak as "{{ stage.params.learning_rate }}"'
            yield Finding("learning_rate", message, hint)


@rule("error", "T35")
def warmup_longer_than_training(view: View) -> Iterator[Finding]:
    """A warm-up of more updates than the training makes never reaches the learning rate.

    Updates are iters // grad_accumulation_steps (T34). Shorten the warm-up or train longer.
    """
    schedule = view.params["lr_schedule"]
    if view.trains and schedule and schedule["warmup"] >= updates(view.params):
        message = (
            f"a warm-up of {schedule['warmup']} updates never ends: the training makes "
            f"{updates(view.params)}"
        )
        yield Finding("lr_schedule.warmup", message, "shorten warmup, or raise iters")
