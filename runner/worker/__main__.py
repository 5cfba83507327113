"""``python -m runner.worker RUN_DIR STAGE``: run one stage of a run in this process.

With ``--wait MODULE…`` it first imports these modules and waits for a line on stdin; with
``--rehearse`` it only runs the tool's parser.
"""

import sys

from runner.base.errors import ToolError, TrainingError
from runner.system import printer
from runner.worker.host import host
from runner.worker.observer import OutputError
from runner.worker.rehearsal import rehearse
from runner.worker.wait import wait

if __name__ == "__main__":
    _, folder, name, *rest = sys.argv
    if rest[:1] == ["--wait"]:
        wait(rest[1:])
    try:
        sys.exit((rehearse if rest == ["--rehearse"] else host)(folder, name))
    except (OutputError, ToolError, TrainingError) as error:  # they need no traceback
        printer.say(f"{type(error).__name__}: {error}")
        sys.exit(1)
