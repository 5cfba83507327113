"""``python -m fuzz SECONDS [SEED] [CLASS…]``: look for what must not be, and print a table."""

import os
import sys
import tempfile
from pathlib import Path

from fuzz.campaign import NAMES, Campaign, reproduction, run

FOUND = Path(".fuzz")


def main(words: list[str]) -> int:
    seconds = float(words[0]) if words else 1800.0
    first = int(words[1]) if words[1:] else 0
    names = tuple(words[2:]) or NAMES
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
    sys.exit(main(sys.argv[1:]))
