"""Going on with nothing left to do: 4 finished stages, and 1,000."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import graph
from benchmarks.graph import Step
from benchmarks.harness import BenchError, Command, environment
from benchmarks.peers import OURS, WORK, Peers
from benchmarks.profiles import modules
from benchmarks.row import Goal, Row
from benchmarks.rows.cold import NOTHING_KEPT

DVC = "dvc repro"
SNAKEMAKE = "snakemake"


def rows() -> Iterator[Row]:
    """Yield the rows."""
    yield _row(4, (Goal(0.2, DVC),), 5)
    yield _row(1_000, (Goal(0.15, SNAKEMAKE),), 3)


def _row(count: int, goals: tuple[Goal, ...], rounds: int) -> Row:
    folder = WORK / "resume" / str(count)
    graph.write([_step(number) for number in range(count)], folder)
    recipe = _recipe(count, folder)
    peers = Peers()
    peers.add(DVC, "dvc", "dvc", "repro", cwd=folder / "dvc")
    peers.add(SNAKEMAKE, "snakemake", "snakemake", "-c2", cwd=folder / "snakemake")
    ours = Command("run-recipe --resume", [OURS, recipe.name, "--resume"], folder, NOTHING_KEPT)
    for command in peers.found:
        _once(command)
    _finished(ours, folder)
    what = f"resume, {count:,} finished stages"
    told = tuple(peers.missing)
    return Row(what, ours, tuple(peers.found), (), goals, told, rounds, why=modules(ours))


def _step(number: int) -> Step:
    reads = (f"s{number - 1}",) if number % 5 == 4 else ()
    return Step(f"s{number}", "true", {"seed": number}, reads)


def _recipe(count: int, folder: Path) -> Path:
    """Write a recipe of stages that mix a few rows, and the rows."""
    for name in ("new", "old"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        rows = [{"prompt": f"{name} {n}", "completion": str(n)} for n in range(20)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / name / "train.jsonl").write_text(text)
    lines = ["version: 1\nstages:\n"]
    for number in range(count):
        reads = number % 5 == 4
        primary = f'"{{{{ stages.s{number - 1}.data }}}}"' if reads else "new"
        lines.append(f"  s{number}:\n    tool: data.mix\n    params:\n")
        lines.append(f"      primary: {primary}\n      replay: old\n      ratio: 0.2\n")
        lines.append(f"      seed: {number}\n      tolerance: 0.5\n")
    path = folder / "r.yaml"
    path.write_text("".join(lines))
    return path


def _finished(ours: Command, folder: Path) -> None:
    """Run the recipe once to its end, where that is not done yet: minutes for 1,000 stages."""
    if "run " not in _decisions(ours, folder) and (folder / "runs").exists():
        return
    print(f"  running {folder.name} stages once", file=sys.stderr)
    _once(Command(ours.name, [*ours.argv[:-1], "--quiet"], folder))
    if "run " in _decisions(ours, folder):
        raise BenchError(f"{folder.name} stages: a finished run has something left to do")


def _decisions(ours: Command, folder: Path) -> str:
    argv = [*map(str, ours.argv), "--dry-run"]
    done = subprocess.run(
        argv, cwd=folder, env=environment(NOTHING_KEPT), capture_output=True, text=True, check=False
    )
    return done.stdout if not done.returncode else "run anew"


def _once(command: Command) -> None:
    argv = [*map(str, command.argv)]
    done = subprocess.run(
        argv,
        cwd=command.cwd,
        env=environment(NOTHING_KEPT),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"{command.name}: {done.stderr[-2000:]}")
