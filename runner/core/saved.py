"""What a training that was cut off has left behind -> whether and where it can go on, in words."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from runner.core.plan import Stage
from runner.core.problem import listing

Json = dict[str, Any]
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Saved:
    """The state of a training after an iteration: its file, and what it is a state of.

    `metrics` are the bytes of metrics.jsonl written by then, `packages` the versions that made it,
    `loop` what only the training itself reads.
    """

    iteration: int
    file: str
    size: int
    sha256: str
    metrics: int
    identity: str
    packages: Mapping[str, str]
    loop: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> Json:
        """Return the note as JSON-ready values; from_dict reads them back."""
        return {"format": FORMAT, **asdict(self)}


def from_dict(said: Json | None) -> Saved | None:
    """Return the note, None where it is none of this format."""
    from msgspec import ValidationError, convert  # noqa: PLC0415  (few go on with a training)

    if said is None or said.get("format") != FORMAT:
        return None
    try:
        found = convert(said, Saved)
    except (ValidationError, RecursionError):
        return None
    return None if "/" in found.file or found.file in {"", ".", ".."} else found


def unlike(saved: Saved, identity: str, packages: Mapping[str, str]) -> str:
    """Return why a state is not one of this training, '' where it is."""
    if saved.identity != identity:
        return "what it is made of changed"
    other = [name for name in packages if saved.packages.get(name) != packages[name]]
    return f"{listing(other)} is another release" if other else ""


def goes_on(saved: Saved, stage: Stage) -> str:
    """Return from where a training goes on: iterations done and left, and the updates made."""
    iters, done = stage.params["iters"], saved.iteration
    update = done // stage.params["grad_accumulation_steps"]
    what = "the schedule" if stage.params["lr_schedule"] else "the optimizer"
    left = f"{iters - done} remain, {what} at update {update}"
    return f"goes on after iteration {done} of {iters}: {left}"


def starts_over(why: str) -> str:
    """Return that a training starts over, and why."""
    return f"starts over: {why}"
