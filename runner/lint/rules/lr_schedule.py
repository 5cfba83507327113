"""Learning rate, schedule, optimizer: what is ignored, and what too few updates never reach."""

from collections.abc import Iterator, Mapping
from typing import Any

from runner.base.problems import plural
from runner.lint.facts import Finding
from runner.lint.lineage import model_at
from runner.lint.rule import View, rule
from runner.plan.training_math import learning_rate, updates

# Below this, Adam's updates of bfloat16 weights mostly round to nothing: 19.6 % of the elements
# moved at 1e-5, 97.6 % at 1e-4 (T38, measured).
_UNDERFLOW = 5e-5
# How many updates a decay may end early or late without being mistaken: one in a hundred.
_SLACK = 100


@rule("error", "T28")
def schedule_hides_learning_rate(view: View) -> Iterator[Finding]:
    """A learning_rate beside an lr_schedule with another peak is never used.

    mlx-lm records learning_rate but trains with the schedule's first argument. Give both the same
    value, as in ``arguments: ["{{ stage.params.learning_rate }}", …]``, or remove learning_rate.
    """
    match = hidden_rate(view)
    if match is not None and view.params["lr_schedule"]["arguments"][0] != match[0]:
        yield match[1]


def hidden_rate(view: View) -> tuple[float, Finding] | None:
    """Return the learning_rate that a schedule hides, whatever its peak, and what to say of it."""
    schedule, rate = view.params["lr_schedule"], view.params["learning_rate"]
    if not view.trains or not schedule or "learning_rate" not in view.explicit:
        return None
    peak = schedule["arguments"][0]
    message = f"learning_rate {rate:g} would be ignored: the schedule's peak is {peak:g}"
    hint = 'remove it, or write the peak as "{{ stage.params.learning_rate }}"'
    return rate, Finding(parameter="learning_rate", message=message, hint=hint)


@rule("error", "T35")
def warmup_longer_than_training(view: View) -> Iterator[Finding]:
    """A warm-up with more updates than the training never reaches the learning rate.

    Updates are iters // grad_accumulation_steps (T34). Shorten the warm-up or train longer.
    """
    schedule = view.params["lr_schedule"]
    if view.trains and schedule and schedule["warmup"] >= updates(view.params):
        message = (
            f"a warm-up of {plural(schedule['warmup'], 'update')} never ends: the training has "
            f"only {updates(view.params)}"
        )
        least = (schedule["warmup"] + 1) * view.params["grad_accumulation_steps"]
        hint = f"set iters: {least} or more, or a warmup below {updates(view.params)}"
        yield Finding(parameter="lr_schedule.warmup", message=message, hint=hint)


@rule("error", "T35")
def schedule_shorter_than_training(view: View) -> Iterator[Finding]:
    """A decay to zero that ends before the training: the rest trains at a rate of zero.

    The decay starts after the warm-up and keeps its end value. A decay over the whole training has
    iters // grad_accumulation_steps - warmup steps.
    """
    decay = _Decay.of(view)
    if decay and decay.end == 0 and decay.steps < decay.room - decay.slack:
        idle = decay.room - decay.steps
        message = (
            f"the learning rate would be 0 for the last {idle} of "
            f"{plural(decay.updates, 'update')}: the decay ends "
            f"{plural(decay.steps, 'update')} after the warm-up"
        )
        yield Finding(parameter="lr_schedule.arguments", message=message, hint=decay.hint)


@rule("warning", "T35")
def schedule_stays_at_its_end(view: View) -> Iterator[Finding]:
    """A decay that ends before the training: the rest trains at the schedule's end value.

    This may be intended. A decay over the whole training has
    iters // grad_accumulation_steps - warmup steps.
    """
    decay = _Decay.of(view)
    if decay and decay.end > 0 and decay.steps < decay.room - decay.slack:
        message = (
            f"the learning rate would stay at {decay.end:g} for the last "
            f"{decay.room - decay.steps} of {plural(decay.updates, 'update')}"
        )
        yield Finding(parameter="lr_schedule.arguments", message=message, hint=decay.hint)


@rule("warning", "T35")
def schedule_longer_than_training(view: View) -> Iterator[Finding]:
    """A decay with more updates than the training has after its warm-up never reaches its end.

    A decay over the whole training has iters // grad_accumulation_steps - warmup steps.
    """
    decay = _Decay.of(view)
    if decay and decay.accumulated == 1 and decay.steps > decay.room + decay.slack:
        last = learning_rate(view.params["lr_schedule"], max(0, decay.updates - 1))
        message = (
            f"the training ends at a learning rate of {last:g} instead of {decay.end:g}: "
            f"{plural(decay.room, 'update')} follow{'s' * (decay.room == 1)} the warm-up, and "
            f"the decay has {decay.steps}"
        )
        yield Finding(parameter="lr_schedule.arguments", message=message, hint=decay.hint)


@rule("warning")
def iters_not_said(view: View) -> Iterator[Finding]:
    """A training without a length uses mlx-lm's default of 1000 iterations.

    That is many epochs of a small data set and few of a large one. Set ``iters``, or ``budget:
    {epochs: N}`` to derive it from the rows. An inherited value counts as set.
    """
    if view.trains and "iters" not in view.explicit:
        message = (
            f"the length of the training is not set: mlx-lm's default is {view.params['iters']} "
            "iterations"
        )
        yield Finding(
            parameter="iters",
            message=message,
            hint="set iters, or budget: {epochs: N} next to params",
        )


@rule("error", "T34")
def schedule_under_accumulation(view: View) -> Iterator[Finding]:
    """A schedule counted in iterations while gradients are accumulated: it barely moves.

    mlx-lm counts warm-up and decay in optimizer updates, and makes one update every
    grad_accumulation_steps iterations. Divide both by grad_accumulation_steps.
    """
    decay = _Decay.of(view)
    if decay and decay.accumulated > 1 and decay.steps > decay.room + decay.slack:
        message = (
            f"the schedule counts optimizer updates, not iterations: {view.params['iters']} "
            f"iterations with grad_accumulation_steps {decay.accumulated} are "
            f"{plural(decay.updates, 'update')}, and the decay has "
            f"{plural(decay.steps, 'step')}"
        )
        yield Finding(parameter="lr_schedule.arguments", message=message, hint=decay.hint)


@rule("error", "T36")
def iters_not_multiple_of_accumulation(view: View) -> Iterator[Finding]:
    """Iterations after the last full group of grad_accumulation_steps are never applied.

    mlx-lm updates the weights every grad_accumulation_steps iterations, and only then. With fewer
    iterations it makes no update at all and saves an untrained adapter.
    """
    iters, group = view.params["iters"], view.params["grad_accumulation_steps"]
    rest = iters % group
    if view.trains and rest:
        part = f"the last {rest} of {iters} iterations" if iters > group else "the training"
        message = f"{part} would have no effect: weights are updated every {group} iterations"
        below = iters - rest
        hint = f"use {below} or {below + group} iters" if below else f"use at least {group} iters"
        yield Finding(parameter="iters", message=message, hint=hint)


@rule("error", "T29")
def adafactor_ignores_learning_rate(view: View) -> Iterator[Finding]:
    """Adafactor with relative_step computes its own learning rate and ignores the recipe's.

    relative_step is on unless the recipe says otherwise; neither learning_rate nor lr_schedule is
    then read. Set ``optimizer_config: {adafactor: {relative_step: false}}``, or remove both.
    """
    own = view.params["optimizer_config"].get("adafactor", {}).get("relative_step")
    names = [name for name in ("learning_rate", "lr_schedule") if name in view.explicit]
    if view.trains and view.params["optimizer"] == "adafactor" and own and names:
        message = (
            f"{' and '.join(names)} would be ignored: adafactor computes its own learning rate"
        )
        hint = (
            "set optimizer_config: {adafactor: {relative_step: false}}, or remove "
            f"{' and '.join(names)}"
        )
        yield Finding(parameter=names[0], message=message, hint=hint)


@rule("warning", "T38")
def full_rate_underflows(view: View) -> Iterator[Finding]:
    """Full fine-tuning at a small learning rate leaves most bfloat16 weights unchanged.

    A bfloat16 number has about three digits: an update much smaller than the weight rounds to zero.
    Measured after 20 updates of Adam: 1e-4 changed 97.6 % of the weights, 1e-5 (mlx-lm's default)
    19.6 %, 1e-6 1.6 %. Raise the rate, or convert the base model with ``dtype: float32``.
    """
    if view.trains and view.params["fine_tune_type"] == "full":
        schedule = view.params["lr_schedule"]
        peak = schedule["arguments"][0] if schedule else view.params["learning_rate"]
        kind = model_at(view, view.params["model"]).dtype
        if peak < _UNDERFLOW and kind in {None, "bfloat16"}:
            base = "bfloat16" if kind else "bfloat16, like most models"
            message = (
                f"a learning rate of {peak:g} is lost in rounding for most weights of a full "
                f"fine-tuning when the base is {base}"
            )
            hint = "raise it to 1e-4, or convert the base with dtype: float32"
            yield Finding(parameter="learning_rate", message=message, hint=hint)


class _Decay:
    """The decaying part of a schedule beside the updates there are for it."""

    def __init__(self, params: Mapping[str, Any], steps: int, end: float) -> None:
        self.steps, self.end = steps, end
        self.updates = updates(params)
        self.accumulated = params["grad_accumulation_steps"]
        self.room = self.updates - params["lr_schedule"]["warmup"]
        self.slack = max(1, self.updates // _SLACK)
        self.hint = f"decay over {plural(self.room, 'step')}: the updates after the warm-up"

    @classmethod
    def of(cls, view: View) -> "_Decay | None":
        """Return the decay of a training's schedule, None where it has none with an end."""
        schedule = view.params["lr_schedule"]
        if not view.trains or not schedule or schedule["warmup"] >= updates(view.params):
            return None
        match schedule["name"], *schedule["arguments"]:
            case "cosine_decay", _, steps, *end:
                return cls(view.params, steps, end[0] if end else 0.0)
            case "linear_schedule", _, end, steps:
                return cls(view.params, steps, end)
        return None
