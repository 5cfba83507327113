"""One attempt at a stage: create its folder, start and watch its process, judge its end."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from runner.base.errors import Exit
from runner.catalog import load
from runner.catalog.tools import Tool
from runner.command.argv import Invocation, invoke, wrap
from runner.plan import launch
from runner.plan.expectations import judge
from runner.plan.model import Plan, Stage, bind
from runner.plan.pins import with_folders
from runner.plan.staging import relocate
from runner.plan.training import training
from runner.runs import checkpoints, failures, history, signals
from runner.runs import checkpoints as states
from runner.runs import manifest as manifests
from runner.runs.audit import tally
from runner.runs.checkpoints import SavedState
from runner.runs.decisions import MISSED, Identity
from runner.runs.job import Advise, plainest
from runner.runs.journal import Tail, last_lines
from runner.runs.manifest import Manifest, StageRecord, State
from runner.runs.next_steps import going_on, rehearsal, rehearsal_data
from runner.runs.outputs import Places
from runner.runs.process import Child
from runner.runs.remedies import Adjustment, assignment, remedies, subject
from runner.runs.warm_start import WarmStart, command
from runner.system import files, hub, machine

POLL = 0.05


class Ending(Struct, frozen=True, kw_only=True):
    """How an attempt ended: the stage's record, the exit code, whether a retry can help."""

    record: StageRecord
    code: Exit
    again: bool = False


class Attempt:
    """One attempt at a stage in a run's folder; `coming` are the stages after it.

    With `goes_on`, it is an interrupted training that resumes from what that attempt has left.
    """

    def __init__(
        self,
        manifest: Manifest,
        stage: Stage,
        tool: Tool,
        ahead: WarmStart,
        coming: Sequence[Stage] = (),
        *,
        goes_on: bool = False,
        advise: Advise = plainest,
    ) -> None:
        self.advise = advise
        self.manifest = manifest
        self.plan: Plan = manifest.plan
        self.stage = stage
        self.tool = tool
        self.ahead = ahead
        self.coming = coming
        self.folder = Path(manifest.folder)
        self.place = self.folder / stage.name
        self.places = Places(self.folder, stage)
        self.tail = Tail(self.place / "metrics.jsonl")
        self.goes_on = goes_on
        self.keep = False  # what a try before left unfinished

    def run(
        self,
        record: StageRecord,
        hear: Callable[[Mapping[str, Any]], None],
        note: Callable[[StageRecord], None],
    ) -> tuple[StageRecord, bool]:
        """Run the stage to its end; return its record, and whether its time ran out.

        `hear` gets each metric as it is measured. Its process finds its words in the record that is
        noted before it begins.
        """
        events: list[Mapping[str, Any]] = []
        child: Child | None = None
        try:
            with signals.shield():
                child = self.child()
                record = replace(record, words=self.prepare(record, hear))
                note(record)
                events += self.tail.new()
                child.log(self.place / "log.txt", hub.mask())
                child.go()
                self.ahead.start(self.coming)
            code, timed_out = self.watch(child, events, hear)
        except KeyboardInterrupt as interrupt:
            hear({"event": "said", "text": signals.stopping(interrupt)})
            if child is not None:
                child.stop()
            raise
        finally:
            if child is not None:
                child.finish()
        if code == 0 and self.stage.launch:
            code = launch.code(self.log())
        metrics = {**manifests.summary(events, self.tool.metrics), **self.report_figures()}
        audit = self.audit()
        if code == 0 and (audit.get("different") or not history.is_audited(self.place)):
            code = Exit.AUDIT  # whatever its process said: what nobody has looked at is not well
        return replace(record, exit_code=code, metrics=metrics, audit=audit), timed_out

    def with_outputs(self, record: StageRecord) -> StageRecord:
        """Return the record of a stage that ended well, with what it made."""
        self.places.correct()
        return replace(record, outputs=self.outputs(), prints=self.places.prints())

    def settle(self, record: StageRecord) -> Ending:
        """Move what was made to its place, and judge it."""
        self.places.settle()
        return self.judge(replace(record, state=State.FINISHED))

    def prepare(
        self, record: StageRecord, hear: Callable[[Mapping[str, Any]], None]
    ) -> tuple[str, ...]:
        """Make the stage's folder, its configuration file and the places of its outputs.

        Return the words of its process.
        """
        self.place.mkdir(exist_ok=True)
        before = self.before(record, hear) if self.goes_on else None
        checkpoints.cut(self.place / "metrics.jsonl", before)
        (self.place / "effective.json").unlink(missing_ok=True)
        log = self.place / "log.txt"
        if log.exists():
            log.replace(self.place / f"log.{machine.stamp()}.txt")
        here = with_folders(self.stage, self.tool, record.hub)
        here = relocate(here, self.tool, self.places.open(keep=self.keep or before is not None))
        invocation = invoke(here, self.tool)
        if invocation.config is not None:
            text = str(bind(invocation.config, str(self.folder)))
            files.write(self.place / "config.json", text, lasting=False)
        return tuple(bind([*invocation.arguments], str(self.folder)))

    def before(
        self, record: StageRecord, hear: Callable[[Mapping[str, Any]], None]
    ) -> SavedState | None:
        """Return where a training resumes, None if it restarts; report what is not yet known."""
        identity = Identity(parts=record.identity).digest
        state, why = checkpoints.look(self.place, identity, thorough=True)
        numbers = training(self.stage, self.tool)
        text = states.goes_on(state, numbers) if state else states.starts_over(why)
        if state is None or record.attempts > 1:
            hear({"event": "said", "text": text})
        return state

    def child(self) -> Child:
        """Return the stage's process: the one that waits for it, or its ranks' launcher."""
        if not self.stage.launch:
            return self.ahead.take(self.stage)
        start = command(self.folder, self.stage.name)
        invocation = Invocation(command=tuple(start), options=(), config=None, config_path=None)
        launcher = load.catalog().launcher
        launch = bind(dict(self.stage.launch), str(self.folder))
        words = wrap(invocation, launch, launcher).arguments
        module, function = launcher.main
        # Its input stays open and silent: mlx.launch spins on one that has ended.
        code = f"from {module} import {function} as main; main()"
        return Child([sys.executable, "-P", "-c", code, *words], self.ahead.env())

    def watch(
        self,
        child: Child,
        events: list[Mapping[str, Any]],
        hear: Callable[[Mapping[str, Any]], None],
    ) -> tuple[int, bool]:
        """Follow a child to its end; return its exit code and whether its time ran out."""
        limit = self.stage.timeout
        deadline = time.monotonic() + limit if limit else None
        code = None
        while code is None:
            code = child.wait(POLL)
            if child.trouble is not None:
                child.stop()
                raise child.trouble
            for event in self.tail.new():
                events.append(event)
                hear(event)
            if code is None and deadline is not None and time.monotonic() > deadline:
                child.stop()
                return Exit.TIMEOUT, True
        return code, False

    def outputs(self) -> dict[str, str]:
        """Return where the stage's outputs are, by their names."""
        return {k: str(bind(path, str(self.folder))) for k, path in self.stage.outputs.items()}

    def log(self) -> str:
        """Return the end of the stage's log, enough for the last lines of every rank."""
        return last_lines(self.place / "log.txt", count=2000)

    def report_figures(self) -> dict[str, float]:
        """Return the figures a tool left in its own file."""
        if self.tool.report is None:
            return {}
        here = relocate(self.stage, self.tool, self.places.parts())
        path = bind(self.tool.report.format(**here.params), str(self.folder))
        figures = files.read_json(Path(path)) or {}
        return {name: value for name, value in figures.items() if self.tool.has_metric(name)}

    def audit(self) -> dict[str, int]:
        """Return how many parameters were compared, how many differ, and how far they were seen."""
        rows = history.verdicts(self.place)
        return tally(rows) if rows else {}

    def diagnose(self, record: StageRecord, *, timed_out: bool) -> Ending:
        """Say how the stage failed, and whether trying again can help."""
        tail = last_lines(self.place / "log.txt")
        if timed_out:
            guidance = f"The stage ran longer than its timeout of {self.stage.timeout:g} s."
            failure = failures.Failure(kind="timeout", guidance=guidance, retry=True)
        elif record.exit_code == Exit.AUDIT and not record.audit.get("different"):
            failure = failures.UNSEEN
        else:
            failure = failures.classify(record.exit_code or 0, tail)
        code = Exit.AUDIT if record.exit_code == Exit.AUDIT else Exit.STAGE_FAILED
        changes = self.advise(self.stage, remedies(failure.kind, self.stage, tail, self.tool))
        without = self.without_hub() if failure.smokes else ""
        about = bind(subject(failure.kind, self.stage), str(self.folder))
        note = {
            "kind": failure.kind,
            "guidance": f"{failure.guidance} {about} {without}".rstrip(),
            "changes": [change.as_dict() for change in changes],
            "try": self.command(changes),
            "tail": tail,
            "log": str(self.place / "log.txt"),
        }
        outcome = replace(record, state=State.FAILED, failure=note, ended=machine.now())
        return Ending(record=outcome, code=Exit.TIMEOUT if timed_out else code, again=failure.retry)

    def without_hub(self) -> str:
        """Return how the recipe runs where the hub cannot be asked, "" if it cannot."""
        if self.plan.smoke:
            return "A smoke run never contacts the hub; it reads only the hub's cache."
        catalog, kinds = load.catalog(self.plan.tools), load.architectures()
        data = rehearsal_data(self.plan, catalog, kinds)
        if data is None or not all(files.is_there(Path(path)) for path in data):
            return ""
        return f"To try the recipe without the hub: {rehearsal(self.manifest)}"

    def command(self, changes: Sequence[Adjustment]) -> str:
        """Return the command that resumes with tested changes, "" if there are none."""
        if not changes or self.advise is plainest:
            return ""
        return going_on(self.manifest, *(assignment(self.stage, one) for one in changes))

    def judge(self, record: StageRecord) -> Ending:
        """Compare a finished stage with its expectations; a smoke run's figures mean nothing."""
        judgements = judge(self.stage, self.scope(record))
        record = replace(record, expectations=tuple((one.expected, one.held) for one in judgements))
        misses = [one for one in judgements if not one.held]
        if self.plan.smoke or not misses:
            notes = tuple(one.as_dict() for one in misses)
            return Ending(record=replace(record, unenforced=notes), code=Exit.OK)
        why = "\n".join(map(str, misses))
        failure = {
            "kind": MISSED,
            "guidance": why,
            "missed": [one.as_dict() for one in misses],
        }
        return Ending(
            record=replace(record, state=State.FAILED, failure=failure), code=Exit.EXPECTATION
        )

    def scope(self, record: StageRecord) -> dict[str, Any]:
        """Return the names an expectation may read."""
        stage_of = {stage.name: stage for stage in self.plan.stages}
        rows = [row for row in self.manifest.stages if row.name != record.name]
        stages = {
            row.name: {
                **stage_of[row.name].outputs,
                "params": stage_of[row.name].params,
                "metrics": row.metrics,
            }
            for row in (*rows, record)
        }
        own = {**stages[record.name], "name": record.name}
        return {"metrics": record.metrics, "stages": stages, "stage": own, "vars": self.plan.vars}
