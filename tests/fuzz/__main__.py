"""``python tests/fuzz SECONDS SEED [CLASS…]``: look for what must not be, and print a table."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from fuzz.campaign import NAMES, Campaign, reproduction, run

FOUND = Path(".fuzz")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/fuzz", description=__doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=1800.0, help="how long to look")
    parser.add_argument("seed", type=int, nargs="?", default=0, help="which inputs are drawn")
    parser.add_argument("names", nargs="*", metavar="CLASS", help=f"of {', '.join(NAMES)}")
    said = parser.parse_args()
    seconds, first, names = said.seconds, said.seed, tuple(said.names) or NAMES
    with tempfile.TemporaryDirectory(prefix="fuzz-") as home:
        campaign = Campaign(Path(home))
        run(campaign, seconds, first, names, lambda line: print(line, file=sys.stderr, flush=True))
        print(campaign.table())
        for number, (name, drawn, finding) in enumerate(campaign.kept.values()):
            FOUND.mkdir(exist_ok=True)
            place = FOUND / f"{name}-{finding.kind.replace(' ', '')}-{number}.sh"
            place.write_text(reproduction(name, drawn, finding))
            print(f"{place}: {finding.what[:160]!r}")
    return int(bool(campaign.kept))


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
