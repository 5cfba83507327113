"""One stage inside its process: planned values, observed values, and where they are recorded."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.base.formatting import pretty_json
from runner.catalog.tools import Parameter, Tool
from runner.plan.model import Stage, bind
from runner.runs.audit import PARSED, READ, UNREAD, Verdict, compare, differences, sentence, settle
from runner.runs.journal import Journal
from runner.system import files, printer
from runner.worker.observed_namespace import ReadLog

if TYPE_CHECKING:
    from collections.abc import Callable

AUDIT = 6
RANKS = ("MLX_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK")


class DriftError(SystemExit):
    """What the process got is not what the plan says: stop before anything is spent."""

    def __init__(self) -> None:
        super().__init__(AUDIT)


class OutputError(RuntimeError):
    """A stage ended without an error, and what it made is not what it should be."""


class Observer:
    """One stage in this process: its plan, what was seen of it, and where that is written.

    Its outputs are made at the places in `moves`; in what is written they are where they belong.
    With `lenient` it is a tool of which nobody knows what its parser makes of its words.
    """

    def __init__(
        self,
        folder: str,
        stage: Stage,
        tool: Tool,
        moves: Mapping[str, str] | None = None,
        *,
        smoke: bool = False,
        lenient: bool = False,
    ) -> None:
        self.first = rank(os.environ) == 0
        self.folder = folder
        self.stage = stage
        self.final: dict[str, str] = {
            str(bind(part, folder)): str(bind(path, folder)) for path, part in (moves or {}).items()
        }
        self.tool = tool
        self.argv: tuple[str, ...] = ()  # the words its tool is given
        self.place = Path(folder) / stage.name
        # What this release does not read is not compared with it: preflight refuses what matters.
        params = {name: value for name, value in stage.params.items() if name in tool.parameters}
        self.params: dict[str, Any] = bind({**params, **stage.trainer}, folder)
        self.around: dict[str, Any] = {}
        self.parsed: dict[str, Any] = {}
        self.effective: dict[str, Any] = {}
        self.observed: dict[str, Any] = {}
        self.reads = ReadLog()
        self.phase = PARSED
        self.phases: dict[str, str] = {}
        self.smoke = smoke
        # A value that nobody sees is compared with our own tools, whose parsers we know.
        self.lenient = lenient or (tool.config_flag is not None and tool.observer is None)
        self.endings: list[Callable[[], None]] = []
        self.metrics = Journal(self.place / "metrics.jsonl", lasting=False)

    def verdicts(self) -> list[Verdict]:
        """Return planned against seen, for every parameter, and how far each was followed."""
        for name in self.effective.keys() - self.phases.keys():
            self.phases[name] = self.phase
        reads = {
            name: READ
            for name, parameter in self.tool.parameters.items()
            if destination(parameter) in self.reads.names
        }
        idle = {
            name: UNREAD
            for name, parameter in self.tool.parameters.items()
            if name in self.params and not parameter.is_read(self.params)
        }
        phases = {**reads, **self.phases, **idle}
        return compare(
            self.params, self.parsed, self.effective, phases, self.instead(), self.unfollowed()
        )

    def unfollowed(self) -> set[str]:
        """Return the parameters of which nothing was seen, and of which nothing need be."""
        names = self.params.keys() - self.effective.keys() if self.lenient else ()
        return {
            name
            for name in names
            if name not in self.parsed or _converted(self.params[name], self.parsed[name])
        }

    def instead(self) -> dict[str, str]:
        """Return which parameters give way to another one that this stage sets."""
        others = {n: one.schema.get("x-gives-way") for n, one in self.tool.parameters.items()}
        return {n: other for n, other in others.items() if other and self.params[other] is not None}

    def hold(self, phase: str = "") -> None:
        """Write down what was seen so far; raise DriftError where it is not what was planned.

        `phase` names who has shown it: the loader, the trainer, the test, the end.
        """
        self.phase = phase or self.phase
        verdicts = self.verdicts()
        self.write(verdicts)
        if self.tell(verdicts):
            raise DriftError

    def tell(self, verdicts: list[Verdict]) -> bool:
        """Say what is not as planned, and whether anything is not."""
        wrong = differences(verdicts)
        for verdict in wrong:
            value = verdict.effective if verdict.observed else verdict.parsed
            text = f"planned {verdict.planned!r}, but {self.tool.name} has {value!r}"
            _say(f"{verdict.parameter}: {text}")
        if wrong:
            _say(f"audit: {sentence(verdicts)}")
        return bool(wrong)

    def end(self) -> None:
        """Write down that everything was looked at, the end, too: without it a stage is no good."""
        self.write(self.verdicts(), at_end=True)

    def write(self, verdicts: list[Verdict], *, at_end: bool = False) -> None:
        """Write effective.json, on the first rank only."""
        if not self.first:
            return
        record = {
            "tool": self.tool.name,
            "argv": [*self.tool.command, *self.argv],
            "ended": at_end,
            "summary": sentence(verdicts),
            "parameters": [settle(verdict, self.final).as_dict() for verdict in verdicts],
            "observed": self.observed,
        }
        text = pretty_json(json.loads(json.dumps(record, default=str)))
        files.write(self.place / "effective.json", text + "\n", lasting=False)


def _converted(planned: Any, parsed: Any) -> bool:
    """Return whether a parser made something of a text that cannot be compared with it."""
    return isinstance(planned, str) and not isinstance(parsed, str | os.PathLike | None)


def rank(environ: Mapping[str, str]) -> int:
    """Return this process's rank: mlx.launch says it, or the launcher of an MPI job."""
    return next((int(environ[name]) for name in RANKS if name in environ), 0)


def destination(parameter: Parameter) -> str:
    """Return the name a parser's result has for a parameter."""
    dest = parameter.schema["x-arg"].get("dest")
    return str(dest or (parameter.flag or parameter.name).lstrip("-").replace("-", "_"))


def read_namespace(
    tool: Tool, params: Mapping[str, Any], namespace: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the parameters that a parser's result holds, by our names.

    A switch that is off is absent from the words; a parser says None or False of it.
    """
    result = {}
    for name, parameter in tool.parameters.items():
        dest = destination(parameter)
        if parameter.flag is None or dest not in namespace:
            continue
        value = namespace[dest]
        off = parameter.emit == "switch" and params[name] is False and value is None
        result[name] = False if off else parameter.read(value)
    return result


def _say(text: str) -> None:
    printer.say(text)
