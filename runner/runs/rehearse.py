"""Ask the installed tools' own parsers about a plan, without running anything."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from runner.base.constants import UTF8
from runner.base.formatting import pretty_json
from runner.catalog.tools import Catalog
from runner.command.argv import invoke
from runner.plan.model import Plan, bind
from runner.runs.decide import tool_of
from runner.system import files

NOT_ASKED = 75  # as runner.worker.rehearsal ends where a tool cannot be asked


def rehearse(
    plan: Plan, catalog: Catalog, names: Collection[str]
) -> Iterator[tuple[str, str, bool]]:
    """Yield each named stage whose tool reads its words otherwise, or not, with what it says.

    The third value is whether it could be asked: a parser that is not reached without running the
    tool's work is left alone.
    """
    with tempfile.TemporaryDirectory(prefix="run-recipe-") as name:
        folder = Path(name)
        commands = {stage.name: invoke(stage, tool_of(stage, catalog)) for stage in plan.stages}
        rows = [
            {"name": stage, "words": bind([*one.arguments], name)}
            for stage, one in commands.items()
        ]
        files.write(folder / "run.json", pretty_json({"plan": plan.as_dict(), "stages": rows}))
        for stage in (one for one in plan.stages if one.name in names):
            (folder / stage.name).mkdir()
            config = commands[stage.name].config
            if config is not None:
                files.write(folder / stage.name / "config.json", str(bind(config, name)))
            done = subprocess.run(
                [sys.executable, "-P", "-m", "runner.worker", name, stage.name, "--rehearse"],
                env={**os.environ, **plan.env, "NO_COLOR": "1", **UTF8},
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                check=False,
            )
            if done.returncode != 0:
                lines = [line for line in done.stderr.splitlines() if line.strip()]
                text = "\n".join(lines[-4:]).replace(name, "RUN_DIR")
                yield stage.name, text, done.returncode != NOT_ASKED
