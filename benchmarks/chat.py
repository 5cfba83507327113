"""``python -m benchmarks.chat FOLDER MEGABYTES SEED``: rows of chat, the same for the same seed."""

import json
import random
import sys
from pathlib import Path

TEXT = """
the query is built from a string and every quote in it ends up inside the statement so bind
the value instead check the length before the copy return early when the token is missing
and log what happened without the secret then add a test that sends both
"""


def main(folder: Path, megabytes: int, seed: int) -> None:
    """Write train.jsonl of so many megabytes; rows of 100 bytes to a few thousand."""
    folder.mkdir(parents=True, exist_ok=True)
    dice, words = random.Random(seed), TEXT.split()
    left = megabytes * 1024 * 1024
    with (folder / "train.part").open("w") as file:
        while left > 0:
            size = int(dice.lognormvariate(4.2, 0.8))
            asked, said = (
                " ".join(dice.choices(words, k=max(3, count))) for count in (size // 3, size)
            )
            pair = ({"role": "user", "content": asked}, {"role": "assistant", "content": said})
            left -= file.write(json.dumps({"messages": pair, "id": dice.getrandbits(40)}) + "\n")
    (folder / "train.part").replace(folder / "train.jsonl")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
