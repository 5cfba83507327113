"""``python -m runner.child RUN_DIR STAGE``: run one stage of a run in this process.

With ``--rehearse`` it stops where the tool has parsed its words.
"""

import sys

from runner.child.host import host

if __name__ == "__main__":
    sys.exit(host(sys.argv[1], sys.argv[2], rehearse="--rehearse" in sys.argv[3:]))
