"""Keeps a Mac awake while stages run."""

import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def awake() -> Iterator[None]:
    """Run ``caffeinate`` on macOS; it ends with the run, or with this process however that ends."""
    if platform.system() != "Darwin":
        yield
        return
    words = ["caffeinate", "-i", "-w", str(os.getpid())]
    nothing = subprocess.DEVNULL
    try:
        process = subprocess.Popen(words, stdin=nothing, stdout=nothing, stderr=nothing)
    except OSError:  # a system without it: the run goes on, and the Mac may sleep
        yield
        return
    try:
        yield
    finally:
        process.terminate()
        process.wait()
