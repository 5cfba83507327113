"""The arguments of our own tool -> what it would refuse; nothing is written.

A tool that reads rows or other files has three parts: what its parameters alone refuse (`settle`),
what its inputs refuse (`prepare`), and the writing. The tool runs all three, and `look` runs the
first two, so that both refuse the same.
"""

from __future__ import annotations

import io
from contextlib import redirect_stderr
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from runner.base.constants import RUN_DIR
from runner.base.errors import ToolError
from runner.data import cli
from runner.data.reader import Reader

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Collection, Sequence

    from runner.system.workers import Crew


def _nothing(**_: object) -> None:
    """Refuse nothing."""


class Precheck(Struct, frozen=True, kw_only=True):
    """A tool's parser and what may refuse; each takes the arguments by name, without `out`.

    `room` takes them with `out`, which is a folder outside of the run, and refuses one that holds
    something else. `run_only` are arguments that only the run can look at: they are left out, and
    that is reported.
    """

    parser: Callable[[], argparse.ArgumentParser]
    settle: Callable[..., object] = _nothing
    prepare: Callable[..., object] = _nothing
    room: Callable[..., object] = _nothing
    out: str = "out"
    run_only: tuple[str, ...] = ()

    def look(self, words: Sequence[str], crew: Crew | None, own: Collection[str] = ()) -> list[str]:
        """Return the arguments that were not checked; without a crew, the disk is not read.

        Output folders that are the run's `own` may be replaced. Raises ToolError if the tool would
        refuse, and OSError if it could not read.
        """
        arguments = _parse(self.parser(), words)
        out = str(arguments[self.out])
        if crew is not None and RUN_DIR not in out and out not in own:
            self.room(**arguments)
        arguments.pop(self.out)
        reader = Reader()
        if "prompt_feature" in arguments:
            reader = Reader(features=cli.take_features(arguments), crew=crew or reader.crew)
            arguments["reader"] = reader
        names = [name for name in self.run_only if arguments.get(name) is not None]
        arguments |= dict.fromkeys(names)
        self.settle(**arguments)
        if crew is not None:
            self.prepare(**arguments)
        return names


def _parse(parser: argparse.ArgumentParser, words: Sequence[str]) -> dict[str, Any]:
    """Return what a parser makes of words. Raises ToolError with its last line if it refuses."""
    with redirect_stderr(io.StringIO()) as output:
        try:
            return vars(parser.parse_args([*words]))
        except SystemExit as stop:
            *_, last = output.getvalue().strip().splitlines() or [""]
            raise ToolError(last.rpartition(": error: ")[2]) from stop
