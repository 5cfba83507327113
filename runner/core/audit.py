"""Planned against seen: whether every parameter reached MLX as the recipe says."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from runner.core.problem import counted, listing
from runner.core.staging import moved

ABSENT = "(absent)"
PARSED, TAKEN = "parser", "tool"
_NAMED = 8


@dataclass(frozen=True, slots=True)
class Verdict:
    """One parameter: what was planned, what the tool's parser made of it, what MLX used of it.

    `effective` is ABSENT where nothing in the process shows it beside the parsed value. `seen` is
    how far it was followed: "parser"; "tool", whose own code took the value; "loader", "trainer",
    "test" or "end", where MLX had it in use.
    """

    parameter: str
    planned: Any
    parsed: Any
    effective: Any = ABSENT
    seen: str = PARSED

    @property
    def equal(self) -> bool:
        """Whether everything seen is what was planned."""
        reached = self.effective == ABSENT or same(self.planned, self.effective)
        return same(self.planned, self.parsed) and reached

    @property
    def reached(self) -> bool:
        """Whether it is as planned, and something past the parser took it."""
        return self.equal and self.seen != PARSED

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict as JSON-ready values."""
        return {
            "parameter": self.parameter,
            "planned": self.planned,
            "parsed": self.parsed,
            "effective": None if self.effective == ABSENT else self.effective,
            "observed": self.effective != ABSENT,
            "seen": self.seen,
            "equal": self.equal,
        }


def compare(
    planned: Mapping[str, Any],
    parsed: Mapping[str, Any],
    effective: Mapping[str, Any],
    seen: Mapping[str, str],
) -> list[Verdict]:
    """Return a verdict for every planned parameter, in the plan's order."""
    return [
        Verdict(
            name,
            value,
            parsed.get(name, ABSENT),
            effective.get(name, ABSENT),
            seen.get(name, PARSED),
        )
        for name, value in planned.items()
    ]


def differences(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Return the verdicts that do not agree."""
    return [verdict for verdict in verdicts if not verdict.equal]


def settled(verdict: Verdict, final: Mapping[str, str]) -> Verdict:
    """Return a verdict on a path that is as planned with the place it will be moved to."""
    place = moved(verdict.planned, final) if isinstance(verdict.planned, str) else None
    if place is None or place == verdict.planned or not verdict.equal:
        return verdict
    effective = ABSENT if verdict.effective == ABSENT else place
    return replace(verdict, planned=place, parsed=place, effective=effective)


def tally(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """Return how many parameters were compared, how many differ, and how many reached MLX."""
    rows = list(verdicts)
    reached = sum(verdict.reached for verdict in rows)
    return {"parameters": len(rows), "different": len(differences(rows)), "reached": reached}


def summary(counts: Mapping[str, int]) -> str:
    """Return a tally in words; one of an earlier release does not say what reached MLX."""
    equal = counts["parameters"] - counts["different"]
    said = f"{equal} of {counted(counts['parameters'], 'parameter')} as planned"
    if "reached" not in counts:
        return said
    return f"{said}, {counts['reached'] or 'nothing'} reached MLX"


def sentence(verdicts: Iterable[Verdict]) -> str:
    """Return the audit in one line: its tally, what is not as planned, what was not asked for."""
    rows = list(verdicts)
    counts = tally(rows)
    said = [summary(counts)]
    if counts["different"]:
        said.append(f"not as planned: {_names(differences(rows))}")
    idle = [verdict for verdict in rows if verdict.equal and not verdict.reached]
    if idle and counts["reached"]:
        said.append(f"not asked for: {_names(idle)}")
    return "; ".join(said)


def _names(verdicts: Iterable[Verdict]) -> str:
    return listing(dict.fromkeys(verdict.parameter for verdict in verdicts), _NAMED)


def same(planned: Any, seen: Any) -> bool:
    """Say whether two values are one to MLX: 2 and 2.0 are, true and 1 are not.

    Numbers that differ by less than single precision can tell are equal: MLX keeps float32.
    """
    if isinstance(planned, bool) or isinstance(seen, bool):
        return planned is seen
    if isinstance(planned, int | float) and isinstance(seen, int | float):
        whole = isinstance(planned, int) and isinstance(seen, int)
        return planned == seen if whole else math.isclose(planned, seen, rel_tol=2e-7)
    if isinstance(planned, Mapping) and isinstance(seen, Mapping):
        return planned.keys() == seen.keys() and all(same(v, seen[k]) for k, v in planned.items())
    if isinstance(planned, list | tuple) and isinstance(seen, list | tuple):
        return len(planned) == len(seen) and all(map(same, planned, seen))
    if isinstance(seen, PurePath):
        return isinstance(planned, str) and PurePath(planned) == seen
    return type(planned) is type(seen) and bool(planned == seen)


def table(verdicts: Iterable[Verdict]) -> list[str]:
    """Return the verdicts as aligned rows: what was planned, what was seen and by whom."""
    rows = [
        (
            verdict.parameter,
            _short(verdict.planned),
            "-" if verdict.parsed == ABSENT else _short(verdict.parsed),
            "-" if verdict.effective == ABSENT else _short(verdict.effective),
            verdict.seen,
            "yes" if verdict.equal else "NO",
        )
        for verdict in verdicts
    ]
    rows.insert(0, ("parameter", "planned", "parsed", "effective", "seen by", "equal"))
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _short(value: Any, width: int = 40) -> str:
    text = str(value)
    return text if len(text) <= width else f"{text[: width - 1]}…"
