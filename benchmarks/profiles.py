"""Where the time of a command goes, in words: by what it imports, or by module."""

import pstats
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.harness import Command, environment

FEW = 6
ROUNDS = 5
PYTHON = "Python's own"


def imports(command: Command) -> str:
    """Return what the imports of a command take by package, those that take most first.

    The figures are those of the run of several that took least.
    """
    times = min((_imports(command) for _ in range(ROUNDS)), key=lambda run: sum(run.values()))
    total = sum(times.values())
    return f"imports take {total:.0f} ms of such a start (-X importtime): {_most(times)}"


def modules(command: Command) -> str:
    """Return the share of each module in the time of a command, as cProfile sees it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "profile")
        for _ in range(2):  # what is kept for next time, the first one keeps
            _run(command, ["-m", "cProfile", "-o", file])
        rows = pstats.Stats(str(file)).stats
    times: Counter[str] = Counter()
    for (path, _, _), (_, _, own, _, _) in rows.items():
        parts = Path(path).with_suffix("").parts
        ours = "runner" in parts and "site-packages" not in parts
        name = ".".join(parts[parts.index("runner") :]) if ours else PYTHON
        times[name] += own
    total = sum(times.values())
    shares = Counter({name: 100 * time / total for name, time in times.items()})
    return f"of such a run, as cProfile sees it, % by module: {_most(shares)}"


_TOLD = "told by the bench:"
_TELL = f"""
import atexit, resource, runpy, sys
@atexit.register
def tell():
    own, below = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    sys.stderr.write("{_TOLD} %f %f" % tuple(x.ru_utime + x.ru_stime for x in (own, below)))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def processes(command: Command) -> str:
    """Return the processor time of a command: its first process's own, and its children's.

    The figures are those of the run of several that took least: one after what is kept for it was.
    """
    runs = [_run(command, ["-P", "-c", _TELL]).rpartition(_TOLD)[2].split() for _ in range(ROUNDS)]
    own, below = min((tuple(map(float, run)) for run in runs), key=sum)
    return (
        f"of the processor's time {own:.2f} s are the first process's, "
        f"{below:.2f} s those of the processes it starts (getrusage)"
    )


def _most(found: Counter[str]) -> str:
    most = found.most_common(FEW)
    rest = sum(found.values()) - sum(figure for _, figure in most)
    return ", ".join([*(f"{name} {figure:.0f}" for name, figure in most), f"others {rest:.0f}"])


def _imports(command: Command) -> Counter[str]:
    """Return milliseconds by package, each without what it imports in its turn."""
    found: Counter[str] = Counter()
    for line in _run(command, ["-X", "importtime"]).splitlines():
        own, *rest = line.removeprefix("import time:").split("|")
        if rest and own.strip().isdigit():
            package = rest[-1].strip().partition(".")[0]
            standard = package in sys.stdlib_module_names
            found[PYTHON if standard else package] += int(own) / 1000
    return found


def _run(command: Command, options: list[str | Path]) -> str:
    """Run a command of ours with options of Python's; return its stderr."""
    for path in command.fresh:
        subprocess.run(["rm", "-rf", path], check=True)
    argv = [sys.executable, *options, *command.argv]
    env = environment(command.env)
    done = subprocess.run(argv, cwd=command.cwd, env=env, capture_output=True, check=True)
    return done.stderr.decode()
