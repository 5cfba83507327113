"""Facts about a machine in, whether it can run recipes out, with hints for what is missing."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from runner.base.problems import listing
from runner.catalog.tools import NEWEST, OLDEST, numbers
from runner.system.hub import hub_home
from runner.system.machine import (
    MORE_FILES,
    Json,
    ask,
    facts,
    few_files,
    files,
    free_bytes,
    how_to_install,
    installed,
)


def health() -> Json:
    """Return everything ``doctor`` checks; of a token, only whether there is one."""
    cache = hub_home()
    result = {
        **facts(),
        "install": how_to_install(),
        "compiler": shutil.which("c++") or shutil.which("g++") or shutil.which("clang++"),
        "compiles": "MLX_DISABLE_COMPILE" not in os.environ,
        "free_bytes": free_bytes(Path.cwd()),
        "files": files(),
        "memory_bytes": _memory(),
        "hub_cache": str(cache),
        "hub_cache_exists": cache.is_dir(),
        "hub_token": bool(os.environ.get("HF_TOKEN")) or (cache / "token").is_file(),
        "hub_offline": os.environ.get("HF_HUB_OFFLINE", "") not in {"", "0"},
    }
    result["programs"] = str(Path(sys.executable).parent)
    result["scripts"] = _unfound()
    if installed("mlx"):
        result["device"] = ask("runner.worker.device")
    return result


def _unfound() -> list[str] | None:
    """Return the programs of the catalogue that an exported script does not find from here.

    None if there is no bash to try it. What is not installed here at all is left out.
    """
    import subprocess

    from runner.catalog import load
    from runner.command.script import path_lookup

    catalog = load.catalog()
    tools = [tool for name in catalog.names if (tool := catalog.get(name)) is not None]
    names = {tool.command[0] for tool in (*tools, catalog.launcher)}
    beside = Path(sys.executable).parent
    missing = []
    for name in sorted(name for name in names if (beside / name).exists()):
        words = ["bash", "-c", "\n".join(path_lookup([name]))]
        try:
            done = subprocess.run(words, capture_output=True, check=False)
        except OSError:
            return None
        missing += [name] if done.returncode else []
    return missing


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


Level = Literal["good", "warning", "unfit"]
PYTHONS = ((3, 11), (3, 13))
ROOM = 5 * 10**9


class HealthFinding(Struct, frozen=True, kw_only=True):
    """One check: its subject, its result, and how to fix it if it failed."""

    subject: str
    level: Level
    detail: str
    hint: str = ""


def examine(
    facts: Mapping[str, Any], drift: Sequence[str], unasked: Mapping[str, str] | None = None
) -> list[HealthFinding]:
    """Return the health of a machine; `drift` are differences between catalogue and mlx-lm.

    `unasked` are the tools whose parsers could not be read, each with the reason.
    """
    parts = (_python(facts), _mlx(facts), _drift(facts, drift, unasked or {}), _scripts(facts))
    more = (_room(facts), _files(facts), _hub(facts))
    return [one for part in (*parts, *more) for one in part]


def fit(findings: Sequence[HealthFinding]) -> bool:
    """Return whether recipes can run."""
    return all(finding.level != "unfit" for finding in findings)


def _python(facts: Mapping[str, Any]) -> Iterator[HealthFinding]:
    version = facts["python"]
    low, high = PYTHONS
    good = low <= numbers(version)[:2] <= high
    hint = "" if good else "use Python 3.11, 3.12 or 3.13"
    yield HealthFinding(
        subject="Python", level="good" if good else "unfit", detail=version, hint=hint
    )
    yield HealthFinding(
        subject="platform", level="good", detail=f"{facts['platform']}, {facts['cores']} cores"
    )


def _mlx(facts: Mapping[str, Any]) -> Iterator[HealthFinding]:
    packages, device = facts["packages"], facts.get("device") or {}
    if "mlx" not in packages:
        yield HealthFinding(
            subject="MLX", level="unfit", detail="not installed", hint=facts["install"]
        )
    elif "error" in device:
        yield HealthFinding(
            subject="MLX",
            level="unfit",
            detail=f"{packages['mlx']} does not start: {device['error']}",
        )
    else:
        memory = device.get("memory")
        size = f", {memory / 2**30:.0f} GiB" if memory else ""
        yield HealthFinding(
            subject="MLX",
            level="good",
            detail=f"{packages['mlx']} on {device.get('device', '?')}{size}",
        )
    version = packages.get("mlx-lm")
    if version is None:
        yield HealthFinding(
            subject="mlx-lm", level="unfit", detail="not installed", hint=facts["install"]
        )
    elif numbers(version) < numbers(OLDEST):
        hint = f"run-recipe supports {OLDEST} and newer: pip install --upgrade mlx-lm"
        yield HealthFinding(subject="mlx-lm", level="unfit", detail=version, hint=hint)
    elif numbers(version)[:2] > numbers(NEWEST)[:2]:
        hint = "newer than run-recipe was tested with; the check below shows what differs"
        yield HealthFinding(subject="mlx-lm", level="warning", detail=version, hint=hint)
    else:
        yield HealthFinding(subject="mlx-lm", level="good", detail=version)
    compiles = facts["compiles"] and device.get("device", "").startswith("cpu")
    if compiles and not facts["compiler"]:
        hint = "install one, or set MLX_DISABLE_COMPILE=1; MLX silently works without it"
        yield HealthFinding(
            subject="C++ compiler", level="warning", detail="none for MLX's CPU build", hint=hint
        )


def _drift(
    facts: Mapping[str, Any], drift: Sequence[str], unasked: Mapping[str, str]
) -> Iterator[HealthFinding]:
    if "mlx-lm" not in facts["packages"] or few_files(facts.get("files")):
        return  # nobody could be asked
    for name, why in unasked.items():
        hint = "it is unknown whether it matches the catalogue"
        yield HealthFinding(
            subject="catalogue", level="warning", detail=f"{name} was not checked: {why}", hint=hint
        )
    if not drift and not unasked:
        yield HealthFinding(
            subject="catalogue", level="good", detail="matches the installed mlx-lm"
        )
    for difference in drift:
        hint = "a recipe that uses it is refused; install a release that run-recipe supports"
        yield HealthFinding(subject="catalogue", level="unfit", detail=difference, hint=hint)


def _scripts(facts: Mapping[str, Any]) -> Iterator[HealthFinding]:
    """Return whether an exported script finds its programs from here; a run needs none of them."""
    missing = facts.get("scripts")
    if missing is None or "mlx-lm" not in facts["packages"]:
        return
    if not missing:
        yield HealthFinding(
            subject="scripts", level="good", detail="of --dry-run find every program here"
        )
        return
    hint = f'they are next to Python: export PATH="$PATH:{facts["programs"]}"'
    detail = f"of --dry-run would not find {listing(missing, 4)}; runs do not need it"
    yield HealthFinding(subject="scripts", level="warning", detail=detail, hint=hint)


def _room(facts: Mapping[str, Any]) -> Iterator[HealthFinding]:
    free = facts["free_bytes"]
    level: Level = "good" if free > ROOM else "warning"
    hint = "" if level == "good" else "a fused 1B model takes 3 GB, each checkpoint its adapter"
    yield HealthFinding(
        subject="disk", level=level, detail=f"{free / 1e9:.0f} GB free here", hint=hint
    )
    if facts.get("memory_bytes"):
        yield HealthFinding(
            subject="memory", level="good", detail=f"{facts['memory_bytes'] / 2**30:.0f} GiB"
        )


def _files(facts: Mapping[str, Any]) -> Iterator[HealthFinding]:
    why = few_files(facts.get("files"))
    if why:
        yield HealthFinding(subject="open files", level="unfit", detail=why, hint=MORE_FILES)


def _hub(facts: Mapping[str, Any]) -> Iterator[HealthFinding]:
    cache = facts["hub_cache"]
    token = "a token is set" if facts["hub_token"] else "no token"
    offline = ", offline by HF_HUB_OFFLINE" if facts["hub_offline"] else ""
    where = cache if facts["hub_cache_exists"] else f"{cache} (not created yet)"
    yield HealthFinding(subject="hub", level="good", detail=f"{where}, {token}{offline}")
