"""Looking for finished stages: 1,000 old runs of 4 stages; and the disk that ten runs take."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import Command
from benchmarks.peers import TOP, WORK
from benchmarks.row import Goal, Row

RUNS, STAGES = 1_000, 4
LOOK = """
import pathlib, sys, time
from runner.runs.decisions import Identity
from runner.runs.reuse import FinishedStages
begin = time.perf_counter()
runs = pathlib.Path(sys.argv[1])
found = FinishedStages(runs, (runs,), smoke=False)
for number in range(4):
    found.find(Identity(parts={"absent": number}), None, None)
print(time.perf_counter() - begin)
"""


def rows() -> Iterator[Row]:
    """Yield the rows."""
    folder = WORK / "reuse" / "runs"
    _make(folder)
    what = f"look for 4 stages in {RUNS:,} runs of {STAGES}"
    yield Row(f"{what}, known", _look(folder), goals=(Goal(0.2, of="said"),), unit="s", rounds=5)
    first = _look(folder, folder / ".stages.json")
    yield Row(f"{what}, first time", first, goals=(Goal(2, of="said"),), unit="s", rounds=3)


def _look(folder: Path, *fresh: Path) -> Command:
    argv = [sys.executable, "-c", LOOK, str(folder)]
    return Command("run-recipe", argv, TOP, fresh=fresh, reads=lambda out, _: float(out))


def _make(folder: Path) -> None:
    """Write the records of old runs, as large as those of trainings."""
    shutil.rmtree(folder, ignore_errors=True)
    for run in range(RUNS):
        stages = [_stage(run, number) for number in range(STAGES)]
        place = folder / f"r{run % 10}" / f"20260101T{run:06}Z-0000"
        place.mkdir(parents=True)
        plan = {"smoke": False, "stages": [{"params": "x" * 4096} for _ in range(STAGES)]}
        (place / "run.json").write_text(json.dumps({"plan": plan, "stages": stages}, indent=2))


def _stage(run: int, number: int) -> dict[str, object]:
    identity = {"tool": "mlx_lm.lora", "seed": run, **{f"parameter {n}": n for n in range(60)}}
    identity |= {f"stage s{number - 1}": "0" * 16} if number else {}
    setting = {f"release of package {n}": "1.2.3" for n in range(8)}
    record = {"name": f"s{number}", "state": "finished", "identity": identity, "setting": setting}
    return {**record, "argv": ["--parameter=value"] * 60}
