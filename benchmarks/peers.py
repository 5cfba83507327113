"""What one would use instead, each in an environment of its own under ``.bench``."""

import subprocess
import sys
from functools import cache
from pathlib import Path

from benchmarks.harness import Command, environment

TOP = Path(__file__).resolve().parent.parent
WORK = TOP / ".bench"
# Task comes from PyPI as well: its npm package is an installer that fetches it from elsewhere.
PACKAGES = {
    "hydra": ("hydra-core", "pyyaml"),
    "dvc": ("dvc",),
    "snakemake": ("snakemake",),
    "doit": ("doit",),
    "ninja": ("ninja",),
    "task": ("go-task-bin",),
    "data": ("polars", "duckdb", "datasets"),
}
OURS = Path(sys.executable).parent / "run-recipe"


@cache
def environment_of(name: str) -> Path | str:
    """Return the folder of a peer's programs, made where it is not; a text says why it cannot."""
    folder = WORK / "peers" / name
    ready = folder / ".ready"
    if not ready.exists():
        print(f"setting up {name}: {', '.join(PACKAGES[name])}", file=sys.stderr)
        python = getattr(sys, "_base_executable", sys.executable)
        steps = (
            [python, "-m", "venv", "--clear", folder],
            [folder / "bin" / "python", "-m", "pip", "install", "-q", *PACKAGES[name]],
        )
        for step in steps:
            done = subprocess.run(step, env=environment(), capture_output=True, check=False)
            if done.returncode:
                lines = done.stderr.decode(errors="replace").strip().splitlines()
                return lines[-1] if lines else f"{step[0]} ended with {done.returncode}"
        ready.touch()
    return folder / "bin"


class Peers:
    """Collects the commands of a row; a peer that cannot be set up is noted instead."""

    def __init__(self) -> None:
        self.found: list[Command] = []
        self.missing: list[tuple[str, str]] = []

    def add(self, name: str, peer: str, program: str, *words: object, cwd: Path) -> None:
        """Add the command `name`, which is `program` of a peer's environment and `words`."""
        folder = environment_of(peer)
        if isinstance(folder, str):
            self.missing.append((name, folder))
            return
        self.found.append(Command(name, [folder / program, *map(str, words)], cwd))


def versions() -> dict[str, str]:
    """Return the release of every peer that is set up."""
    found = {}
    for name, packages in PACKAGES.items():
        folder = WORK / "peers" / name
        for package in packages if (folder / ".ready").exists() else ():
            ask = f"from importlib.metadata import version; print(version({package!r}))"
            python = folder / "bin" / "python"
            said = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False)
            found[package] = said.stdout.strip()
    return found
