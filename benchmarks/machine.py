"""The machine in words: what it is, never where things are on it."""

import os
import platform
import subprocess
from pathlib import Path


def describe() -> str:
    """Return one line: processor, cores, memory, system, Python."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1024**3
    system = {"Darwin": "macOS"}.get(platform.system(), platform.system())
    return (
        f"{_processor()}, {len(_cores())} cores, {pages:.0f} GB, {system} "
        f"({platform.machine()}), Python {platform.python_version()}"
    )


def _cores() -> range:
    here = getattr(os, "sched_getaffinity", None)
    return range(len(here(0)) if here else os.cpu_count() or 1)


def _processor() -> str:
    if platform.system() == "Darwin":
        argv = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "a processor"
