"""The oldest and the newest mlx-lm that are supported, each tried in a venv of its own.

``python tests/versions.py [RELEASE…]`` installs this checkout beside each release under a temporary
folder, holds the catalogue against it, and runs the security recipe at toy scale. It prints a table
and ends with 1 where something fails. docs/versions.md says what it found.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from pathlib import Path

from runner.catalog.tools import NEWEST, OLDEST

ROOT = Path(__file__).parent.parent
RELEASES = (OLDEST, NEWEST)
TAIL = 30

PYTEST = ("python", "-m", "pytest", "-q")
CHECKS = {
    "install": None,
    "round trip": (*PYTEST, "tests/command/test_roundtrip.py"),
    "drift": (*PYTEST, "tests/catalog/test_drift.py"),
    "going on": (*PYTEST, "tests/worker/test_training_state.py"),
    "smoke run": ("run-recipe", "recipes/security_sequential.yaml", "--smoke", "--runs", "{place}"),
}


def main() -> int:
    """Try every release; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("releases", nargs="*", default=RELEASES, metavar="RELEASE")
    parser.add_argument("--place", type=Path, help="keep the venvs and logs in this folder")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="run-recipe-versions-") as temporary:
        place = (said.place or Path(temporary)).resolve()
        rows = [row for release in said.releases for row in tried(release, place / release)]
    print(f"\n{'mlx-lm':<10}{'check':<14}{'seconds':>8}  result")
    for release, check, seconds, log in rows:
        print(f"{release:<10}{check:<14}{seconds:>8.1f}  {'FAILED' if log else 'ok'}")
    for release, check, _, log in rows:
        if log:
            print(f"\n--- {release}: {check}\n{log}")
    return int(any(log for *_, log in rows))


def tried(release: str, place: Path) -> Iterator[tuple[str, str, float, str]]:
    """Yield each check of a release: its name, its seconds, and its log where it failed."""
    place.mkdir(parents=True, exist_ok=True)
    bin_ = place / "venv" / ("Scripts" if os.name == "nt" else "bin")
    if not bin_.exists():
        venv.create(place / "venv", with_pip=True)
    pip = ("python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    wanted = (str(ROOT), f"mlx-lm=={release}", "pytest", "hypothesis", "syrupy")
    for check, words in CHECKS.items():
        begun = time.monotonic()
        print(f"{release}: {check} …", file=sys.stderr, flush=True)
        log = called(words or (*pip, *wanted), bin_, place, f"{check.replace(' ', '-')}.log")
        yield release, check, time.monotonic() - begun, log
        if log and words is None:
            return


def called(words: tuple[str, ...], bin_: Path, place: Path, log: str) -> str:
    """Call a program of a venv; return the end of what it said where it failed, else ''."""
    program, *rest = (word.format(place=place / "runs") for word in words)
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [bin_ / program, *rest],
        cwd=ROOT,
        env={**kept, "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    (place / log).write_text(done.stdout, encoding="utf-8")
    lines = done.stdout.splitlines() or [f"exit code {done.returncode}"]
    return "\n".join(lines[-TAIL:]) if done.returncode else ""


if __name__ == "__main__":
    sys.exit(main())
