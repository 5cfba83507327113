"""The results of a run as values for a program: outputs, metrics, times and verdicts by stage."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from msgspec import Struct, field

from runner.runs.audit import Verdict
from runner.runs.manifest import Manifest, StageRecord, State


class Gate(Struct, frozen=True, kw_only=True):
    """One expectation, and whether it was met."""

    expected: str
    held: bool


class StageResult(Struct, frozen=True, kw_only=True):
    """What became of one stage.

    `started` and `ended` are UTC in ISO 8601, empty if it did not come to that; `seconds` is its
    duration, tries that failed included. `outputs` are paths by name, as in ``stages.NAME.OUTPUT``,
    `metrics` its figures, `gates` its expectations, `verdicts` its audit: one for each parameter,
    with what was planned and what was seen. `failure` and `guidance` are empty where it ended well.
    `reused` is the run that its result was taken from.
    """

    name: str
    tool: str
    state: State
    started: str
    ended: str
    seconds: float
    attempts: int
    outputs: Mapping[str, Path]
    metrics: Mapping[str, float]
    gates: tuple[Gate, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    failure: str = ""
    guidance: str = ""
    reused: str = ""

    @property
    def ok(self) -> bool:
        """Whether it finished successfully."""
        return self.state is State.FINISHED

    @property
    def sound(self) -> bool:
        """Whether it was audited and every parameter was observed as planned."""
        return bool(self.verdicts) and all(verdict.equal for verdict in self.verdicts)


class Result(Struct, frozen=True, kw_only=True):
    """The results of a run: its id, its folder, and its stages by name, in order.

    `exit_code` is that of the command line; 0 is `ok`. A smoke run's metrics mean nothing, and its
    gates stop nothing.
    """

    id: str
    recipe: str
    folder: Path
    state: State
    exit_code: int
    started: str
    ended: str
    smoke: bool
    stages: Mapping[str, StageResult] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether every stage that had to run finished successfully."""
        return self.exit_code == 0

    @property
    def failed(self) -> StageResult | None:
        """The stage that stopped the run, or None."""
        bad = (State.FAILED, State.INTERRUPTED)
        return next((one for one in self.stages.values() if one.state in bad), None)


def result(manifest: Manifest, verdicts: Mapping[str, Sequence[Verdict]]) -> Result:
    """Return the results of a run; `verdicts` are those of each audited stage."""
    stages = {
        record.name: _stage(record, manifest.plan.stage(record.name).tool, verdicts)
        for record in manifest.stages
    }
    return Result(
        id=manifest.id,
        recipe=manifest.plan.name,
        folder=Path(manifest.folder),
        state=manifest.state,
        exit_code=int(manifest.exit_code),
        started=manifest.started,
        ended=manifest.ended,
        smoke=manifest.plan.smoke,
        stages=MappingProxyType(stages),
    )


def _stage(
    record: StageRecord, tool: str, verdicts: Mapping[str, Sequence[Verdict]]
) -> StageResult:
    return StageResult(
        name=record.name,
        tool=tool,
        state=record.state,
        started=record.started,
        ended=record.ended,
        seconds=record.seconds,
        attempts=record.attempts,
        outputs=MappingProxyType({name: Path(path) for name, path in record.outputs.items()}),
        metrics=MappingProxyType(dict(record.metrics)),
        gates=tuple(Gate(expected=text, held=holds) for text, holds in record.expectations),
        verdicts=tuple(verdicts.get(record.name, ())),
        failure=str(record.failure.get("kind", "")),
        guidance=str(record.failure.get("guidance", "")),
        reused=str(record.reused.get("run", "")),
    )
