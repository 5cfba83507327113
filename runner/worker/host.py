"""Calls a tool's own main with the script's arguments, and compares what it does with the plan."""

import argparse
import importlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runner.base.values import read_as
from runner.catalog import load
from runner.plan.model import Plan
from runner.plan.pins import with_folders
from runner.plan.staging import relocate
from runner.runs.decisions import Identity
from runner.runs.outputs import Places
from runner.worker import process, watch_click
from runner.worker.observer import DriftError, Observer, read_namespace
from runner.worker.outputs import check


def host(folder: str, name: str) -> int:
    """Run the stage `name` of the run in `folder`; return the exit code."""
    _die_with(int(os.environ.get("RUN_RECIPE_PARENT", "0")))
    this, record = stage_of(folder, name)
    tool = this.tool
    if tool.is_program:
        code = process.run(tool, this.argv)
        return code or _end(this)
    module, function = tool.main
    if this.stage.trainer or this.stage.continues:
        identity = Identity(parts=record["identity"]).digest
        importlib.import_module("runner.worker.train_hooks").install(this, identity)
    _watch_parser(this)
    main = getattr(importlib.import_module(module), function)
    watch_click.install(this)
    if tool.observer:
        importlib.import_module(f"runner.worker.{tool.observer}").install(this)
    _call(main)
    return _end(this)


def _end(this: Observer) -> int:
    this.hold("end")
    if this.first:
        check(this)
    return 0


def stage_of(folder: str, name: str) -> tuple[Observer, Mapping[str, Any]]:
    """Return a stage, its words in sys.argv, and what the run's manifest records of it."""
    manifest = json.loads((Path(folder) / "run.json").read_text(encoding="utf-8"))
    plan = read_as(manifest["plan"], Plan)
    record = next(row for row in manifest["stages"] if row["name"] == name)
    stage = plan.stage(name)
    tool = load.installed_catalog(plan.tools).get(stage.tool)
    if tool is None:
        raise KeyError(stage.tool)
    stage = with_folders(stage, tool, record.get("hub", {}))
    moves = Places(Path(folder), stage).parts()
    this = Observer(
        folder,
        relocate(stage, tool, moves),
        tool,
        moves,
        smoke=plan.smoke,
        lenient=stage.tool in plan.tools,
    )
    sys.argv = [" ".join(tool.command), *record["words"]]
    this.argv = tuple(record["words"])
    return this, record


def _call(main: Callable[[], Any]) -> None:
    """Call a tool's main; one that ends its process and says all is well has to be looked at."""
    try:
        main()
    except DriftError:
        raise
    except SystemExit as end:
        if end.code:
            raise


def _watch_parser(this: Observer) -> None:
    """Compare what the tool's own parser makes of the words, before anything is loaded."""
    original = argparse.ArgumentParser.parse_args

    def parse_args(parser: argparse.ArgumentParser, *args: Any, **kwargs: Any) -> Any:
        argparse.ArgumentParser.parse_args = original  # type: ignore[method-assign]
        namespace = original(parser, *args, **kwargs)
        this.parsed = read_namespace(this.tool, this.params, vars(namespace))
        if this.tool.config_flag is None or this.tool.observer is None:
            this.hold()
        return this.reads.wrap_namespace(namespace)

    argparse.ArgumentParser.parse_args = parse_args  # type: ignore[assignment, method-assign]


def _die_with(parent: int) -> None:
    """End this process group when the runner is gone, however it went."""
    above = os.getppid()

    def look() -> None:
        while os.getppid() == above and _is_there(parent):
            time.sleep(0.5)
        os.killpg(0, signal.SIGKILL)

    if parent:
        threading.Thread(target=look, daemon=True).start()


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
