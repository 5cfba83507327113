"""Load everything, shuffle, write."""

import json
import random
import sys
from pathlib import Path

ROLES = {"system", "user", "assistant", "tool"}


def rows(path):
    with Path(path).open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            messages = row["messages"]
            assert all(m["role"] in ROLES and m["content"].strip() for m in messages)
            assert any(m["role"] == "assistant" for m in messages)
            yield row


primary, replay, out = sys.argv[1:]
ours, theirs = list(rows(primary)), list(rows(replay))
dice = random.Random(1)
mixed = ours + dice.sample(theirs, round(len(ours) * 0.15 / 0.85))
dice.shuffle(mixed)
with Path(out).open("w", encoding="utf-8") as file:
    file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in mixed)
