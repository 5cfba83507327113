"""``python -m runner.child RUN_DIR STAGE``: run one stage of a run in this process."""

import sys

from runner.child.host import host

if __name__ == "__main__":
    sys.exit(host(sys.argv[1], sys.argv[2]))
