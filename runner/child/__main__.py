"""``python -m runner.child RUN_DIR STAGE``: run one stage of a run in this process.

With ``--wait MODULE…`` it imports these and waits for a word on stdin first; with ``--rehearse`` it
stops where the tool has parsed its words.
"""

import sys

from runner.child.host import host
from runner.child.waiting import wait

if __name__ == "__main__":
    _, folder, name, *rest = sys.argv
    if rest[:1] == ["--wait"]:
        wait(rest[1:])
    sys.exit(host(folder, name, rehearse=rest == ["--rehearse"]))
