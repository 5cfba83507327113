"""``python -m runner.child RUN_DIR STAGE``: run one stage of a run in this process.

With ``--wait MODULE…`` it imports these and waits for a word on stdin first; with ``--rehearse`` it
only asks the tool's parser.
"""

import sys

from runner.child.host import host
from runner.child.rehearsal import rehearse
from runner.child.seen import OutputError
from runner.child.waiting import wait
from runner.edges import printer
from runner.tools.error import ToolError, TrainingError

if __name__ == "__main__":
    _, folder, name, *rest = sys.argv
    if rest[:1] == ["--wait"]:
        wait(rest[1:])
    try:
        sys.exit((rehearse if rest == ["--rehearse"] else host)(folder, name))
    except (OutputError, ToolError, TrainingError) as error:  # they need no traceback
        printer.say(f"{type(error).__name__}: {error}")
        sys.exit(1)
