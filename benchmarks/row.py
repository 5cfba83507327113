"""A row of the table: what is measured against what, how fast it should be, and how fast it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import MIB, Command, Figures


@dataclass(frozen=True, slots=True)
class Goal:
    """At most (or at least) so many times the figure of another command; alone, so many MB.

    `of` names the figure: wall, cpu, peak, or said, which is what the command says of itself.
    """

    times: float
    against: str = ""
    of: str = "wall"
    least: bool = False

    def __str__(self) -> str:
        sign = "≥" if self.least else "≤"
        if self.against:
            return f"{sign} {self.times:g} x {self.against}"
        return f"{sign} {self.times:g} {'MB' if self.of == 'peak' else ''}".strip()

    def measured(self, ours: Figures, all_of_them: Mapping[str, Figures]) -> float | None:
        """Return the figure that is held against the goal, None where the other is missing."""
        own: float = getattr(ours, self.of)
        if not self.against:
            return own / MIB if self.of == "peak" else own
        other = all_of_them.get(self.against)
        return own / getattr(other, self.of) if other and getattr(other, self.of) else None

    def met(self, measured: float) -> bool:
        """Say whether a figure meets the goal."""
        return measured >= self.times if self.least else measured <= self.times


@dataclass(frozen=True, slots=True)
class Row:
    """One thing to do, done by `ours`, by `peers`, and by a program that does nothing else.

    `missing` are the peers that could not be set up, with the reason; `unit` is that of the
    figures the commands say of themselves; `why` says what dominates where a goal is not met.
    `same` are pairs of files that the commands must leave alike, to the bit.
    """

    what: str
    ours: Command
    peers: tuple[Command, ...] = ()
    limits: tuple[Command, ...] = ()
    goals: tuple[Goal, ...] = ()
    missing: tuple[tuple[str, str], ...] = ()
    rounds: int = 10
    unit: str = ""
    why: str = ""
    same: tuple[tuple[Path, Path], ...] = ()

    @property
    def commands(self) -> tuple[Command, ...]:
        """Everything that is run for it, in turn."""
        return (self.ours, *self.peers, *self.limits)
