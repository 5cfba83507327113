"""data.mix and data.check on large data; ``MEGABYTES=200`` says how large."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import Command
from benchmarks.peers import OURS, TOP, WORK, Peers
from benchmarks.profiles import processes
from benchmarks.row import Goal, Row

MEGABYTES = int(os.environ.get("MEGABYTES", "1000"))
LOADED = "load everything"
MIXERS = Path(__file__).parent.parent / "mixers"


def rows() -> Iterator[Row]:
    """Yield the rows."""
    folder = WORK / "data" / str(MEGABYTES)
    ours, theirs = _made(folder / "new", MEGABYTES, 1), _made(folder / "old", MEGABYTES // 4, 2)
    words = [ours / "train.jsonl", theirs / "train.jsonl"]
    load = Command(LOADED, [sys.executable, MIXERS / "load_all.py", *words, folder / "load.jsonl"])
    peers = Peers()
    for name in ("polars", "duckdb", "datasets"):
        script = MIXERS / f"with_{name}.py"
        peers.add(name, "data", "python", script, *words, folder / f"{name}.jsonl", cwd=folder)
    mixed = folder / "mixed"
    argv = [OURS, "data", "mix", "--primary", ours, "--replay", theirs, "--out", mixed]
    mix = Command(
        "data mix", [*argv, "--ratio", "0.15", "--tolerance", "0.001"], TOP, fresh=(mixed,)
    )
    copy = Command("cp", ["cp", ours / "train.jsonl", folder / "copy.jsonl"])
    goals = (
        Goal(0.16, LOADED),
        Goal(0.65, "polars"),
        Goal(0.65, "duckdb"),
        Goal(100, of="peak"),
    )
    told = tuple(peers.missing)
    yield Row(
        f"mix {MEGABYTES:,} MB of chat",
        mix,
        (load, *peers.found),
        (copy,),
        goals,
        told,
        3,
        why=processes(mix),
    )
    check = Command("data check", [OURS, "data", "check", ours], TOP)
    yield Row(
        f"check {MEGABYTES:,} MB of chat",
        check,
        (load,),
        (copy,),
        (goals[0], goals[-1]),
        rounds=2,
        why=processes(check),
    )


def _made(folder: Path, megabytes: int, seed: int) -> Path:
    if not (folder / "train.jsonl").exists():
        print(f"  writing {megabytes} MB of rows", file=sys.stderr)
        argv = [sys.executable, "-m", "benchmarks.chat", folder, str(megabytes), str(seed)]
        subprocess.run(argv, cwd=TOP, check=True)
    return folder
