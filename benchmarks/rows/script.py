"""A recipe against the bash script of the same commands: the same bits, in less time."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import overlap
from benchmarks.harness import Command, environment
from benchmarks.peers import WORK
from benchmarks.row import Goal, Row

SCRIPT = "the bash script"
ITERS = 400


def rows() -> Iterator[Row]:
    """Yield the rows."""
    yield _row("four stages, 20 iterations", _prepared("short", overlap.RECIPE), 4, (0.78,))
    if shutil.which("taskset"):
        folder = _prepared("short", overlap.RECIPE)
        yield _row("the same on one core", folder, 3, (1.05,), ("taskset", "-c", "0"))
    long = overlap.RECIPE.replace("iters: 20", f"iters: {ITERS}")
    yield _row(f"four stages, {ITERS} iterations", _prepared("long", long), 2, (1.05,))


def _prepared(name: str, recipe: str) -> Path:
    folder = WORK / "script" / name
    if not (folder / "script.sh").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        overlap.prepare(folder, environment(_more()))
        (folder / "r.yaml").write_text(recipe)
        said = overlap.call([*overlap.RUNNER, "r.yaml", "--dry-run"], folder, environment(_more()))
        (folder / "script.sh").write_text(said)
    return folder


def _more() -> dict[str, str]:
    here = Path(sys.executable).parent
    return {"MLX_DISABLE_COMPILE": "1", "PATH": f"{here}{os.pathsep}{os.environ['PATH']}"}


def _row(
    what: str, folder: Path, rounds: int, most: tuple[float, ...], lead: tuple[str, ...] = ()
) -> Row:
    made, run = folder / "script", folder / "runs"
    ours = [*lead, *overlap.RUNNER, "r.yaml", "--quiet"]
    script = [*lead, "bash", "script.sh"]
    return Row(
        what,
        Command("run-recipe", ours, folder, _more(), fresh=(run,)),
        (Command(SCRIPT, script, folder, {**_more(), "RUN_DIR": "script"}, fresh=(made,)),),
        goals=tuple(Goal(times, SCRIPT) for times in most),
        rounds=rounds,
        same=tuple((made / one, run / "r" / "latest" / one) for one in overlap.MADE),
    )
