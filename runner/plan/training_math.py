"""The arithmetic of a training: learning rates, updates, epochs."""

import math
from collections.abc import Mapping
from typing import Any


def learning_rate(schedule: Mapping[str, Any], update: int) -> float:
    """Return the learning rate of an optimizer update (from 0) under an mlx-lm ``lr_schedule``.

    Source: mlx_lm.tuner.utils.build_schedule and mlx.optimizers.schedulers; the warm-up is joined
    at update warmup + 1, so that the peak is used twice.
    """
    warmup = schedule.get("warmup", 0)
    first = float(schedule["arguments"][0])
    if warmup and update < warmup + 1:
        start = schedule.get("warmup_init", 0.0)
        return float(start + (first - start) * min(update, warmup) / warmup)
    return _decay(schedule, update - (warmup + 1 if warmup else 0))


def _decay(schedule: Mapping[str, Any], step: int) -> float:
    match schedule["name"], *schedule["arguments"]:
        case "cosine_decay", init, steps, *end:
            low = end[0] if end else 0.0
            share = min(step, steps) / steps
            return float(low + 0.5 * (1.0 + math.cos(math.pi * share)) * (init - low))
        case "linear_schedule", init, end, steps:
            return float(init + (end - init) * min(step, steps) / steps)
        case "exponential_decay", init, rate:
            return float(init * rate**step)
        case "step_decay", init, rate, size:
            return float(init * rate ** (step // size))
    raise ValueError(schedule["name"])


def updates(params: Mapping[str, Any]) -> int:
    """Return how many optimizer updates a training makes; a rest is never applied (T36)."""
    return int(params["iters"]) // int(params["grad_accumulation_steps"])
