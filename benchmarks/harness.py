"""Commands run in turn, A B A B, each in a process of its own, and what each of them cost."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

MIB = 1024 * 1024
# What would make a start slower than a user's, or another than a user's.
_UNSET = {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONPATH", "PYTHONSTARTUP"}
# ru_maxrss is in KiB, but in bytes on a Mac.
_RSS = 1 if sys.platform == "darwin" else 1024


class BenchError(Exception):
    """A command of the bench that failed: its figures would mean nothing."""


@dataclass(frozen=True, slots=True)
class Command:
    """What is measured: `name` says it in the table.

    `fresh` are paths removed before each run, untimed. `reads` takes a figure of its own from its
    stdout and stderr.
    """

    name: str
    argv: Sequence[str | Path]
    cwd: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    fresh: tuple[Path, ...] = ()
    reads: Callable[[str, str], float] | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: seconds on the clock and of the processor, peak memory in bytes, its own figure."""

    wall: float
    cpu: float
    peak: int
    said: float = 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What the runs of a command have in common: medians, and the middle half of its times."""

    wall: float
    low: float
    high: float
    cpu: float
    peak: float
    said: float = 0.0
    runs: int = 0


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment a user's command would have."""
    kept = {key: value for key, value in os.environ.items() if key not in _UNSET}
    return {**kept, "DVC_NO_ANALYTICS": "1", "NO_COLOR": "1", **(more or {})}


def in_turn(commands: Sequence[Command], rounds: int, warmups: int = 1) -> dict[str, Figures]:
    """Run all commands once, then all again, and so on; return the figures of each by name."""
    samples: dict[str, list[Sample]] = {command.name: [] for command in commands}
    for turn in range(-warmups, rounds):
        for command in commands:
            _say(f"  {turn + 1}/{rounds} {command.name}")
            sample = once(command)
            if turn >= 0:
                samples[command.name].append(sample)
    _say("")
    return {name: _figures(found) for name, found in samples.items()}


def once(command: Command) -> Sample:
    """Run a command once. Raises BenchError where it fails."""
    for path in command.fresh:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        argv = [str(word) for word in command.argv]
        cwd = str(command.cwd or Path.cwd())
        order = {"argv": argv, "cwd": cwd, "env": environment(command.env)}
        said = _starter().ask({**order, "out": str(out), "err": str(err)})
        code, wall, cpu, peak = said
        shown = out.read_text(errors="replace"), err.read_text(errors="replace")
    if code:
        tail = shown[1][-2000:] or shown[0][-2000:]
        raise BenchError(f"{command.name} ended with {code}: {argv}\n{tail}")
    figure = command.reads(*shown) if command.reads else 0.0
    return Sample(wall, cpu, peak * _RSS, figure)


class _Starter:
    """The process that starts the commands."""

    def __init__(self) -> None:
        argv = [sys.executable, "-I", "-S", str(Path(__file__).with_name("starter.py"))]
        self.child = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, order: Mapping[str, object]) -> tuple[int, float, float, int]:
        self.child.stdin.write(json.dumps(order) + "\n")
        self.child.stdin.flush()
        return tuple(json.loads(self.child.stdout.readline()))


_starter = cache(_Starter)


def _say(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)


def _figures(samples: Sequence[Sample]) -> Figures:
    walls = sorted(sample.wall for sample in samples)
    quarter = len(walls) // 4
    return Figures(
        statistics.median(walls),
        walls[quarter],
        walls[-1 - quarter],
        statistics.median(sample.cpu for sample in samples),
        statistics.median(sample.peak for sample in samples),
        statistics.median(sample.said for sample in samples),
        len(samples),
    )
