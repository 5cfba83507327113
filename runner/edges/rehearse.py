"""Ask the installed tools' own parsers about a plan, without running anything."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from runner.core.catalog import Catalog
from runner.core.invocation import invoke, laid_out
from runner.core.plan import Plan, bind
from runner.edges import disk
from runner.edges.process import UTF8

NOT_ASKED = 75  # as runner.child.rehearsal ends where a tool cannot be asked


def rehearse(plan: Plan, catalog: Catalog) -> Iterator[tuple[str, str, bool]]:
    """Yield each stage whose tool reads its words differently, or not at all, with what it says.

    The third value is whether it could be asked: a parser that is not reached without running the
    tool's work is left alone.
    """
    with tempfile.TemporaryDirectory(prefix="run-recipe-") as name:
        folder = Path(name)
        disk.write(folder / "run.json", laid_out({"plan": plan.as_dict()}))
        for stage in plan.stages:
            tool = catalog.get(stage.tool)
            (folder / stage.name).mkdir()
            config = invoke(stage, tool).config if tool else None
            if config is not None:
                disk.write(folder / stage.name / "config.json", str(bind(config, name)))
            done = subprocess.run(
                [sys.executable, "-P", "-m", "runner.child", name, stage.name, "--rehearse"],
                env={**os.environ, **plan.env, "NO_COLOR": "1", **UTF8},
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                check=False,
            )
            if done.returncode != 0:
                lines = [line for line in done.stderr.splitlines() if line.strip()]
                said = "\n".join(lines[-4:]).replace(name, "RUN_DIR")
                yield stage.name, said, done.returncode != NOT_ASKED
