"""``python -m benchmarks [GROUP …]``: measure, print the table, write docs/benchmarks.md."""

import argparse
import datetime as dt
import filecmp
import importlib
import sys
from dataclasses import replace

from benchmarks import harness, page, table
from benchmarks.harness import BenchError
from benchmarks.row import Row
from benchmarks.rows import NAMES


def main() -> int:
    """Measure the groups that are asked for; every one by itself."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(NAMES))
    parser.add_argument("--rounds", type=int, help="How often each command runs.")
    said = parser.parse_args()
    unknown = [name for name in said.groups if name not in NAMES]
    if unknown:
        parser.error(f"there is no group '{unknown[0]}'; there are: {', '.join(NAMES)}")
    failed = False
    for name in said.groups or NAMES:
        try:
            measure(name, said.rounds)
        except BenchError as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed = True
    page.write()
    return failed


def alike(row: Row) -> None:
    """Raise BenchError where two commands that do the same left different files."""
    for one, other in row.same:
        if not filecmp.cmp(one, other, shallow=False):
            raise BenchError(f"{row.what}: {one.name} and {other.name} are not the same bits")


def measure(group: str, rounds: int | None) -> None:
    """Measure a group, print its rows, and keep them for the page."""
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    results = []
    print(f"\n{group}", flush=True)
    for row in importlib.import_module(f"benchmarks.rows.{group}").rows():
        chosen = replace(row, rounds=rounds or row.rounds)
        figures = harness.in_turn(chosen.commands, chosen.rounds)
        alike(chosen)
        found = table.result(chosen, group, today, figures)
        head = (found.what, *table.CONTENDERS[1:])
        print("\n" + table.text(head, list(table.contenders(found))))
        print("\n".join(f"  {line.cells[-1]}" for line in table.lines(found)), flush=True)
        results.append(found)
        page.keep(group, results)  # a run that is broken off has measured what it has
    rows = [line.cells for one in results for line in table.lines(one)]
    print("\n" + table.text(table.HEAD, rows), flush=True)


if __name__ == "__main__":
    sys.exit(main())
