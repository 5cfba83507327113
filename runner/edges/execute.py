"""Walk a schedule: spawn each stage, record what happened, hand on."""

import secrets
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from runner.core.catalog import Catalog
from runner.core.invocation import laid_out
from runner.core.manifest import Manifest, StageRecord, State
from runner.core.plan import Plan, Stage
from runner.core.resolved import resolved
from runner.core.schedule import Action, Identity, was_cut_off
from runner.core.script import script
from runner.edges import disk, history, probe, signals
from runner.edges.ahead import Ahead
from runner.edges.attempt import Attempt, Ending
from runner.edges.decide import decide, ready, tool_of
from runner.edges.journal import Journal
from runner.edges.lock import lock
from runner.edges.places import Places
from runner.errors import Exit, RunError


class Reporter(Protocol):
    """Who hears what happens; each call returns at once."""

    def run_started(self, manifest: Manifest, actions: Sequence[Action]) -> None:
        """Hear that a run begins, and what will be done."""

    def stage_started(self, stage: Stage, action: Action, number: int, total: int) -> None:
        """Hear that a stage begins, or is skipped."""

    def event(self, stage: Stage, event: Mapping[str, Any]) -> None:
        """Hear a metric of a running stage."""

    def stage_ended(self, stage: Stage, record: StageRecord) -> None:
        """Hear how a stage ended."""

    def run_ended(self, manifest: Manifest) -> None:
        """Hear how the run ended."""


def execute(
    plan: Plan,
    catalog: Catalog,
    runs: Path,
    names: Sequence[str],
    reporter: Reporter,
    before: Manifest | None = None,
) -> Manifest:
    """Run the named stages of a plan, going on from an earlier run if one is given.

    Raises RecipeError before anything is made where the run cannot work.
    """
    with signals.heeded():
        decision = decide(plan, catalog, names, before)
        ready(plan, catalog, decision, before)
        folder = Path(before.folder) if before else _folder(plan, runs)
        with lock(folder):
            now = history.read(folder) if before else None
            if now is not None and now != before:  # another runner went on while we decided
                before = now
                decision = decide(plan, catalog, names, before)
            run = _Run(plan, catalog, folder, reporter, before)
            return run.walk(decision.actions, decision.wanted)


def _folder(plan: Plan, runs: Path) -> Path:
    folder = runs / plan.name / f"{probe.stamp()}-{secrets.token_hex(2)}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise RunError(
            f"cannot make {folder}: {error.strerror}", "choose another --runs"
        ) from error
    return folder


class _Run:
    """One run directory and what is known of it."""

    def __init__(
        self,
        plan: Plan,
        catalog: Catalog,
        folder: Path,
        reporter: Reporter,
        before: Manifest | None,
    ) -> None:
        self.plan = plan
        self.catalog = catalog
        self.folder = folder
        self.reporter = reporter
        self.journal = Journal(folder / "events.jsonl")
        self.ahead = Ahead(folder, plan, catalog)
        known = {record.name: record for record in before.stages} if before else {}
        records = tuple(known.get(s.name, StageRecord(s.name)) for s in plan.stages)
        started = before.started if before else probe.now()
        self.manifest = Manifest(
            folder.name, str(folder), plan, probe.facts(), records, State.RUNNING, started
        )

    def walk(self, actions: Sequence[Action], wanted: Mapping[str, Identity]) -> Manifest:
        """Do what was decided; stop at the first stage that does not end well."""
        code = Exit.OK
        try:
            self.begin(actions)
            for number, action in enumerate(actions, start=1):
                stage = self.plan.stage(action.stage)
                self.reporter.stage_started(stage, action, number, len(actions))
                ending = self.act(action, actions[number:], wanted)
                if ending is not None:
                    self.reporter.stage_ended(stage, ending.record)
                    code = ending.code
                if code != Exit.OK:
                    break
        except KeyboardInterrupt as interrupt:
            code = _code(interrupt)
        finally:
            self.ahead.end()
        signals.forget()
        return self.end(code)

    def begin(self, actions: Sequence[Action]) -> None:
        """Write down what will be done."""
        self.keep(self.manifest)
        disk.write(self.folder / "recipe.yaml", resolved(self.plan))
        disk.write(self.folder / "commands.sh", script(self.plan, self.catalog))
        self.link()
        self.journal.write(event="run", at=probe.now(), actions=[str(one) for one in actions])
        self.reporter.run_started(self.manifest, actions)

    def act(
        self, action: Action, rest: Sequence[Action], wanted: Mapping[str, Identity]
    ) -> Ending | None:
        """Do what was decided for one stage; None where that is nothing."""
        stage = self.plan.stage(action.stage)
        if action.do == "skip":
            return None
        if action.do == "judge":
            return self.judge(stage)
        coming = [self.plan.stage(one.stage) for one in rest if one.do == "run"]
        return self.stage(stage, wanted[stage.name], coming)

    def end(self, code: Exit) -> Manifest:
        """Close the run."""
        states = {
            Exit.OK: State.FINISHED,
            Exit.INTERRUPTED: State.INTERRUPTED,
            Exit.TERMINATED: State.INTERRUPTED,
        }
        state = states.get(code, State.FAILED)
        self.keep(replace(self.manifest, state=state, ended=probe.now(), exit_code=int(code)))
        self.journal.write(event="run-ended", at=self.manifest.ended, state=state)
        self.reporter.run_ended(self.manifest)
        return self.manifest

    def keep(self, manifest: Manifest) -> None:
        """Write the manifest so that a crash leaves the old one or the new one."""
        self.manifest = manifest
        disk.write(self.folder / "run.json", laid_out(manifest.as_dict()) + "\n")

    def link(self) -> None:
        """Point ``latest`` at this run; a file system without links does without."""
        latest = self.folder.parent / "latest"
        beside = self.folder.parent / f".latest-{self.folder.name}"
        try:
            beside.unlink(missing_ok=True)
            beside.symlink_to(self.folder.name)
            beside.replace(latest)
        except OSError:
            beside.unlink(missing_ok=True)

    def record(self, record: StageRecord) -> StageRecord:
        """Keep a stage's record in journal and manifest."""
        self.journal.write(event="stage", stage=record.name, state=record.state, at=probe.now())
        self.keep(self.manifest.with_stage(record))
        return record

    def stage(self, stage: Stage, identity: Identity, coming: Sequence[Stage]) -> Ending:
        """Run one stage, again where trying again can help."""
        begun = time.monotonic()
        try:
            ending = self.tries(stage, identity, coming)
        except KeyboardInterrupt as interrupt:
            signals.hold()
            failure = {"kind": "interrupted", "guidance": "It was stopped from outside."}
            record = self.manifest.stage(stage.name)
            if not record.prints:  # else it is made, and only its place is missing
                record = replace(record, state=State.INTERRUPTED, failure=failure)
            ending = Ending(record, _code(interrupt))
        seconds = round(time.monotonic() - begun, 3)
        ended = replace(ending.record, ended=probe.now(), seconds=seconds)
        ending = replace(ending, record=self.record(ended))
        signals.release()
        return ending

    def outdate(self, name: str) -> None:
        """Take back the results that were made of a stage that is about to be made again."""
        gone, manifest = {name}, self.manifest
        for other in self.plan.stages:
            if gone & set(other.after):
                gone.add(other.name)
                manifest = manifest.with_stage(StageRecord(other.name))
        if manifest != self.manifest:
            self.keep(manifest)

    def judge(self, stage: Stage) -> Ending:
        """Hold what was made before against what is expected of it now."""
        record = replace(self.manifest.stage(stage.name), failure={})
        attempt = Attempt(self.manifest, stage, tool_of(stage, self.catalog), self.ahead)
        with signals.held():
            ending = attempt.settle(record)
            return replace(ending, record=self.record(ending.record))

    def tries(self, stage: Stage, identity: Identity, coming: Sequence[Stage]) -> Ending:
        """Try a stage as often as its ``retry`` allows and its failures make sense of."""
        self.outdate(stage.name)
        before = self.manifest.stage(stage.name)
        goes_on = stage.continues and was_cut_off(before)
        Places(self.folder, stage).clear(before)
        record = StageRecord(
            stage.name, State.RUNNING, started=probe.now(), identity=dict(identity.parts)
        )
        delay = stage.retry.delay
        for attempt in range(1, stage.retry.attempts + 1):
            record = self.record(replace(record, attempts=attempt))
            tool = tool_of(stage, self.catalog)
            goes_on = goes_on or (stage.continues and attempt > 1)
            one = Attempt(self.manifest, stage, tool, self.ahead, coming, goes_on=goes_on)
            ending = one.run(record, lambda event: self.reporter.event(stage, event), self.record)
            if ending.code == Exit.OK or not ending.again or attempt == stage.retry.attempts:
                break
            time.sleep(delay)
            delay *= stage.retry.backoff
        return ending


def _code(interrupt: KeyboardInterrupt) -> Exit:
    number = getattr(interrupt, "number", signal.SIGINT)
    return Exit.INTERRUPTED if number == signal.SIGINT else Exit.TERMINATED
