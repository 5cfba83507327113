"""Commands run in turn, A B A B, each in a process of its own, and what each of them cost."""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

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
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        env = environment(command.env)
        argv = [str(word) for word in command.argv]
        begun = time.perf_counter()
        child = subprocess.Popen(argv, cwd=command.cwd, env=env, stdout=out, stderr=err)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - begun
        child.returncode = os.waitstatus_to_exitcode(status)
        shown = _text(out), _text(err)
        if child.returncode:
            tail = shown[1][-2000:] or shown[0][-2000:]
            raise BenchError(f"{command.name} ended with {child.returncode}: {argv}\n{tail}")
        said = command.reads(*shown) if command.reads else 0.0
    return Sample(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * _RSS, said)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


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
