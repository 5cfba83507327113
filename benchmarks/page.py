"""The figures kept in ``.bench/results``, and docs/benchmarks.md made of them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import machine, rows, table
from benchmarks.peers import TOP, WORK, versions
from benchmarks.table import Result

PAGE = TOP / "docs" / "benchmarks.md"
_KEPT = WORK / "results"
_HEAD = """# Benchmarks

Written by `make bench`; `make bench ONLY=cold` measures one group anew. What counts are the ratios:
the commands of a row run in turn on one machine, A B A B, after a warm-up, each in a process of its
own whose time and memory the system itself counts. The middle half is where half of the runs lie.
A ratio is our median through the other's: 0.20 is a fifth of the time. The limit is a program that
does nothing but the part nobody can leave out.

Nothing is remembered but what was found in rows of unchanged files, and digests of files: before
each run of a row "for the first time" that is removed, too.
"""


def keep(group: str, results: Sequence[Result]) -> None:
    """Keep a group's results for the page."""
    _KEPT.mkdir(parents=True, exist_ok=True)
    said = {"machine": machine.describe(), "rows": [asdict(result) for result in results]}
    (_KEPT / f"{group}.json").write_text(json.dumps(said, indent=1))


def write() -> None:
    """Write the page from every group that was ever measured here."""
    PAGE.write_text("\n".join(_page()), encoding="utf-8")


def _page() -> Iterator[str]:
    groups = [(name, *_read(_KEPT / f"{name}.json")) for name in rows.NAMES]
    yield _HEAD
    machines = dict.fromkeys(said for _, said, _ in groups if said)
    yield f"Machine: {'; '.join(machines)}.\n"
    releases = ", ".join(f"{name} {release}" for name, release in versions().items())
    yield f"Peers: {releases}.\n"
    results = [result for _, _, found in groups for result in found]
    yield table.markdown(table.HEAD, [line.cells for one in results for line in table.lines(one)])
    absent = [name for name, _, found in groups if not found]
    if absent:
        yield f"\nNot measured yet: {', '.join(absent)}."
    unmet = [one for one in results if one.why and any(met is False for *_, met in one.goals)]
    if unmet:
        yield "\n## What is not met, and why\n"
        yield from (f"- **{one.what}**: {one.why}" for one in unmet)
    yield "\n## Everything that ran\n"
    yield "The last columns are run-recipe's time through the command's, by clock and by CPU.\n"
    for one in results:
        yield f"### {one.what} ({one.group}, {one.date})\n"
        yield table.markdown(table.CONTENDERS, list(table.contenders(one))) + "\n"


def _read(path: Path) -> tuple[str, list[Result]]:
    if not path.exists():
        return "", []
    said = json.loads(path.read_text())
    return said["machine"], [Result(**row) for row in said["rows"]]
