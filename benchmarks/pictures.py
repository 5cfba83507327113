"""Write the README's pictures from a real smoke run: `python -m benchmarks.pictures`.

The live view is one frame of what the run writes to a terminal, as SVG. The report is a screenshot
of its page by a headless Chromium.
"""

import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
RECIPE = "recipes/security_sequential.yaml"
WIDTH = 128
# What rich writes before it draws the next frame over the last one.
NEXT_FRAME = re.compile(r"\r?(?:\x1b\[1A\x1b\[2K)+|\r\x1b\[2K")
CONTROL = re.compile(r"\x1b\[\?25[lh]|\r")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def terminal(runs: Path) -> str:
    """Run the recipe at toy scale in a terminal, and return all that it wrote there."""
    command = ["stty", "cols", str(WIDTH), "rows", "40"]
    words = [sys.executable, "-m", "runner", RECIPE, "--smoke", "--trust", "--runs", str(runs)]
    script = f"{' '.join(command)}; exec {' '.join(words)}"
    pieces: list[bytes] = []

    def read(file: int) -> bytes:
        pieces.append(os.read(file, 1 << 16))
        return pieces[-1]

    os.environ.update(TERM="xterm-256color", COLUMNS=str(WIDTH))
    pty.spawn(["/bin/sh", "-c", script], read, lambda _: b"")
    return b"".join(pieces).decode("utf-8", "replace").replace("\r\n", "\n")


def frame(written: str) -> str:
    """Return the frame with the most to see: the most stages finished while one still trains."""
    frames = [CONTROL.sub("", one).rstrip() for one in NEXT_FRAME.split(written)]
    running = [one for one in frames if "tok/s" in one and "left" in one] or frames
    most = max(one.count("finished in") for one in running)
    latest = [one for one in running if one.count("finished in") == most]
    return latest[len(latest) // 2]


def draw(text: str, out: Path) -> None:
    """Write text with terminal colours as an SVG."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True)
        console.print(Text("$ run-recipe recipes/security_sequential.yaml --smoke", style="bold"))
        console.print(Text.from_ansi(text))
        console.save_svg(str(out), title="run-recipe")


def photograph(page: Path, out: Path) -> None:
    """Write a screenshot of a page."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print("no Chromium found: the picture of the report stays as it is")
        return
    words = ["--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=1000,1150"]
    shot = [browser, *words, f"--screenshot={out}", page.as_uri()]
    subprocess.run(shot, check=True, capture_output=True)


def main() -> None:
    """Write docs/images anew."""
    os.chdir(ROOT)
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        draw(frame(terminal(Path(made))), IMAGES / "live.svg")
        (page,) = Path(made).glob("*/2*/report.html")
        photograph(page, IMAGES / "report.png")


if __name__ == "__main__":
    main()
