"""Facts about this machine, as values: versions, platform, what is installed."""

import json
import os
import platform
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib import util
from pathlib import Path
from typing import Any

from runner.base.version import __version__
from runner.system import reader

FILES = 4096  # mlx_lm.utils sets RLIMIT_NOFILE to (2048, 4096) when it is imported


MORE_FILES = "start from a shell where ulimit -Hn prints 4096 or more"


def few_files(most: int | None) -> str:
    """Return why mlx-lm cannot be imported with this limit of open files, '' if it can.

    It sets the limit itself, and fails with "not allowed to raise maximum limit".
    """
    if most is None or most >= FILES:
        return ""
    return f"a process may open only {most} files here, and mlx-lm needs {FILES}"


PYTHON = ("python", "python3")
"""Programs of a tool that are the Python which run-recipe itself runs in."""

Json = dict[str, Any]
PACKAGES = ("mlx", "mlx-lm", "transformers", "huggingface-hub", "PyYAML")


def facts(more: Iterable[str] = ()) -> Json:
    """Return what a manifest keeps of the machine; nothing secret, nothing that identifies it.

    `more` are distributions whose releases are kept, too.
    """
    return {
        "run_recipe": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "pid": os.getpid(),
        "packages": packages(more),
    }


def packages(more: Iterable[str] = ()) -> dict[str, str]:
    """Return the releases that a run depends on, by the names of their distributions."""
    names = dict.fromkeys((*PACKAGES, *more))
    return {name: version for name in names if (version := installed(name))}


@cache
def installed(package: str) -> str | None:
    """Return the installed version of a distribution, None if there is none."""
    return _distributions().get(_normal(package))


@cache
def _distributions() -> dict[str, str]:
    """Return the versions of all distributions by name, as the names of their folders say.

    importlib.metadata reads the same names, but takes 30 ms to import.
    """
    versions: dict[str, str] = {}
    for path in sys.path:
        try:
            names = os.listdir(path or ".")  # noqa: PTH208  (there are hundreds)
        except OSError:
            continue
        for name in names:
            if name.endswith((".dist-info", ".egg-info")):
                package, _, version = name.rpartition(".")[0].partition("-")
                if version:
                    versions.setdefault(_normal(package), version.partition("-py")[0])
    return versions


def _normal(package: str) -> str:
    return re.sub("[-_.]+", "-", package).lower()


def cores() -> int:
    """Return how many cores this process may use; Linux can keep it to a few."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


@cache
def device() -> str:
    """Return the backend and the chip that MLX computes with here, without importing MLX."""
    if sys.platform == "darwin":
        return f"Metal, {_sysctl('machdep.cpu.brand_string')}"
    cuda = any(installed(f"mlx-cuda{one}") for one in ("", "-12", "-13"))
    gpu = _line("Model:", *Path("/proc/driver/nvidia/gpus").glob("*/information")) if cuda else ""
    chip = gpu or _line("model name", Path("/proc/cpuinfo"))
    return f"{'CUDA' if cuda else 'CPU'}, {chip or platform.machine()}"


def _sysctl(name: str) -> str:
    """Return a text of macOS's kernel, '' where it has none of that name."""
    import ctypes  # only for this

    library = ctypes.CDLL(None)
    size = ctypes.c_size_t(256)
    buffer = ctypes.create_string_buffer(size.value)
    failed = library.sysctlbyname(name.encode(), buffer, ctypes.byref(size), None, 0)
    return "" if failed else buffer.value.decode("utf-8", "replace")


def _line(lead: str, *paths: Path) -> str:
    """Return what the first line that begins with `lead` says, '' where no file has one."""
    for path in paths:
        with suppress(OSError), reader.open_file(path) as file:
            for line in reader.lines(file):
                if line.startswith(lead.encode()):
                    return line.partition(b":")[2].strip().decode("utf-8", "replace")
    return ""


def program(name: str) -> bool:
    """Return whether a program is on the PATH, or at the path that it is named by."""
    import shutil  # few tools are programs

    return shutil.which(name) is not None


def importable(module: str) -> bool:
    """Return whether a top-level module is there, without importing it."""
    return util.find_spec(module.partition(".")[0]) is not None


def now() -> str:
    """Return the time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def stamp() -> str:
    """Return the time in UTC as a part of a file name: 20261122T214807Z."""
    return "".join(char for char in now()[:19] if char not in "-:") + "Z"


def files() -> int | None:
    """Return how many files a process may open at most; None for no limit."""
    import resource  # not on every system

    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return None if most == resource.RLIM_INFINITY else most


def how_to_install() -> str:
    """Return the command that brings MLX here, or why none does."""
    apple = sys.platform == "darwin" and platform.machine() == "arm64"
    linux = sys.platform.startswith("linux") and platform.machine() in {"x86_64", "aarch64"}
    if apple:
        return "pip install mlx-lm"
    if linux:
        return "pip install 'mlx[cpu]' mlx-lm (or 'mlx[cuda]' with an NVIDIA GPU)"
    return "MLX has no build for this machine: run on Apple Silicon or Linux (checking works here)"


def ask(module: str, *words: str, text: str = "") -> Any:
    """Run a module that imports MLX in its own process; return the JSON it prints."""
    import subprocess  # few ask what imports MLX

    from runner.base.constants import UTF8

    process = subprocess.run(
        [sys.executable, "-P", "-m", module, *words],
        input=text,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, **UTF8},
        check=False,
    )
    try:
        return json.loads(process.stdout)
    except ValueError:
        last = process.stderr.strip().splitlines()[-1:] or [f"exit {process.returncode}"]
        return {"error": last[0]}


def free_bytes(path: Path) -> int:
    """Return the free space of the disk that holds `path`, in bytes."""
    import shutil

    return shutil.disk_usage(path).free
