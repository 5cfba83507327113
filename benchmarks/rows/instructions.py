"""Instructions instead of seconds: what a busy machine counts alike."""

import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.harness import Command
from benchmarks.peers import OURS, TOP
from benchmarks.row import Goal, Row
from benchmarks.rows import cold, scale

COUNT = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")


def rows() -> Iterator[Row]:
    """Yield the rows; none where there is no valgrind, which a Mac does not have."""
    if shutil.which(COUNT[0]) is None:
        print(f"  no {COUNT[0]} on this {platform.system()}: nothing is counted")
        return
    bare = _counted(Command("bare Python", [sys.executable, "-c", "pass"]))
    peer = [_counted(one) for one in next(cold.rows()).peers if one.name == cold.HYDRA]
    for row in (*_starts(), scale.inherited()):
        ours = _counted(row)
        goals = tuple(Goal(0.35, one.name, "said") for one in peer if ours.cwd == TOP)
        peers = tuple(peer) if ours.cwd == TOP else ()
        yield Row(f"instructions: {row.name}", ours, peers, (bare,), goals, (), 1, "million")


def _starts() -> Iterator[Command]:
    python = [sys.executable, OURS]
    yield Command("--help", [*python, "--help"], TOP)
    yield Command("--dry-run", [*python, cold.RECIPE, "--dry-run"], TOP, cold.NOTHING_KEPT)


def _counted(command: Command) -> Command:
    """Return a command under callgrind, which says how many million instructions it ran."""
    return replace(command, argv=[*COUNT, *command.argv], reads=_collected)


def _collected(_: str, err: str) -> float:
    return int(err.rpartition("Collected : ")[2].split()[0]) / 1e6
