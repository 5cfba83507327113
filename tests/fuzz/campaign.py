"""A campaign: inputs of each class, run for some time, with what was found in them."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fuzz import child
from fuzz.inputs import CLASSES, OUTSIDE, Input, damaged
from fuzz.judge import CANARY, KINDS, Finding, agreed, judged
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

BATCH = 25
"""Inputs that are drawn from one seed; a campaign looks at its clock between them."""
SPLIT = {"tool": "data.split", "params": {"data": "rows.jsonl", "valid": 0.2, "seed": 0}}
RUN = {"version": 1, "stages": {"split": SPLIT}}


@dataclass(slots=True)
class Tally:
    """What came of the inputs of one class."""

    inputs: int = 0
    commands: int = 0
    found: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    seconds: float = 0.0
    megabytes: float = 0.0


class Campaign:
    """Runs inputs, and keeps the smallest one for each mistake that is found."""

    def __init__(self, home: Path) -> None:
        child.preload()
        self.home = home
        self.outside = home / "outside"
        self.tallies: dict[str, Tally] = {}
        self.kept: dict[tuple[str, str, str], tuple[str, Input, Finding]] = {}
        self.seen: set[tuple[str, int]] = set()
        self.outside.mkdir()
        for name in ("canary", "canary.yaml", "canary.sh"):
            text = f"root:{CANARY}:0:0\n{CANARY}: [{CANARY}\n\t{CANARY}: {CANARY}\n"
            (self.outside / name).write_text(text)

    def strategy(self, name: str) -> st.SearchStrategy[Input]:
        """Return what draws the inputs of a class."""
        return damaged(self.sound()) if name == "runs" else CLASSES[name]()

    def sound(self) -> Path:
        """Return a folder with a finished run, made once."""
        place = self.home / "sound"
        if not place.exists():
            place.mkdir()
            (place / "r.yaml").write_text(json.dumps(RUN))
            rows = "".join(json.dumps({"text": f"row {at}"}) + "\n" for at in range(40))
            (place / "rows.jsonl").write_text(rows)
            made = child.run(["r.yaml"], place, self.environ({}))
            if made.code:
                raise RuntimeError(made.said.decode())
        return place

    def environ(self, more: dict[str, str]) -> dict[str, str]:
        """Return the environment of commands: nothing of the user's."""
        own = {"HOME": str(self.home), "RUN_RECIPE_CACHE": "", "HF_HUB_OFFLINE": "1"}
        return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **own, **more}

    def go(self, name: str, number: int, count: int = BATCH) -> None:
        """Draw and run inputs of a class from one seed."""
        tally = self.tallies.setdefault(name, Tally())

        @seed(number)
        @settings(
            max_examples=count,
            database=None,
            deadline=None,
            derandomize=False,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(self.strategy(name))
        def one(drawn: Input) -> None:
            key = (name, hash(repr(drawn)))
            if key in self.seen:
                return
            self.seen.add(key)
            tally.inputs += 1
            for finding in self.look(drawn, tally):
                tally.found[finding.kind] += 1
                before = self.kept.get(finding.signature)
                if before is None or _size(drawn) < _size(before[1]):
                    self.kept[finding.signature] = (name, drawn, finding)

        one()

    def look(self, drawn: Input, tally: Tally | None = None) -> Iterator[Finding]:
        """Run the commands of an input, and yield what must not be."""
        with self.laid(drawn) as folder:
            environ = self.environ(self.named(drawn.environ))
            results = []
            for words in drawn.commands:
                result = child.run([self.named(one) for one in words], folder, environ)
                results.append(result)
                yield from judged(result)
            if results and results[0].code == 0:
                others = [child.run(list(words), folder, environ) for words in drawn.judges]
                for one in others:
                    yield from judged(one)
                yield from agreed(results[0], others, list(drawn.sentinels))
                results += others
            if (folder / "PWNED").exists() or ((folder / "x").exists() and "x" not in drawn.files):
                yield Finding(kind="untrue", words=drawn.commands[0], what="a value was executed")
        if tally is not None:
            tally.commands += len(results)
            tally.seconds = max([tally.seconds, *(one.seconds for one in results)])
            tally.megabytes = max([tally.megabytes, *(one.megabytes for one in results)])

    def named(self, said):
        """Return words, or variables, with the folder outside of the project put in."""
        if isinstance(said, dict):
            return {name: self.named(one) for name, one in said.items()}
        return said.replace(OUTSIDE, str(self.outside))

    @contextmanager
    def laid(self, drawn: Input) -> Iterator[Path]:
        """Write an input's files into a folder of its own."""
        folder = Path(tempfile.mkdtemp(dir=self.home))
        try:
            if drawn.base:
                shutil.copytree(drawn.base, folder, dirs_exist_ok=True, symlinks=True)
            for name, data in drawn.files.items():
                place = folder / name
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(data.replace(OUTSIDE.encode(), str(self.outside).encode()))
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def table(self) -> str:
        """Return what came of each class, a line each, and of all of them."""
        columns = ["class", "inputs", *KINDS, "worst s", "worst MB"]
        lines = ["  ".join(f"{name:>9}" for name in columns)]
        whole = Tally()
        for name, one in self.tallies.items():
            lines.append(_line(name, one))
            whole.inputs += one.inputs
            whole.found = {kind: whole.found[kind] + one.found[kind] for kind in KINDS}
            whole.seconds = max(whole.seconds, one.seconds)
            whole.megabytes = max(whole.megabytes, one.megabytes)
        return "\n".join([*lines, _line("all", whole)])


def _line(name: str, one: Tally) -> str:
    cells = [one.inputs, *(one.found[kind] for kind in KINDS)]
    figures = [f"{one.seconds:.1f}", f"{one.megabytes:.0f}"]
    return "  ".join(f"{cell:>9}" for cell in (name, *map(str, cells), *figures))


def _size(drawn: Input) -> int:
    return sum(map(len, drawn.files.values())) + len(repr(drawn.commands))


NAMES = (*CLASSES, "runs")


def reproduction(name: str, drawn: Input, finding: Finding) -> str:
    """Return a finding as a shell script that makes the input and runs the command."""
    import base64

    lines = ["#!/usr/bin/env bash", f"# {name}: {finding.kind}: {finding.what!r}"]
    lines += ["set -u", 'cd "$(mktemp -d)"', f"# {OUTSIDE} is a folder outside of the project"]
    if drawn.base:
        lines.append("# laid over the finished run of a recipe with one stage of data.split")
    for file, data in drawn.files.items():
        quoted = _quoted(file)
        lines.append(f'mkdir -p "$(dirname {quoted})"')
        lines.append(f"base64 -d > {quoted} <<'DATA'\n{base64.encodebytes(data).decode()}DATA")
    lines += [f"export {key}={_quoted(value)}" for key, value in drawn.environ.items()]
    lines.append(" ".join(["run-recipe", *map(_quoted, finding.words)]))
    return "\n".join(lines) + "\n"


def _quoted(word: str) -> str:
    import shlex

    return shlex.quote(word)


def run(
    campaign: Campaign,
    seconds: float,
    first: int,
    names: tuple[str, ...],
    say: Callable[[str], None],
) -> None:
    """Go round the classes until the time is over; each round takes the next seed."""
    begun, number, told = time.monotonic(), first, set()
    while time.monotonic() - begun < seconds:
        for name in names:
            if time.monotonic() - begun >= seconds:
                break
            campaign.go(name, number)
            for signature in campaign.kept.keys() - told:
                told.add(signature)
                say(f"{name}: {signature[0]}: {' '.join(signature[1:])}")
        number += 1
